"""Every SQL statement that reads import jobs or settles them.

Counts of a running job are sums over its chunks: facts of committed transactions, with no row that parallel workers
would have to queue for.
"""

from typing import Final

_JOB_COLUMNS: Final = """
    j.id, j.user_id, j.resource, j.background_job_id, j.format, j.handling, j.status, j.total_records, j.body_bytes,
    coalesce(j.processed_count, c.processed_count, 0) AS processed_count,
    coalesce(j.success_count, c.success_count, 0) AS success_count,
    coalesce(j.failure_count, c.failure_count, 0) AS failure_count,
    j.created_at, j.started_at, j.completed_at, j.error_summary, j.attempts, j.warnings
"""

_CHUNK_SUMS: Final = """
    LEFT JOIN LATERAL (
        SELECT sum(record_count) FILTER (WHERE state <> 'pending') AS processed_count,
               sum(success_count) AS success_count,
               sum(failure_count) AS failure_count
        FROM import_chunks WHERE job_id = j.id AND j.completed_at IS NULL
    ) c ON true
"""

SELECT_JOB: Final = f"SELECT {_JOB_COLUMNS} FROM bulk_import_jobs j {_CHUNK_SUMS} WHERE j.id = %s"

SELECT_JOBS: Final = f"""
    SELECT {_JOB_COLUMNS}
    FROM (
        SELECT * FROM bulk_import_jobs
        WHERE user_id = %(user_id)s
          AND (%(resource)s::text IS NULL OR resource = %(resource)s)
          AND (%(status)s::text IS NULL OR status = %(status)s)
          AND (%(before)s::bigint IS NULL OR id < %(before)s)
        ORDER BY id DESC LIMIT %(limit)s
    ) j {_CHUNK_SUMS}
    ORDER BY j.id DESC
"""

# Pages are bounded by bytes too: a bad row may be as large as a record may be.
SELECT_ROW_ERRORS: Final = """
    SELECT row_number, errors, record
    FROM (
        SELECT row_number, errors, record,
               sum(octet_length(errors) + octet_length(record)) OVER (ORDER BY row_number ROWS UNBOUNDED PRECEDING)
               - octet_length(errors) - octet_length(record) AS bytes_before
        FROM (
            SELECT row_number, errors::text AS errors, record::text AS record
            FROM import_row_errors
            WHERE job_id = %(job_id)s AND row_number > %(after_row)s
            ORDER BY row_number LIMIT %(limit)s
        ) AS page
    ) AS measured
    WHERE bytes_before < %(max_bytes)s
    ORDER BY row_number
"""

SELECT_CSV_COLUMNS: Final = "SELECT csv_columns FROM bulk_import_jobs WHERE id = %s"

SELECT_FIRST_ROW_ERRORS: Final = """
    SELECT row_number, errors, record FROM import_row_errors WHERE job_id = %s ORDER BY row_number LIMIT %s
"""

LOCK_JOB: Final = "SELECT status FROM bulk_import_jobs WHERE id = %s FOR UPDATE"

SELECT_PROGRESS: Final = """
    SELECT coalesce(sum(record_count) FILTER (WHERE state <> 'pending'), 0)::bigint,
           coalesce(sum(success_count), 0)::bigint,
           coalesce(sum(failure_count), 0)::bigint,
           count(*) FILTER (WHERE state = 'pending'),
           count(*) FILTER (WHERE state <> 'done'),
           ARRAY(
               SELECT field FROM import_chunks c, unnest(c.unknown_fields) AS field WHERE c.job_id = %(job_id)s
               GROUP BY field ORDER BY field COLLATE "C" LIMIT %(most_fields)s
           )
    FROM import_chunks WHERE job_id = %(job_id)s
"""

SETTLE_JOB: Final = """
    UPDATE bulk_import_jobs SET
        status = %(status)s,
        started_at = coalesce(started_at, clock_timestamp()),
        completed_at = clock_timestamp(),
        processed_count = %(processed_count)s,
        success_count = %(success_count)s,
        failure_count = %(failure_count)s,
        error_summary = %(error_summary)s,
        warnings = warnings || %(warnings)s::jsonb
    WHERE id = %(job_id)s AND completed_at IS NULL
"""

DROP_PAYLOADS: Final = "UPDATE import_chunks SET payload = NULL WHERE job_id = %s AND payload IS NOT NULL"
