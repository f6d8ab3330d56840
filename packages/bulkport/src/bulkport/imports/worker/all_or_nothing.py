"""The second phase of a strict import: writes all rows in one transaction, or none.

Chunks are checked first, in parallel and each in its own transaction, as under lenient handling but without writing.
When all are checked and no row is bad, one chunk worker writes them all in a single transaction, so that the rows
become visible together. A worker killed in the middle leaves nothing, and the next attempt starts the write again.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from bulkport.imports import complete as settlement
from bulkport.imports import process_queries as queries
from bulkport.imports.chunk import decode_chunk, insert_row_errors
from bulkport.imports.results import insert_results
from bulkport.imports.states import ImportStatus
from bulkport.imports.validation import RowError
from bulkport.imports.worker.attempt import Attempt, Chunk
from bulkport.imports.worker.waiting_rows import WaitingRows, add_outcomes
from bulkport.imports.writing.write import write_rows

# Row errors found while writing are held in memory until the rows are rolled back.
_MAX_REFUSED_ROWS: Final = 100_000


class _Refused(Exception):
    """The database rejected rows: roll back everything written."""


class _Cancelled(Exception):
    """The import must stop: roll back everything written."""


async def write_checked_chunks(connection: AsyncConnection[Any], attempt: Attempt) -> None:
    """Write every chunk of a fully validated import and complete it, inside the caller's transaction.

    The caller holds the job's lock and has seen that every chunk is checked.
    """
    progress = await settlement.read_progress(connection, attempt.job_id)
    status = ImportStatus.FAILED
    if not progress.failure_count:
        refused: list[RowError] = []
        try:
            async with connection.transaction():
                waiting: dict[int, set[int]] = {}
                async for chunk in checked_chunks(connection, attempt):
                    if await settlement.is_to_be_cancelled(connection, attempt.job_id):
                        raise _Cancelled
                    refused += await _write_chunk(connection, attempt, chunk, waiting)
                    if len(refused) >= _MAX_REFUSED_ROWS:
                        break
                else:
                    refused += await _write_waiting(connection, attempt, waiting)
                if refused:
                    raise _Refused
                if await settlement.is_to_be_cancelled(connection, attempt.job_id):
                    raise _Cancelled
        except _Cancelled:
            await settlement.cancel_if_asked(connection, attempt.job_id, progress)
            return
        except _Refused:
            await _report(connection, attempt, refused)
        else:
            await connection.execute(queries.FINISH_CHECKED_CHUNKS, (attempt.job_id,))
            status = ImportStatus.COMPLETED
        progress = await settlement.read_progress(connection, attempt.job_id)
    summary = await settlement.summarize_rows(connection, attempt.job_id, attempt.resource, progress)
    known = attempt.resource.wire_names.values()
    await settlement.settle(connection, attempt.job_id, status, progress, summary, known_fields=known)


async def checked_chunks(connection: AsyncConnection[Any], attempt: Attempt) -> AsyncIterator[Chunk]:
    """The validated, unwritten chunks of an import in body order."""
    number = -1
    while True:
        cursor = await connection.execute(queries.CHECKED_CHUNKS, (attempt.job_id, number))
        row = await cursor.fetchone()
        if row is None:
            return
        chunk = Chunk(*row)
        yield chunk
        number = chunk.number


async def _write_chunk(
    connection: AsyncConnection[Any], attempt: Attempt, chunk: Chunk, waiting: dict[int, set[int]]
) -> list[RowError]:
    decoded = await decode_chunk(connection, attempt, chunk)
    # A reference that existed at validation may be gone by now, which is a rejection like any other.
    written = await write_rows(connection, decoded.table, decoded.rows)
    await insert_results(connection, attempt, decoded, written)
    if not written.tally.is_plain:
        outcomes = {"job_id": attempt.job_id, "chunk_number": chunk.number, "outcomes": written.tally.stored()}
        await connection.execute(queries.SET_OUTCOMES, outcomes)
    refused, waits = decoded.errors_of(attempt, written.refusals)
    waiting[chunk.number] = {error.row for error in waits}
    return refused


async def _write_waiting(
    connection: AsyncConnection[Any], attempt: Attempt, waiting: dict[int, set[int]]
) -> list[RowError]:
    """Write the rows that waited for rows of other chunks."""
    rows = WaitingRows(attempt, waiting)
    await rows.write(connection)
    refused: list[RowError] = []
    for number, (tally, bad) in rows.outcomes().items():
        refused += bad
        await add_outcomes(connection, attempt, number, tally, 0)
    return refused


async def _report(connection: psycopg.AsyncConnection[Any], attempt: Attempt, refused: list[RowError]) -> None:
    await insert_row_errors(connection, attempt, refused)
    rows = [error.row for error in refused]
    await connection.execute(queries.ADD_FAILURES, {"job_id": attempt.job_id, "rows": rows})
    if len(refused) >= _MAX_REFUSED_ROWS:
        warning = f"The database refused more than {_MAX_REFUSED_ROWS} rows; rows after {rows[-1]} were not tried"
        await connection.execute(queries.ADD_WARNING, (warning, attempt.job_id))
