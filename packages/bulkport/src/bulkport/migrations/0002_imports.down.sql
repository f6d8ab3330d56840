DROP FUNCTION bulkport.import_write_each(text, text[], text[]);
DROP TABLE bulkport.idempotency_keys;
DROP TABLE bulkport.import_row_errors;
DROP TABLE bulkport.import_cancellations;
DROP TABLE bulkport.import_chunks;
DROP TABLE bulkport.bulk_import_jobs;
DROP FUNCTION bulkport.bulk_import_jobs_tell_webhooks();
DROP TABLE bulkport.webhook_deliveries;
DROP TABLE bulkport.webhooks;
