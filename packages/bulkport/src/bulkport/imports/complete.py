"""Completes an import: writes its final status once, with everything that commits together with it.

A chunk worker holds `FOR SHARE` on the job's row while it works on a chunk, and settling takes `FOR UPDATE`: so the
counts that are written here are those of every committed chunk, and no chunk can be committed after them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport import telemetry
from bulkport.identifiers import ImportId
from bulkport.imports import queries
from bulkport.imports.resource import Resource
from bulkport.imports.states import CancellationAsker, ImportStatus
from bulkport.imports.summary import (
    MAX_SUMMARY_ERRORS,
    MAX_WARNED_FIELDS,
    cancelled_summary,
    dropped_rows_warnings,
    error_summary,
    fatal_summary,
    unknown_fields_warnings,
)
from bulkport.imports.undo import roll_back
from bulkport.imports.validation import once
from bulkport.imports.writing.server_encoding import server_codec, storable

_MAX_UNREPORTED_KINDS: Final = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """Sums over a job's chunks."""

    processed_count: int
    success_count: int
    failure_count: int
    pending_chunks: int
    """Chunks that are neither finished nor validated."""
    unfinished_chunks: int
    """Chunks that are not done; under strict handling checked ones count here too."""
    outcomes: list[int] | None
    """Rows created, updated, unchanged, skipped, deleted and dropped; None where all successes were created."""
    unknown_fields: list[str]
    """The first of the fields that rows have and the resource does not, by name."""
    remarks: list[str]
    """What is odd about the rows."""
    is_to_be_rolled_back: bool
    """Whether cancelling the job and removing its rows was requested."""


async def read_progress(connection: AsyncConnection[Any], job_id: ImportId) -> Progress:
    """How far the job is, by its committed chunks (and those of this transaction)."""
    # One more than is shown: there are others.
    parameters = {"job_id": job_id, "most_fields": MAX_WARNED_FIELDS + 1}
    row = await (await connection.execute(queries.SELECT_PROGRESS, parameters)).fetchone()
    assert row is not None
    return Progress(*row)


async def settle_if_done(connection: AsyncConnection[Any], job_id: ImportId, resource: Resource) -> bool:
    """Settle a job that has no unfinished chunk, or is to be cancelled; inside the caller's transaction.

    A job cancelled during its last chunk completes, unless its rows are to be removed, which they are.

    Returns
    -------
    Whether the job is settled now, by this call or an earlier one.
    """
    status = await lock_job(connection, job_id)
    if status is None or status.is_final:
        return True
    progress = await read_progress(connection, job_id)
    if progress.unfinished_chunks or progress.is_to_be_rolled_back:
        return await cancel_if_asked(connection, job_id, progress, resource)
    final = ImportStatus.of_counts(success_count=progress.success_count, failure_count=progress.failure_count)
    with telemetry.span("bulkport.complete", import_id=job_id, status=str(final)):
        summary = await summarize_rows(connection, job_id, resource, progress)
        await settle(connection, job_id, final, progress, summary, known_fields=resource.wire_names.values())
    return True


async def fail(connection: AsyncConnection[Any], job_id: ImportId, message: str) -> bool:
    """Settle a job as Failed with `Fatal error: MESSAGE`, inside the caller's transaction.

    Rows of finished chunks stay; under strict handling there are none. Returns whether this call settled it.
    """
    status = await lock_job(connection, job_id)
    if status is None or status.is_final:
        return False
    progress = await read_progress(connection, job_id)
    await settle(connection, job_id, ImportStatus.FAILED, progress, fatal_summary(message))
    return True


async def is_to_be_cancelled(connection: AsyncConnection[Any], job_id: ImportId) -> bool:
    """Whether cancelling the job was requested."""
    return (await connection.execute(queries.SELECT_CANCELLATION, (job_id,))).rowcount > 0


async def is_cancelled(connection: AsyncConnection[Any], job_id: ImportId) -> bool:
    """Whether the job has settled as Cancelled."""
    row = await (await connection.execute(queries.SELECT_STATUS, (job_id,))).fetchone()
    return row is not None and ImportStatus(row[0]) is ImportStatus.CANCELLED


async def awaits_body(connection: AsyncConnection[Any], job_id: ImportId) -> bool:
    """Whether the job's body is still to be fetched."""
    row = await (await connection.execute(queries.SELECT_AWAITS_BODY, (job_id,))).fetchone()
    return row is not None and bool(row[0])


async def cancel_if_asked(
    connection: AsyncConnection[Any], job_id: ImportId, progress: Progress, resource: Resource | None = None
) -> bool:
    """Complete a job as Cancelled if that was requested. The caller holds the job's lock.

    Rows of finished chunks stay, unless it was asked to remove them; under strict handling there are none. Returns
    whether it is settled now.

    Parameters
    ----------
    resource:
        The job's, where rows of it may be stored.
    """
    asked = await (await connection.execute(queries.SELECT_CANCELLATION, (job_id,))).fetchone()
    if asked is None:
        return False
    summary = cancelled_summary(CancellationAsker(asked[0]), progress.success_count)
    await settle(connection, job_id, ImportStatus.CANCELLED, progress, summary)
    row = await (await connection.execute(queries.DELETE_CANCELLATION, (job_id,))).fetchone()
    if row is not None and row[0] and resource is not None:
        await roll_back(connection, job_id, resource)
    return True


async def roll_back_if_asked(connection: AsyncConnection[Any], job_id: ImportId, resource: Resource) -> None:
    """Remove the rows of a job that ended before a requested rollback took effect; on an autocommit connection."""
    async with connection.transaction():
        row = await (await connection.execute(queries.DELETE_CANCELLATION, (job_id,))).fetchone()
        if row is not None and row[0]:
            await roll_back(connection, job_id, resource)


async def settle(
    connection: AsyncConnection[Any],
    job_id: ImportId,
    status: ImportStatus,
    progress: Progress,
    summary: str | None,
    *,
    known_fields: Iterable[str] = (),
) -> None:
    """Write the final status and counts, and delete remaining payloads. The caller holds the job's lock."""
    await connection.execute(
        queries.SETTLE_JOB,
        {
            "job_id": job_id,
            "status": status,
            "processed_count": progress.processed_count,
            "success_count": progress.success_count,
            "failure_count": progress.failure_count,
            "outcomes": progress.outcomes,
            "error_summary": storable(summary, server_codec(connection)) if summary else summary,
            "warnings": json.dumps(
                [
                    *unknown_fields_warnings(progress.unknown_fields, list(known_fields)),
                    *dropped_rows_warnings(progress.outcomes),
                    *once(progress.remarks),
                    *await _unreported(connection, job_id, progress),
                ]
            ),
        },
    )
    if progress.unfinished_chunks:
        await connection.execute(queries.DROP_PAYLOADS, (job_id,))


async def _unreported(connection: AsyncConnection[Any], job_id: ImportId, progress: Progress) -> list[str]:
    """What the warnings say of bad rows that are not in the report."""
    if not progress.failure_count:
        return []
    rows = await (await connection.execute(queries.UNREPORTED_ERRORS, (job_id, _MAX_UNREPORTED_KINDS))).fetchall()
    return [
        f"{count:,} more rejected rows are not in the report: {f'{field}: ' if field else ''}{message}"
        for field, message, count in rows
    ]


async def summarize_rows(
    connection: AsyncConnection[Any], job_id: ImportId, resource: Resource, progress: Progress
) -> str | None:
    """The job's `errorSummary` by its bad rows."""
    if not progress.failure_count:
        return None
    cursor = await connection.execute(queries.SELECT_FIRST_ROW_ERRORS, (job_id, MAX_SUMMARY_ERRORS))
    return error_summary(resource, await cursor.fetchall(), progress.failure_count)


async def lock_job(connection: AsyncConnection[Any], job_id: ImportId, *, waits: bool = True) -> ImportStatus | None:
    """Lock the job's row; its status, or None when it was pruned.

    Parameters
    ----------
    waits:
        Whether to wait for chunks in flight.

    Raises
    ------
    psycopg.errors.LockNotAvailable
        Chunks are in flight, and this does not wait.
    """
    statement = queries.LOCK_JOB if waits else queries.LOCK_FREE_JOB
    row = await (await connection.execute(statement, (job_id,))).fetchone()
    return None if row is None else ImportStatus(row[0])
