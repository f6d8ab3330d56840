"""Every SQL statement of accepting an import."""

from typing import Final

NEXT_IMPORT_ID: Final = "SELECT nextval(pg_get_serial_sequence('bulk_import_jobs', 'id'))"

INSERT_CHUNK: Final = """
    INSERT INTO import_chunks (job_id, chunk_number, first_row, record_count, payload) VALUES (%s, %s, %s, %s, %b)
"""

# `created_at` is the moment of acceptance, not of the first byte: a long upload was no job yet.
INSERT_JOB: Final = """
    INSERT INTO bulk_import_jobs (
        id, resource, user_id, background_job_id, format, handling, total_records, total_chunks, body_bytes,
        csv_columns, warnings, created_at)
    VALUES (
        %(id)s, %(resource)s, %(user_id)s, %(background_job_id)s, %(format)s, %(handling)s, %(total_records)s,
        %(total_chunks)s, %(body_bytes)s, %(csv_columns)s::jsonb, %(warnings)s::jsonb, clock_timestamp())
"""

# A server that died in the middle of an upload leaves a transaction behind until its connection is found dead.
LIMIT_IDLE: Final = "SELECT set_config('idle_in_transaction_session_timeout', %s, true)"
