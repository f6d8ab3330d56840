"""Cancels an import: chunk workers check the request before each chunk, and the import completes as `Cancelled`.

A chunk worker in the middle of a chunk finishes it, and then settles the import itself. Where no chunk worker
has a chunk in hand, the one who asks settles it.
"""

from enum import StrEnum
from typing import Any, Final

from psycopg import AsyncConnection, errors

from bulkport.identifiers import ImportId
from bulkport.imports import complete as settlement
from bulkport.imports import queries
from bulkport.imports.resource import Resource
from bulkport.imports.states import CancellationAsker, ImportStatus

_WAIT_FOR_CHUNKS: Final = "SET LOCAL lock_timeout = '2s'"


class CancelEffect(StrEnum):
    """The outcome."""

    CANCELLED = "cancelled"
    STOPPING = "stopping"
    """It is cancelled once the chunks in progress are finished, which takes too long to wait for."""
    ALREADY_ENDED = "already ended"
    UNKNOWN = "unknown"
    """There is no such import."""


async def cancel_import(
    connection: AsyncConnection[Any], job_id: ImportId, asker: CancellationAsker, *, rolled_back: Resource | None = None
) -> CancelEffect:
    """Cancel an import, on an autocommit connection. To do it again does no harm.

    Waits up to 2 s for chunks in progress.

    Parameters
    ----------
    asker:
        Who wants it: the import's summary names the first one who asks.
    rolled_back:
        The import's resource, if its rows are removed too, in the transaction that cancels it.
    """
    is_new = await request_cancellation(connection, job_id, asker, rolls_back=rolled_back is not None)
    return await settle_cancellation(connection, job_id, rolled_back=rolled_back, is_new=is_new)


async def request_cancellation(
    connection: AsyncConnection[Any], job_id: ImportId, asker: CancellationAsker, *, rolls_back: bool
) -> bool:
    """Write that an import is to stop, for its chunk workers and `settle_cancellation`.

    To be committed at once: what waits for the job's lock must not let chunk workers begin chunk after chunk meanwhile.
    Returns whether it is news.
    """
    request = {"job_id": job_id, "rolls_back": rolls_back, "asked_by": asker}
    return (await connection.execute(queries.REQUEST_CANCELLATION, request)).rowcount > 0


async def settle_cancellation(
    connection: AsyncConnection[Any], job_id: ImportId, *, rolled_back: Resource | None, is_new: bool
) -> CancelEffect:
    """Cancel an import for which that was requested; the rest is as in `cancel_import`."""
    try:
        async with connection.transaction():
            await connection.execute(_WAIT_FOR_CHUNKS)
            status = await settlement.lock_job(connection, job_id)
            if status is None or status.is_final:
                # Of an import that ended by itself meanwhile.
                await connection.execute(queries.DELETE_CANCELLATION, (job_id,))
                return _effect(status, is_new=is_new)
            progress = await settlement.read_progress(connection, job_id)
            is_written = not progress.unfinished_chunks and not progress.is_to_be_rolled_back
            if is_written and not await settlement.awaits_body(connection, job_id):
                # All rows are written, and a chunk worker is about to say so.
                await connection.execute(queries.DELETE_CANCELLATION, (job_id,))
                return CancelEffect.ALREADY_ENDED
            if await settlement.cancel_if_asked(connection, job_id, progress, rolled_back):
                return CancelEffect.CANCELLED
            return CancelEffect.UNKNOWN
    except errors.LockNotAvailable:
        return CancelEffect.STOPPING


def _effect(status: ImportStatus | None, *, is_new: bool) -> CancelEffect:
    if status is None:
        return CancelEffect.UNKNOWN
    return CancelEffect.CANCELLED if is_new and status is ImportStatus.CANCELLED else CancelEffect.ALREADY_ENDED
