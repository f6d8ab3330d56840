"""The SQL statements that read or complete import jobs.

Counts of a running job are sums over its chunks: facts of committed transactions, with no row that parallel workers
would have to queue for.
"""

from collections.abc import Mapping
from typing import Final, LiteralString

from bulkport.imports.states import ListedStatus

_JOB_COLUMNS: Final = """
    j.id, j.user_id, j.resource, j.background_job_id, j.format, j.handling, j.status, j.total_records, j.body_bytes,
    coalesce(j.processed_count, c.processed_count, 0) AS processed_count,
    coalesce(j.success_count, c.success_count, 0) AS success_count,
    coalesce(j.failure_count, c.failure_count, 0) AS failure_count,
    coalesce(j.outcomes, c.outcomes, ARRAY[coalesce(j.success_count, c.success_count, 0)]) AS outcomes,
    j.created_at, j.started_at, j.completed_at, j.error_summary, j.attempts, j.warnings,
    j.name, j.client_id, j.metadata, j.tags, j.retry_of, j.start_at, j.reading, j.file_name, j.writing, j.differences,
    j.undone, j.source
"""

_CHUNK_SUMS: Final = """
    LEFT JOIN LATERAL (
        SELECT sum(record_count) FILTER (WHERE state <> 'pending') AS processed_count,
               sum(success_count) AS success_count,
               sum(failure_count) AS failure_count,
               CASE WHEN count(outcomes) > 0 THEN ARRAY[
                   sum(coalesce(outcomes[1], success_count)), coalesce(sum(outcomes[2]), 0),
                   coalesce(sum(outcomes[3]), 0), coalesce(sum(outcomes[4]), 0), coalesce(sum(outcomes[5]), 0),
                   coalesce(sum(outcomes[6]), 0)
               ]::bigint[] END AS outcomes
        FROM bulkport.import_chunks WHERE job_id = j.id AND j.completed_at IS NULL
    ) c ON true
"""

SELECT_JOB: Final = f"SELECT {_JOB_COLUMNS} FROM bulkport.bulk_import_jobs j {_CHUNK_SUMS} WHERE j.id = %s"

EXISTS_JOB: Final = "SELECT bulkport.import_exists(%s, %s)"

SELECT_JOBS_BY_ID: Final = f"SELECT {_JOB_COLUMNS} FROM bulkport.bulk_import_jobs j {_CHUNK_SUMS} WHERE j.id = ANY(%s)"

# Only with the requested conditions, so that the planner finds an index for each, whatever the values.
SELECT_JOBS: Final = f"""
    SELECT {_JOB_COLUMNS}
    FROM (
        SELECT * FROM bulkport.bulk_import_jobs
        WHERE user_id = %(user_id)s AND {{conditions}}
        ORDER BY id DESC LIMIT %(limit)s
    ) j {_CHUNK_SUMS}
    ORDER BY j.id DESC
"""

WANTED: Final[Mapping[str, LiteralString]] = {
    "resource": "resource = %(resource)s",
    "name": "name = %(name)s",
    "client_id": "client_id = %(client_id)s",
    "tag": "tags @> ARRAY[%(tag)s::text]",
    "metadata": "metadata @> %(metadata)s::jsonb",
    "before": "id < %(before)s",
    "floor": "id >= %(floor)s",
}
"""SQL conditions by filter."""

_IS_TO_COME: Final = "(started_at IS NULL AND start_at IS NOT NULL AND start_at > clock_timestamp())"
_HAS_NO_BODY: Final = "(source IS NOT NULL AND total_records = 0)"
WITH_STATUS: Final[Mapping[ListedStatus, LiteralString]] = {
    ListedStatus.SCHEDULED: f"completed_at IS NULL AND status = 'Pending' AND {_IS_TO_COME}",
    ListedStatus.PENDING: f"completed_at IS NULL AND status = 'Pending' AND NOT {_IS_TO_COME}",
    ListedStatus.PULLING: f"completed_at IS NULL AND status = 'Processing' AND {_HAS_NO_BODY}",
    ListedStatus.PROCESSING: f"completed_at IS NULL AND status = 'Processing' AND NOT {_HAS_NO_BODY}",
    ListedStatus.COMPLETED: "completed_at IS NOT NULL AND status = 'Completed'",
    ListedStatus.PARTIAL_SUCCESS: "completed_at IS NOT NULL AND status = 'PartialSuccess'",
    ListedStatus.FAILED: "completed_at IS NOT NULL AND status = 'Failed'",
    ListedStatus.CANCELLED: "completed_at IS NOT NULL AND status = 'Cancelled'",
}
"""SQL condition by requested status."""

# The id of the last of a number of a user's imports, newest first; no row if there are fewer.
SELECT_FLOOR: Final = """
    SELECT min(id) FROM (
        SELECT id FROM bulkport.bulk_import_jobs
        WHERE user_id = %(user_id)s AND id < %(before)s
        ORDER BY id DESC LIMIT %(stretch)s
    ) AS stretch
    HAVING count(*) = %(stretch)s
"""


def _report_page(record: str, condition: str = "") -> str:
    """A page of bad rows, bounded by bytes too: one may be as large as a record may be.

    Where rows are stored compressed, as they are is looked at first, which reads none of them.
    """
    return f"""
        SELECT row_number, errors, record
        FROM (
            SELECT row_number, errors, record,
                   sum(octet_length(errors) + octet_length(record)) OVER (ORDER BY row_number ROWS UNBOUNDED PRECEDING)
                   - octet_length(errors) - octet_length(record) AS bytes_before
            FROM (
                SELECT row_number, errors::text AS errors, record::text AS record
                FROM (
                    SELECT row_number, errors, record,
                           sum(pg_column_size(errors) + pg_column_size(record))
                               OVER (ORDER BY row_number ROWS UNBOUNDED PRECEDING)
                           - pg_column_size(errors) - pg_column_size(record) AS stored_before
                    FROM (
                        SELECT row_number, errors, {record} AS record FROM bulkport.import_row_errors
                        WHERE job_id = %(job_id)s AND row_number > %(after_row)s{condition}
                        ORDER BY row_number LIMIT %(limit)s
                    ) AS found
                ) AS stored
                WHERE stored_before < %(max_bytes)s / 8
            ) AS page
        ) AS measured
        WHERE bytes_before < %(max_bytes)s
        ORDER BY row_number
    """


SELECT_ROW_ERRORS: Final = _report_page("record")
# Rows are sent again once: each says by which import.
SELECT_ROWS_TO_RETRY: Final = _report_page("coalesce(mended, record)", " AND retried_by IS NULL")

# Of all users, for operators. `operators.py` puts the conditions in.
SELECT_FOUND_JOBS: Final = f"""
    SELECT {_JOB_COLUMNS}, j.total_chunks, j.last_fault
    FROM (SELECT * FROM bulkport.bulk_import_jobs WHERE {{conditions}} ORDER BY id DESC LIMIT %(limit)s) j {_CHUNK_SUMS}
    ORDER BY j.id DESC
"""

SELECT_ID_BOUNDS: Final = "SELECT min(id), max(id) FROM bulkport.bulk_import_jobs"

COUNT_UNFINISHED: Final = "SELECT count(*) FROM bulkport.bulk_import_jobs WHERE completed_at IS NULL"

# A chunk is worked on while the transaction that locked it goes on: its number stands in xmax, and those that go on
# are in the snapshot or after it. To try the locks instead would keep chunk workers from the chunks. xmax is the lower
# half of a transaction's number, hence the remainders.
SELECT_CHUNK_CELLS: Final = """
    WITH moment AS MATERIALIZED (
        SELECT pg_snapshot_xmax(seen)::text::bigint & 4294967295 AS next_number,
               ARRAY(SELECT x::text::bigint & 4294967295 FROM pg_snapshot_xip(seen) x) AS going_on
        FROM pg_current_snapshot() seen
    )
    SELECT min(c.chunk_number), count(*),
           count(*) FILTER (WHERE c.state = 'done'),
           count(*) FILTER (WHERE c.state = 'checked'),
           count(*) FILTER (
               WHERE c.state = 'pending' AND c.locker <> 0
                 AND (c.locker = ANY (going_on) OR ((c.locker - next_number) & 4294967295) < 2147483648)
           ),
           sum(c.record_count)::bigint, sum(c.failure_count)::bigint
    FROM moment, (
        SELECT chunk_number, state, record_count, failure_count, xmax::text::bigint AS locker
        FROM bulkport.import_chunks WHERE job_id = %(job_id)s
    ) c
    GROUP BY c.chunk_number::bigint * %(cells)s / %(total_chunks)s
    ORDER BY 1
"""

# Rows of an import by when their chunk was finished, in steps from its start on.
ROWS_OVER_TIME: Final = """
    SELECT floor(extract(epoch FROM finished_at - %(since)s) / extract(epoch FROM %(step)s::interval))::integer AS step,
           sum(success_count + failure_count)::bigint
    FROM bulkport.import_chunks WHERE job_id = %(job_id)s AND finished_at >= %(since)s GROUP BY 1
"""

IMPORTED_ROWS: Final = """
    SELECT date_bin(%(step)s::interval, completed_at, %(origin)s), COALESCE(sum(success_count), 0)::bigint,
           COALESCE(sum(failure_count), 0)::bigint
    FROM bulkport.bulk_import_jobs WHERE completed_at >= %(since)s GROUP BY 1
"""

_PLAIN_MESSAGE: Final = r"""regexp_replace(
    regexp_replace(error ->> 'message', '''.*''', '''…'''), ' \S+ does not exist$', ' … does not exist'
)"""

# A part of the rejected rows: those of one kind of error among them, and the last row that was looked at.
SELECT_ROWS_OF_KIND: Final = f"""
    WITH looked_at AS MATERIALIZED (
        SELECT row_number, errors, record FROM bulkport.import_row_errors
        WHERE job_id = %(job_id)s AND row_number > %(after_row)s ORDER BY row_number LIMIT %(stretch)s
    ), found AS (
        SELECT row_number, errors::text AS errors, record::text AS record FROM looked_at
        WHERE EXISTS (
            SELECT FROM jsonb_array_elements(CASE jsonb_typeof(errors) WHEN 'array' THEN errors END) error
            WHERE error ->> 'field' = %(field)s AND {_PLAIN_MESSAGE} = %(message)s
        )
        ORDER BY row_number LIMIT %(limit)s
    )
    SELECT row_number, errors, record, NULL::bigint FROM found
    UNION ALL SELECT NULL, NULL, NULL, max(row_number) FROM looked_at HAVING count(*) = %(stretch)s
    ORDER BY 1
"""

# Values that a message quotes make no kind of their own.
# Of the latest imports that have some.
COUNT_TAGS: Final = """
    SELECT tag, count(*) FROM (
        SELECT tags FROM bulkport.bulk_import_jobs
        WHERE id > (SELECT max(id) FROM bulkport.bulk_import_jobs) - 20000 AND tags <> '{}'
        ORDER BY id DESC LIMIT 2000
    ) latest, unnest(tags) AS tag
    GROUP BY tag ORDER BY count(*) DESC, tag LIMIT %(limit)s
"""

SELECT_ERROR_KINDS: Final = f"""
    SELECT field, message, count(*) AS rows, min(row_number) AS first_row
    FROM (
        SELECT row_number, error ->> 'field' AS field, {_PLAIN_MESSAGE} AS message
        FROM (
            SELECT row_number, errors FROM bulkport.import_row_errors WHERE job_id = %(job_id)s
            ORDER BY row_number LIMIT %(most_rows)s
        ) looked_at, jsonb_array_elements(CASE jsonb_typeof(errors) WHEN 'array' THEN errors END) error
    ) told
    GROUP BY field, message ORDER BY rows DESC, first_row, field, message LIMIT %(most_kinds)s
"""

SELECT_CSV_COLUMNS: Final = "SELECT csv_columns FROM bulkport.bulk_import_jobs WHERE id = %s"

SELECT_FIRST_ROW_ERRORS: Final = """
    SELECT row_number, errors, record FROM bulkport.import_row_errors WHERE job_id = %s ORDER BY row_number LIMIT %s
"""

LOCK_JOB: Final = "SELECT status FROM bulkport.bulk_import_jobs WHERE id = %s FOR UPDATE"
LOCK_FREE_JOB: Final = "SELECT status FROM bulkport.bulk_import_jobs WHERE id = %s FOR UPDATE NOWAIT"

SELECT_PROGRESS: Final = """
    SELECT coalesce(sum(record_count) FILTER (WHERE state <> 'pending'), 0)::bigint,
           coalesce(sum(success_count), 0)::bigint,
           coalesce(sum(failure_count), 0)::bigint,
           count(*) FILTER (WHERE state = 'pending'),
           count(*) FILTER (WHERE state <> 'done'),
           CASE WHEN count(outcomes) > 0 THEN ARRAY[
               sum(coalesce(outcomes[1], success_count)), coalesce(sum(outcomes[2]), 0), coalesce(sum(outcomes[3]), 0),
               coalesce(sum(outcomes[4]), 0), coalesce(sum(outcomes[5]), 0), coalesce(sum(outcomes[6]), 0)
           ]::bigint[] END,
           ARRAY(
               SELECT field FROM bulkport.import_chunks c, unnest(c.unknown_fields) AS field WHERE c.job_id = %(job_id)s
               GROUP BY field ORDER BY field COLLATE "C" LIMIT %(most_fields)s
           ),
           ARRAY(
               SELECT remark FROM bulkport.import_chunks c, unnest(c.remarks) AS remark WHERE c.job_id = %(job_id)s
               GROUP BY remark ORDER BY min(c.chunk_number), remark LIMIT %(most_fields)s
           ),
           EXISTS (SELECT FROM bulkport.import_cancellations WHERE job_id = %(job_id)s AND rolls_back)
    FROM bulkport.import_chunks WHERE job_id = %(job_id)s
"""

UNREPORTED_ERRORS: Final = """
    SELECT field, message, sum(rows)::bigint AS rows FROM bulkport.import_unreported_errors
    WHERE job_id = %s GROUP BY field, message ORDER BY rows DESC, field, message LIMIT %s
"""

SETTLE_JOB: Final = """
    UPDATE bulkport.bulk_import_jobs SET
        status = %(status)s,
        started_at = coalesce(started_at, CASE WHEN %(status)s <> 'Cancelled' THEN clock_timestamp() END),
        completed_at = clock_timestamp(),
        processed_count = %(processed_count)s,
        success_count = %(success_count)s,
        failure_count = %(failure_count)s,
        report_bytes = CASE WHEN %(failure_count)s > 0 THEN (
            SELECT coalesce(sum(pg_column_size(e.errors) + pg_column_size(e.record)), 0)
            FROM bulkport.import_row_errors e WHERE e.job_id = %(job_id)s
        ) ELSE 0 END + (
            SELECT coalesce(sum(pg_column_size(o.old_values)), 0)
            FROM bulkport.import_old_rows o WHERE o.job_id = %(job_id)s
        ),
        outcomes = %(outcomes)s,
        error_summary = %(error_summary)s,
        warnings = warnings || %(warnings)s::jsonb
    WHERE id = %(job_id)s AND completed_at IS NULL
"""

REQUEST_CANCELLATION: Final = """
    INSERT INTO bulkport.import_cancellations (job_id, rolls_back, asked_by)
    SELECT id, %(rolls_back)s, %(asked_by)s FROM bulkport.bulk_import_jobs
    WHERE id = %(job_id)s AND completed_at IS NULL
    ON CONFLICT (job_id) DO UPDATE SET rolls_back = true WHERE EXCLUDED.rolls_back
"""

SELECT_STATUS: Final = "SELECT status FROM bulkport.bulk_import_jobs WHERE id = %s"

SELECT_AWAITS_BODY: Final = "SELECT total_chunks = 0 FROM bulkport.bulk_import_jobs WHERE id = %s"

SELECT_CANCELLATION: Final = "SELECT asked_by FROM bulkport.import_cancellations WHERE job_id = %s"

DELETE_CANCELLATION: Final = "DELETE FROM bulkport.import_cancellations WHERE job_id = %s RETURNING rolls_back"

DROP_PAYLOADS: Final = "UPDATE bulkport.import_chunks SET payload = NULL WHERE job_id = %s AND payload IS NOT NULL"
