DO $$
BEGIN
    IF to_regrole('bulkport_tenant') IS NOT NULL THEN
        REVOKE USAGE ON SCHEMA bulkport FROM bulkport_tenant;
    END IF;
END $$;
DROP FUNCTION bulkport.import_exists(bigint, text);
DROP FUNCTION bulkport.import_write_each(text, text[], text[], bigint, boolean);
DROP TABLE bulkport.idempotency_keys;
DROP TABLE bulkport.import_writes;
DROP TABLE bulkport.import_row_results;
DROP TABLE bulkport.import_unreported_errors;
DROP TABLE bulkport.import_row_errors;
DROP TABLE bulkport.import_cancellations;
DROP TABLE bulkport.import_chunks;
DROP TABLE bulkport.bulk_import_jobs;
DROP FUNCTION bulkport.bulk_import_jobs_tell_webhooks();
DROP TABLE bulkport.webhook_deliveries;
DROP TABLE bulkport.webhooks;
DROP TABLE bulkport.recurring_pulls;
DROP TABLE bulkport.upload_parts;
DROP TABLE bulkport.uploads;
