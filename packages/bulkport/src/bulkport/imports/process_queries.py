"""The SQL statements of the workers' data path. Statements on resource tables are built where the table is known."""

from typing import Final

# Its commit need not wait for the disk: all that a crash of PostgreSQL could lose is the count of an attempt that
# has done nothing yet. What the attempt does is committed as ever, and after it.
BEGIN_ATTEMPT: Final = """
    UPDATE bulkport.bulk_import_jobs j SET
        status = 'Processing',
        started_at = coalesce(j.started_at, clock_timestamp()),
        attempts = j.attempts + 1,
        fruitless_attempts = CASE WHEN done.count > j.progress_mark THEN 1 ELSE j.fruitless_attempts + 1 END,
        progress_mark = done.count,
        last_fault = CASE WHEN done.count > j.progress_mark THEN NULL ELSE j.last_fault END,
        outage_since = CASE WHEN done.count > j.progress_mark THEN NULL ELSE j.outage_since END
    FROM (
        SELECT count(*)::integer AS count FROM bulkport.import_chunks
        WHERE job_id = %(job_id)s AND state <> 'pending'
    ) done
    LEFT JOIN bulkport.import_chunks c ON c.job_id = %(job_id)s AND c.chunk_number = 0 AND c.state = 'pending',
         (SELECT set_config('synchronous_commit', 'off', true) AS setting) unhurried
    WHERE j.id = %(job_id)s AND j.completed_at IS NULL AND unhurried.setting = 'off'
    RETURNING j.resource, j.user_id, j.handling, j.format, j.csv_columns, j.reading, j.writing, j.total_chunks,
              j.fruitless_attempts, j.last_fault, c.chunk_number, c.first_row, c.record_count,
              CASE WHEN j.total_chunks = 1 THEN c.payload END
"""

JOIN_ATTEMPT: Final = """
    SELECT resource, user_id, handling, format, csv_columns, reading, writing, total_chunks, fruitless_attempts,
           last_fault, NULL
    FROM bulkport.bulk_import_jobs WHERE id = %(job_id)s AND completed_at IS NULL
"""

MARK_STARTED: Final = """
    UPDATE bulkport.bulk_import_jobs SET status = 'Processing', started_at = clock_timestamp()
    WHERE id = %(job_id)s AND status = 'Pending'
"""

# The job's row is locked FOR SHARE so that it cannot settle under a chunk in flight. A killed worker's chunk is
# simply not locked any more: no lease, no clean-up. An import that is to be cancelled has no more chunks to claim.
# The setting, of this transaction, is for checks of foreign keys: see `prefer_indexes`, which no pooler allows.
CLAIM_CHUNK: Final = """
    SELECT c.chunk_number, c.first_row, c.record_count, c.payload
    FROM bulkport.bulk_import_jobs j JOIN bulkport.import_chunks c ON c.job_id = j.id,
         (SELECT set_config('enable_seqscan', 'off', true) || set_config('jit', 'off', true) AS settings) planner
    WHERE j.id = %(job_id)s AND planner.settings = 'offoff' AND j.status = 'Processing' AND c.state = 'pending'
      AND NOT EXISTS (SELECT FROM bulkport.import_cancellations x WHERE x.job_id = j.id)
      AND c.chunk_number >= %(first)s
    ORDER BY c.chunk_number LIMIT 1
    FOR SHARE OF j FOR UPDATE OF c SKIP LOCKED
"""

# The lock keeps other chunk workers from it until this transaction ends.
NEXT_CHUNK: Final = """
    SELECT chunk_number, first_row, record_count, payload FROM bulkport.import_chunks
    WHERE job_id = %s AND chunk_number > %s AND state = 'pending'
    ORDER BY chunk_number LIMIT 1 FOR UPDATE SKIP LOCKED
"""

CHECKED_CHUNKS: Final = """
    SELECT chunk_number, first_row, record_count, payload FROM bulkport.import_chunks
    WHERE job_id = %s AND chunk_number > %s AND state = 'checked' ORDER BY chunk_number LIMIT 1
"""

FINISH_CHUNK: Final = """
    UPDATE bulkport.import_chunks SET
        state = %(state)s,
        success_count = %(success_count)s,
        failure_count = %(failure_count)s,
        unknown_fields = %(unknown_fields)s,
        remarks = %(remarks)s,
        outcomes = %(outcomes)s,
        waiting = %(waiting)s,
        payload = CASE WHEN %(state)s = 'done' THEN NULL ELSE payload END,
        finished_at = clock_timestamp()
    WHERE job_id = %(job_id)s AND chunk_number = %(chunk_number)s
"""

FINISH_CHECKED_CHUNKS: Final = """
    UPDATE bulkport.import_chunks SET
        state = 'done', success_count = record_count - coalesce(outcomes[6], 0), payload = NULL,
        finished_at = clock_timestamp()
    WHERE job_id = %s
"""

SELECT_CHUNK: Final = """
    SELECT chunk_number, first_row, record_count, payload FROM bulkport.import_chunks
    WHERE job_id = %s AND chunk_number = %s
"""

WAITING_CHUNKS: Final = """
    SELECT chunk_number, first_row, waiting FROM bulkport.import_chunks
    WHERE job_id = %s AND state = 'waiting' ORDER BY chunk_number
"""

FINISH_WAITING_CHUNK: Final = """
    UPDATE bulkport.import_chunks SET
        state = 'done',
        success_count = success_count + %(success_count)s,
        failure_count = failure_count + %(failure_count)s,
        outcomes = CASE WHEN outcomes IS NOT NULL OR NOT %(is_plain)s THEN (
            SELECT array_agg(coalesce(before, 0) + now ORDER BY place)
            FROM unnest(coalesce(outcomes, ARRAY[success_count, 0, 0, 0, 0, 0]), %(outcomes)s::integer[])
                WITH ORDINALITY AS counts (before, now, place)
        ) END,
        waiting = NULL, payload = NULL, finished_at = clock_timestamp()
    WHERE job_id = %(job_id)s AND chunk_number = %(chunk_number)s
"""

SET_OUTCOMES: Final = """
    UPDATE bulkport.import_chunks SET outcomes = %(outcomes)s
    WHERE job_id = %(job_id)s AND chunk_number = %(chunk_number)s
"""

INSERT_ROW_ERRORS: Final = """
    INSERT INTO bulkport.import_row_errors (job_id, row_number, errors, record)
    SELECT %s, row_number, errors::jsonb, record::json
    FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS bad (row_number, errors, record)
"""

# Other chunk workers report at the same time, so there may be a chunk's bad rows more than the limit.
REPORTED_ROWS: Final = """
    SELECT coalesce(sum(failure_count), 0)::bigint FROM bulkport.import_chunks WHERE job_id = %s AND failure_count > 0
"""

INSERT_UNREPORTED_ERRORS: Final = """
    INSERT INTO bulkport.import_unreported_errors (job_id, field, message, rows)
    SELECT %s, field, message, rows FROM unnest(%b::text[], %b::text[], %b::integer[]) AS kind (field, message, rows)
"""

ADD_FAILURES: Final = """
    UPDATE bulkport.import_chunks c SET failure_count = c.failure_count + bad.count
    FROM (
        SELECT ch.chunk_number, count(*)::integer AS count
        FROM unnest(%(rows)b::bigint[]) AS refused (row_number)
        JOIN bulkport.import_chunks ch
          ON ch.job_id = %(job_id)s AND refused.row_number >= ch.first_row
         AND refused.row_number < ch.first_row + ch.record_count
        GROUP BY ch.chunk_number
    ) bad
    WHERE c.job_id = %(job_id)s AND c.chunk_number = bad.chunk_number
"""

RECORD_FAULT: Final = """
    UPDATE bulkport.bulk_import_jobs SET last_fault = %(fault)s WHERE id = %(job_id)s AND completed_at IS NULL
    RETURNING fruitless_attempts
"""

SET_DIFFERENCES: Final = "UPDATE bulkport.bulk_import_jobs SET differences = %s::jsonb WHERE id = %s"

FORGIVE_ATTEMPT: Final = """
    UPDATE bulkport.bulk_import_jobs SET fruitless_attempts = greatest(fruitless_attempts - 1, 0)
    WHERE id = %(job_id)s AND completed_at IS NULL
"""

# Also says for how long one attempt after the other has lost its connection.
FORGIVE_OUTAGE: Final = """
    UPDATE bulkport.bulk_import_jobs SET
        fruitless_attempts = greatest(fruitless_attempts - 1, 0),
        outage_since = coalesce(outage_since, clock_timestamp())
    WHERE id = %(job_id)s AND completed_at IS NULL
    RETURNING extract(epoch FROM clock_timestamp() - outage_since)::double precision
"""

ADD_WARNING: Final = (
    "UPDATE bulkport.bulk_import_jobs SET warnings = warnings || jsonb_build_array(%s::text) WHERE id = %s"
)

# Unfinished imports that are old enough to have been picked up, for the watchdog; page by page.
UNFINISHED_JOBS: Final = """
    SELECT id, background_job_id FROM bulkport.bulk_import_jobs
    WHERE completed_at IS NULL AND id > %(after)s AND created_at < clock_timestamp() - make_interval(secs => %(grace)s)
    ORDER BY id LIMIT %(most)s
"""

# Several workers look: the one that still finds the id of the lost job under the lock queues the import anew.
LOCK_LOST_JOBS: Final = """
    SELECT j.id, j.user_id
    FROM unnest(%(ids)s::bigint[], %(background_job_ids)s::text[]) AS lost (id, background_job_id)
    JOIN bulkport.bulk_import_jobs j USING (id, background_job_id)
    WHERE j.completed_at IS NULL ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
"""

REPLACE_BACKGROUND_JOBS: Final = """
    UPDATE bulkport.bulk_import_jobs j SET background_job_id = anew.background_job_id
    FROM unnest(%(ids)s::bigint[], %(background_job_ids)s::text[]) AS anew (id, background_job_id)
    WHERE j.id = anew.id
"""
