DROP TABLE idempotency_keys;
DROP TABLE import_row_errors;
DROP TABLE import_cancellations;
DROP TABLE import_chunks;
DROP TABLE bulk_import_jobs;
DROP FUNCTION bulk_import_jobs_tell_webhooks();
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
