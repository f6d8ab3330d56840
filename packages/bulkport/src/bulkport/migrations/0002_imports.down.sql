DO $$
BEGIN
    IF to_regrole('bulkport_tenant') IS NOT NULL THEN
        REVOKE USAGE ON SCHEMA bulkport FROM bulkport_tenant;
    END IF;
END $$;
DROP FUNCTION IF EXISTS bulkport.import_exists(bigint, text);
DROP FUNCTION IF EXISTS bulkport.import_write_each;
DROP TABLE IF EXISTS bulkport.idempotency_keys;
DROP TABLE IF EXISTS bulkport.import_old_rows;
DROP TABLE IF EXISTS bulkport.import_writes;
DROP TABLE IF EXISTS bulkport.import_row_results;
DROP TABLE IF EXISTS bulkport.import_unreported_errors;
DROP TABLE IF EXISTS bulkport.import_row_errors;
DROP TABLE IF EXISTS bulkport.import_cancellations;
DROP TABLE IF EXISTS bulkport.import_chunks;
DROP TABLE IF EXISTS bulkport.bulk_import_jobs;
DROP FUNCTION IF EXISTS bulkport.bulk_import_jobs_tell_webhooks();
DROP TABLE IF EXISTS bulkport.webhook_deliveries;
DROP TABLE IF EXISTS bulkport.webhooks;
DROP TABLE IF EXISTS bulkport.recurring_pulls;
DROP TABLE IF EXISTS bulkport.staged_objects;
DROP TABLE IF EXISTS bulkport.upload_parts;
DROP TABLE IF EXISTS bulkport.uploads;
