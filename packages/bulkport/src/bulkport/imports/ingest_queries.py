"""The SQL statements that accept an import."""

from typing import Final

from psycopg import sql

NEXT_IMPORT_ID: Final = "SELECT nextval(pg_get_serial_sequence('bulkport.bulk_import_jobs', 'id'))"

INSERT_CHUNKS: Final = """
    INSERT INTO bulkport.import_chunks (job_id, chunk_number, first_row, record_count, payload)
    SELECT %(id)s, %(first_number)s + chunk.number - 1, chunk.first_row, chunk.records, chunk.payload
    FROM unnest(%(first_rows)b::bigint[], %(records)b::integer[], %(payloads)b::bytea[])
        WITH ORDINALITY AS chunk (first_row, records, payload, number)
"""

# A whole import by one statement: each of its round trips would cost more than storing a small body does.
# `created_at` is the moment of acceptance, as below.
ACCEPT_WHOLE: Final = sql.SQL("""
    WITH import AS MATERIALIZED (
        SELECT id, jsonb_build_object('import_id', id) || %(trace)s::jsonb AS args
        FROM nextval(pg_get_serial_sequence('bulkport.bulk_import_jobs', 'id')) AS id
    ), own AS MATERIALIZED (
        SELECT ({process})::text AS job_id FROM import
    ), assistants AS MATERIALIZED (
        SELECT count({assist}) FROM import, generate_series(1, %(assistants)s)
    ), job AS (
        INSERT INTO bulkport.bulk_import_jobs (
            id, resource, user_id, background_job_id, format, handling, total_records, total_chunks, body_bytes,
            csv_columns, reading, writing, file_name, warnings, name, client_id, metadata, tags, created_at)
        SELECT import.id, %(resource)s, %(user_id)s, own.job_id, %(format)s, %(handling)s, %(total_records)s,
            %(total_chunks)s, %(body_bytes)s, %(csv_columns)s::jsonb, %(reading)s::jsonb, %(writing)s::jsonb,
            %(file_name)s, %(warnings)s::jsonb, %(name)s, %(client_id)s, %(metadata)s::jsonb, %(tags)s,
            clock_timestamp()
        FROM import, own
    ), chunks AS (
        INSERT INTO bulkport.import_chunks (job_id, chunk_number, first_row, record_count, payload)
        SELECT import.id, piece.number - 1, piece.first_row, piece.records, piece.payload
        FROM import, unnest(%(first_rows)b::bigint[], %(records)b::integer[], %(payloads)b::bytea[])
            WITH ORDINALITY AS piece (first_row, records, payload, number)
    )
    SELECT import.id, own.job_id FROM import, own, assistants
""")

# `created_at` is the moment of acceptance, not of the first byte: a long upload was not a job yet.
INSERT_JOB: Final = """
    INSERT INTO bulkport.bulk_import_jobs (
        id, resource, user_id, background_job_id, format, handling, total_records, total_chunks, body_bytes,
        csv_columns, reading, writing, file_name, warnings, name, client_id, metadata, tags, created_at)
    VALUES (
        %(id)s, %(resource)s, %(user_id)s, %(background_job_id)s, %(format)s, %(handling)s, %(total_records)s,
        %(total_chunks)s, %(body_bytes)s, %(csv_columns)s::jsonb, %(reading)s::jsonb, %(writing)s::jsonb, %(file_name)s,
            %(warnings)s::jsonb, %(name)s, %(client_id)s, %(metadata)s::jsonb, %(tags)s,
            clock_timestamp())
"""

# An import whose body is fetched later, when its format becomes known.
INSERT_AWAITING_JOB: Final = """
    INSERT INTO bulkport.bulk_import_jobs (
        id, resource, user_id, background_job_id, format, handling, total_records, total_chunks, body_bytes,
        reading, writing, name, client_id, metadata, tags, start_at, source, created_at)
    VALUES (
        %(id)s, %(resource)s, %(user_id)s, %(background_job_id)s, 'unknown', %(handling)s, 0, 0, 0,
        %(reading)s::jsonb, %(writing)s::jsonb, %(name)s, %(client_id)s, %(metadata)s::jsonb, %(tags)s, %(start_at)s,
        %(source)s::jsonb, clock_timestamp())
"""

# The body of an import that has waited for it. Of two workers that bring it, one finds the import filled.
FILL_JOB: Final = """
    UPDATE bulkport.bulk_import_jobs SET
        format = %(format)s, handling = %(handling)s, total_records = %(total_records)s,
        total_chunks = %(total_chunks)s, body_bytes = %(body_bytes)s, csv_columns = %(csv_columns)s::jsonb,
        reading = %(reading)s::jsonb, file_name = %(file_name)s, warnings = %(warnings)s::jsonb,
        fruitless_attempts = 0, last_fault = NULL
    WHERE id = %(id)s AND completed_at IS NULL AND total_chunks = 0
    RETURNING background_job_id
"""

SET_START: Final = "UPDATE bulkport.bulk_import_jobs SET start_at = %s WHERE id = %s"

QUEUED_OF_USER: Final = """
    SELECT count(*), coalesce(sum(total_records), 0), coalesce(sum(body_bytes), 0),
           coalesce(sum(body_bytes), 0) + (
               SELECT coalesce(sum(report_bytes), 0) FROM bulkport.bulk_import_jobs
               WHERE user_id = %(user_id)s AND report_bytes > 0
           ) + (SELECT coalesce(sum(received), 0) FROM bulkport.uploads WHERE user_id = %(user_id)s)
    FROM bulkport.bulk_import_jobs WHERE user_id = %(user_id)s AND completed_at IS NULL
"""

CLIENT_ID_KEY: Final = "bulk_import_jobs_client_id_key"

SELECT_BY_CLIENT_ID: Final = """
    SELECT id FROM bulkport.bulk_import_jobs
    WHERE user_id = %s AND client_id = %s AND writing ->> 'dryRun' IS DISTINCT FROM 'true'
"""
