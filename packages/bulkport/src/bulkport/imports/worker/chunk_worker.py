"""A chunk worker: one background job working on one import, chunk by chunk, until the import has settled.

Every chunk that is not finished is either free to be claimed or locked by a chunk worker whose background job has not
ended; so whatever dies, some chunk worker will come by again.

A chunk worker takes a turn before it takes a connection, and a connection before it locks a row; it waits for no turn
while it has either. So chunk workers never wait for each other in a circle.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool

from bulkport import telemetry
from bulkport.backoff import Backoff
from bulkport.imports import complete as settlement
from bulkport.imports import process_queries as queries
from bulkport.imports.chunk import decode_chunk, finish_chunk
from bulkport.imports.results import insert_results
from bulkport.imports.states import ChunkState
from bulkport.imports.worker.all_or_nothing import checked_chunks, write_checked_chunks
from bulkport.imports.worker.attempt import Attempt, Chunk
from bulkport.imports.worker.dry_run import try_checked_chunks
from bulkport.imports.worker.fair_queue import FairQueue
from bulkport.imports.worker.read_ahead import ReadAhead
from bulkport.imports.worker.single_statement import fits_single_statement, run_single_statement
from bulkport.imports.worker.threads import off_loop
from bulkport.imports.worker.waiting_rows import write_waiting_chunks
from bulkport.imports.writing.write import write_rows
from bulkport.jobs.port import JobContext, RetryLater

# How long a chunk worker works on while others wait for its slot.
_SHIFT_SECONDS: Final = 2.0
# How long a chunk worker waits for a turn while others wait for its slot: an import of another user is among them.
_TURN_SECONDS: Final = 1.0
_MAX_CONFLICTS: Final = 10
_LONG_STATEMENT_SECONDS: Final = 1.0
"""Who cancels an import waits longer than this for the statement that does all of it."""
# Another chunk worker has a chunk of the import in flight, or writes it whole: seconds until the next look, at first
# and at most.
_FIRST_PAUSE_SECONDS: Final = 0.02
_MAX_PAUSE_SECONDS: Final = 0.5
# Two imports, or two chunks of one, locked the same keys in different orders: one of them is retried.
_CONFLICTS: Final = (errors.DeadlockDetected, errors.SerializationFailure)


class NoTurn(RetryLater):
    """The chunk worker gives up its slot, because no turn came while others wait for the slot."""

    def __init__(self) -> None:
        super().__init__(0, lower_priority=True)


class ChunkWorker:
    """Works on the chunks of one import."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        fair_queue: FairQueue,
        whole_writes: FairQueue,
        attempt: Attempt,
        context: JobContext,
    ) -> None:
        self._pool = pool
        self._fair_queue = fair_queue
        self._whole_writes = whole_writes
        self._attempt = attempt
        self._context = context
        self._read_ahead = ReadAhead(attempt)
        self._conflicts = 0
        self._pauses = Backoff(_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)

    async def work(self, *, others_wait: Callable[[], bool]) -> bool:
        """Process chunks until the import has settled. Returns whether it may have been cancelled.

        Raises
        ------
        RetryLater
            If the chunk worker hands its slot over, because others wait for it or the worker stops.
        """
        if await self._ran_single_statement():
            return False
        started = time.monotonic()
        try:
            while not await self._work_once(others_wait):
                if self._context.stopping:
                    raise RetryLater(0)
                if time.monotonic() - started > _SHIFT_SECONDS and others_wait():
                    raise RetryLater(0, lower_priority=True)
        finally:
            await self._read_ahead.drop()
        return True

    async def _ran_single_statement(self) -> bool:
        """Process an import of one small chunk the short way. Returns whether the import has settled."""
        attempt = self._attempt
        if attempt.sole_chunk is None or not fits_single_statement(attempt, attempt.sole_chunk):
            return False
        async with self._fair_queue.turn(attempt.user_id), self._pool.connection() as connection:
            try:
                started = time.monotonic()
                with telemetry.span("bulkport.chunk", import_id=attempt.job_id, chunk=0):
                    has_settled = await run_single_statement(connection, attempt, attempt.sole_chunk)
            except _CONFLICTS:
                return False
            if has_settled and time.monotonic() - started > _LONG_STATEMENT_SECONDS:
                await settlement.roll_back_if_asked(connection, attempt.job_id, attempt.resource)
            return has_settled

    @asynccontextmanager
    async def _turn(self, others_wait: Callable[[], bool]) -> AsyncIterator[None]:
        """Wait for a turn; raises NoTurn if none comes while others wait for the slot."""
        async with AsyncExitStack() as stack:
            while True:
                try:
                    async with asyncio.timeout(_TURN_SECONDS):
                        await stack.enter_async_context(self._fair_queue.turn(self._attempt.user_id))
                    break
                except TimeoutError:
                    if others_wait() and not self._attempt.is_short:
                        raise NoTurn from None
            yield

    async def _work_once(self, others_wait: Callable[[], bool]) -> bool:
        """Process one chunk, or settle. Returns whether the import has settled."""
        try:
            async with self._turn(others_wait), self._pool.connection() as connection, connection.transaction():
                chunk = await self._claim(connection)
                if chunk is not None:
                    self._pauses.reset()
                    with telemetry.span("bulkport.chunk", import_id=self._attempt.job_id, chunk=chunk.number):
                        await self._process(connection, chunk)
                    if self._attempt.total_chunks > 1 or self._attempt.writes_whole:
                        return False
                    return await settlement.settle_if_done(connection, self._attempt.job_id, self._attempt.resource)
            await self._read_ahead.drop()  # waiting rows are validated too
            if await self._settle():
                return True
        except _CONFLICTS:
            self._conflicts += 1
            if self._conflicts > _MAX_CONFLICTS:
                raise
            return False
        await asyncio.sleep(self._pauses.next_delay())
        return False

    async def _claim(self, connection: AsyncConnection[Any]) -> Chunk | None:
        # The chunk decoded ahead, or the next one; where order counts, whichever is first.
        ahead = None if self._attempt.goes_in_order else self._read_ahead.number
        for first in (0,) if ahead is None else (ahead, 0):
            wanted = {"job_id": self._attempt.job_id, "first": first}
            row = await (await connection.execute(queries.CLAIM_CHUNK, wanted, binary=True)).fetchone()
            if row is not None:
                return Chunk(*row)
        return None

    async def _process(self, connection: AsyncConnection[Any], chunk: Chunk) -> None:
        attempt = self._attempt
        decoded = await decode_chunk(connection, attempt, chunk, batch=await self._read_ahead.take(chunk))
        if attempt.writes_whole:
            await finish_chunk(connection, attempt, chunk, decoded.errors, ChunkState.CHECKED, decoded=decoded)
            return
        await self._read_ahead.begin(connection, chunk)
        written = await write_rows(connection, decoded.table, decoded.rows)
        await insert_results(connection, attempt, decoded, written)
        refusals = written.refusals
        found, waiting = await off_loop(len(refusals), partial(decoded.errors_of, attempt, refusals))
        state = ChunkState.WAITING if waiting and attempt.total_chunks > 1 else ChunkState.DONE
        if state is ChunkState.DONE:
            found, waiting = found + waiting, []
        await finish_chunk(
            connection,
            attempt,
            chunk,
            found,
            state,
            decoded=decoded,
            tally=written.tally,
            waiting=[error.row for error in waiting],
        )

    async def _settle(self) -> bool:
        """Complete the import if nothing is left to do, without waiting for chunks in progress elsewhere."""
        try:
            if self._attempt.writes_whole:
                return await self._settle_whole()
            async with self._pool.connection() as connection, connection.transaction():
                status = await settlement.lock_job(connection, self._attempt.job_id, waits=False)
                if status is None or status.is_final:
                    return True
                if self._attempt.total_chunks > 1:
                    progress = await settlement.read_progress(connection, self._attempt.job_id)
                    if progress.unfinished_chunks and not progress.pending_chunks:
                        await write_waiting_chunks(connection, self._attempt)
                return await settlement.settle_if_done(connection, self._attempt.job_id, self._attempt.resource)
        except errors.LockNotAvailable:
            return False

    async def _settle_whole(self) -> bool:
        """Write all rows of a strict import, once all are checked. Returns whether the import has settled."""
        attempt = self._attempt
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_SHIFT_SECONDS):
                    await stack.enter_async_context(self._whole_writes.turn(attempt.user_id))
            except TimeoutError:
                return False
            connection = await stack.enter_async_context(self._pool.connection())
            await stack.enter_async_context(connection.transaction())
            status = await settlement.lock_job(connection, attempt.job_id, waits=False)
            if status is None or status.is_final:
                return True
            progress = await settlement.read_progress(connection, attempt.job_id)
            if await settlement.cancel_if_asked(connection, attempt.job_id, progress):
                return True
            if progress.pending_chunks:
                return False
            if attempt.write.dry_run:
                await try_checked_chunks(connection, attempt, checked_chunks)
            else:
                await write_checked_chunks(connection, attempt)
            return True
