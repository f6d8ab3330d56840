DROP TABLE idempotency_keys;
DROP TABLE import_row_errors;
DROP TABLE import_cancellations;
DROP TABLE import_chunks;
DROP TABLE bulk_import_jobs;
