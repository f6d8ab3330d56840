"""The short way for a small import: its one chunk is written, reported and settled by a single statement.

Most imports have a few rows. For them the round trips of the usual way (claim, savepoint, write, finish, settle,
commit) take longer than all the work, so everything that a chunk's transaction would do is done by one statement, which
is as atomic. Where PostgreSQL refuses a row the statement leaves nothing, and the import goes the usual way.
"""

import json
from functools import lru_cache, partial
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.adapt import PyFormat

from bulkport.imports.chunk import DecodedChunk, decode_chunk, report_columns, storable_remarks
from bulkport.imports.formats.prefer_header import Handling
from bulkport.imports.states import ImportStatus
from bulkport.imports.summary import MAX_SUMMARY_ERRORS, error_summary, unknown_fields_warnings
from bulkport.imports.worker.attempt import Attempt, Chunk
from bulkport.imports.worker.threads import off_loop
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.rejections import is_row_refusal
from bulkport.imports.writing.server_encoding import server_codec, storable
from bulkport.imports.writing.statements import given_rows, typed_columns
from bulkport.imports.writing.table import TargetTable
from bulkport.imports.writing.write import COPY_THRESHOLD


def fits_single_statement(attempt: Attempt, chunk: Chunk) -> bool:
    """Whether an import of this one chunk may go the short way."""
    return (
        chunk.record_count < COPY_THRESHOLD
        and attempt.handling is Handling.LENIENT
        and attempt.write.mode is WriteMode.INSERT
        and not attempt.write.dry_run
        and not attempt.table.wants_results
        and not attempt.table.has_deferred_constraints
        and not attempt.table.facts.has_rules
        and not attempt.refers_to_itself
    )


async def run_single_statement(connection: AsyncConnection[Any], attempt: Attempt, chunk: Chunk) -> bool:
    """Process and settle an import of one chunk, on an autocommit connection.

    Parameters
    ----------
    chunk:
        As read, not locked: the statement locks it, and does nothing if it is not pending any more or another
        chunk worker has it.

    Returns
    -------
    Whether this call settled the import. If not, it has done nothing, and the usual way is to be gone.

    Raises
    ------
    psycopg.Error
        For everything that is not about a row.
    """
    # References are looked up without a lock here: the foreign key notices one that went away, and refuses.
    decoded = await decode_chunk(connection, attempt, chunk)
    if len(decoded.errors) > attempt.max_reported_rows:
        return False
    columns = {_parameter(number): values for number, values in enumerate(decoded.rows.columns)}
    try:
        told = partial(_outcome, attempt, chunk, decoded, server_codec(connection))
        outcome = await off_loop(len(decoded.errors), told)
        cursor = await connection.execute(_statement(attempt.table), columns | outcome)
    except psycopg.Error as error:
        if not is_row_refusal(error, attempt.table):
            raise
        return False
    return await cursor.fetchone() is not None


# Each part reads from the ones before it, so that all of them see the locked chunk, and the job is settled last. What
# another chunk worker has locked is not waited for: that would keep this worker's turn.
_STATEMENT: Final = sql.SQL("""
    WITH job AS MATERIALIZED (
        SELECT id FROM bulkport.bulk_import_jobs WHERE id = %(job_id)s AND status = 'Processing' FOR UPDATE SKIP LOCKED
    ), chunk AS MATERIALIZED (
        SELECT c.job_id, c.chunk_number FROM job JOIN bulkport.import_chunks c ON c.job_id = job.id
        WHERE c.state = 'pending' FOR UPDATE OF c SKIP LOCKED
    ), written AS (
        INSERT INTO {table} ({columns}) SELECT {typed} FROM chunk, {given} RETURNING 1
    ), reported AS (
        INSERT INTO bulkport.import_row_errors (job_id, row_number, errors, record)
        SELECT chunk.job_id, bad.row_number, bad.errors::jsonb, bad.record::json
        FROM chunk, unnest(%(bad_rows)b::bigint[], %(bad_errors)b::text[], %(bad_records)b::text[])
            AS bad (row_number, errors, record)
        RETURNING 1
    ), finished AS (
        UPDATE bulkport.import_chunks c SET
            state = 'done', success_count = %(good)s, failure_count = %(bad)s, unknown_fields = %(unknown)s,
            payload = NULL, finished_at = clock_timestamp()
        FROM chunk WHERE c.job_id = chunk.job_id AND c.chunk_number = chunk.chunk_number
        RETURNING c.job_id
    )
    UPDATE bulkport.bulk_import_jobs j SET
        status = %(status)s, completed_at = clock_timestamp(), processed_count = %(good)s + %(bad)s,
        success_count = %(good)s, failure_count = %(bad)s, error_summary = %(summary)s,
        report_bytes = %(report_bytes)s, warnings = warnings || %(warnings)s::jsonb
    FROM finished, (SELECT count(*) FROM reported) r, (
        -- A trigger that leaves rows out must be reported: then nothing is done here, by an error.
        SELECT count(*) / (count(*) = %(good)s OR NOT EXISTS (SELECT FROM chunk))::integer >= 0 AS is_all FROM written
    ) w
    WHERE j.id = finished.job_id AND w.is_all
    RETURNING j.id
""")


@lru_cache(maxsize=64)
def _statement(table: TargetTable) -> bytes:
    parameters = [sql.Placeholder(_parameter(number), PyFormat.BINARY) for number in range(len(table.names))]
    statement = _STATEMENT.format(
        table=table.identifier,
        columns=table.columns,
        typed=typed_columns(table, table.filled),
        given=given_rows(table, parameters=parameters),
    )
    return escaped(statement)


def _parameter(number: int) -> str:
    return f"column_{number}"


def _outcome(attempt: Attempt, chunk: Chunk, decoded: DecodedChunk, codec: str | None) -> dict[str, Any]:
    errors = decoded.errors
    good, bad = chunk.record_count - len(errors), len(errors)
    rows, messages, records = report_columns(sorted(errors, key=lambda error: error.row), codec)
    first = [
        (row, json.loads(message), json.loads(record))
        for row, message, record in zip(rows[:MAX_SUMMARY_ERRORS], messages, records, strict=False)
    ]
    unknown = storable_remarks(decoded.unknown_fields, codec)
    warnings = unknown_fields_warnings(unknown, list(attempt.resource.wire_names.values()))
    return {
        "job_id": attempt.job_id,
        "status": ImportStatus.of_counts(success_count=good, failure_count=bad),
        "good": good,
        "bad": bad,
        "summary": storable(error_summary(attempt.resource, first, bad) or "", codec) or None,
        "unknown": unknown or None,
        "warnings": json.dumps([*warnings, *storable_remarks(decoded.remarks, codec)]),
        "report_bytes": sum(map(len, messages)) + sum(map(len, records)),
        "bad_rows": rows,
        "bad_errors": messages,
        "bad_records": records,
    }
