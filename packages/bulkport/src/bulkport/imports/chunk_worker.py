"""A lane: one background job working on one import, chunk by chunk, until the import has settled.

Every chunk that is not finished is either free to be claimed or locked by a lane whose background job has not ended;
so whatever dies, some lane will come by again.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool

from bulkport.imports import complete as settlement
from bulkport.imports import process_queries as queries
from bulkport.imports.all_or_nothing import write_checked_chunks
from bulkport.imports.attempt import Attempt, Chunk
from bulkport.imports.chunk import decode_chunk, finish_chunk
from bulkport.imports.fair_queue import Turns
from bulkport.imports.formats.prefer_header import Handling
from bulkport.imports.single_statement import can_go_express, go_express
from bulkport.imports.states import ChunkState
from bulkport.imports.write import write_rows
from bulkport.jobs.port import JobContext, RetryLater

# How long a lane works on while others wait for its slot.
_SHIFT_SECONDS: Final = 2.0
_MAX_CONFLICTS: Final = 10
# Two imports, or two chunks of one, wanted the same keys in another order: one goes first, the other again.
_CONFLICTS: Final = (errors.DeadlockDetected, errors.SerializationFailure)


class Lane:
    """Works on the chunks of one import."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], turns: Turns, attempt: Attempt, context: JobContext
    ) -> None:
        self._pool = pool
        self._turns = turns
        self._attempt = attempt
        self._context = context
        self._conflicts = 0

    async def work(self, *, others_wait: Callable[[], bool]) -> bool:
        """Process chunks until the import has settled. Returns whether it may have been cancelled.

        Raises
        ------
        RetryLater
            If the lane hands its slot over, because others wait for it or the worker stops.
        """
        if await self._went_express():
            return False
        started = time.monotonic()
        while not await self._work_once():
            if self._context.stopping:
                raise RetryLater(0)
            if time.monotonic() - started > _SHIFT_SECONDS and others_wait():
                raise RetryLater(0, lower_priority=True)
        return True

    async def _went_express(self) -> bool:
        """Process an import of one small chunk the short way. Returns whether the import has settled."""
        attempt = self._attempt
        if attempt.sole_chunk is None or not can_go_express(attempt, attempt.sole_chunk):
            return False
        async with self._turns.turn(attempt.user_id), self._pool.connection() as connection:
            try:
                return await go_express(connection, attempt, attempt.sole_chunk)
            except _CONFLICTS:
                return False

    async def _work_once(self) -> bool:
        """Process one chunk, or settle. Returns whether the import has settled."""
        try:
            async with (
                self._turns.turn(self._attempt.user_id),
                self._pool.connection() as connection,
                connection.transaction(),
            ):
                chunk = await self._claim(connection)
                if chunk is not None:
                    await self._process(connection, chunk)
                    if self._attempt.total_chunks > 1 or self._attempt.handling is Handling.STRICT:
                        return False
                    return await settlement.settle_if_done(connection, self._attempt.job_id, self._attempt.resource)
            return await self._settle()
        except _CONFLICTS:
            self._conflicts += 1
            if self._conflicts > _MAX_CONFLICTS:
                raise
            return False

    async def _claim(self, connection: AsyncConnection[Any]) -> Chunk | None:
        row = await (await connection.execute(queries.CLAIM_CHUNK, (self._attempt.job_id,))).fetchone()
        return None if row is None else Chunk(*row)

    async def _process(self, connection: AsyncConnection[Any], chunk: Chunk) -> None:
        attempt = self._attempt
        decoded = await decode_chunk(connection, attempt, chunk)
        if attempt.handling is Handling.STRICT:
            await finish_chunk(connection, attempt, chunk, decoded.errors, ChunkState.CHECKED)
            return
        refusals = await write_rows(connection, attempt.table, decoded.rows)
        found = decoded.errors + decoded.report(attempt, refusals)
        await finish_chunk(connection, attempt, chunk, found, ChunkState.DONE)

    async def _settle(self) -> bool:
        """Settle the import if nothing is left to do. Waits for the chunks that other lanes have in flight."""
        attempt = self._attempt
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                status = await settlement.lock_job(connection, attempt.job_id)
                if status is None or status.is_final:
                    return True
                if attempt.handling is not Handling.STRICT:
                    return await settlement.settle_if_done(connection, attempt.job_id, attempt.resource)
                progress = await settlement.read_progress(connection, attempt.job_id)
                if await settlement.cancel_if_asked(connection, attempt.job_id, progress):
                    return True
                if progress.pending_chunks:
                    return False
                await connection.execute("SET LOCAL lock_timeout = 0")
                await write_checked_chunks(connection, attempt, self._turns)
                return True
        except errors.LockNotAvailable:
            return False
