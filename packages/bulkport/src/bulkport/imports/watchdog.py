"""The last line of defence against an import that nobody works on.

An import and its background job are queued in one transaction, and the job ends only when the import has settled. Yet
an operator may delete background jobs, or restore half a database. So each worker looks from time to time for
unfinished imports whose background job is gone or has ended, and queues them anew.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
import psycopg_pool

from bulkport.identifiers import BackgroundJobId
from bulkport.imports import process_queries as queries
from bulkport.imports.process import IMPORT_QUEUE, PROCESS_IMPORT
from bulkport.jobs.port import JobEngine, NewJob
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool

_INTERVAL_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 10.0
"""Age below which an unfinished import is nobody's business: its job may just be settling it."""

_log = get_logger(__name__)


class Watchdog:
    """Queues imports anew whose background job was lost."""

    def __init__(self, pool: AsyncPool, engine: JobEngine) -> None:
        self._pool = pool
        self._engine = engine

    @asynccontextmanager
    async def beside(self, interval_seconds: float = _INTERVAL_SECONDS) -> AsyncIterator[None]:
        """Look every `interval_seconds` for as long as the context lasts."""
        watching = asyncio.create_task(self._watch(interval_seconds), name="import watchdog")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def look(self, grace_seconds: float = _GRACE_SECONDS) -> int:
        """Look once. Returns how many imports were queued anew."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(queries.UNFINISHED_JOBS, (grace_seconds,))).fetchall()
            requeued = 0
            for import_id, background_job_id, user_id in rows:
                job = await self._engine.look_up(BackgroundJobId(background_job_id), connection)
                if job is None or job.state.is_final:
                    requeued += await self._requeue(connection, import_id, background_job_id, user_id)
            return requeued

    async def _requeue(
        self, connection: psycopg.AsyncConnection[object], import_id: int, lost_job_id: str, user_id: str
    ) -> bool:
        async with connection.transaction():
            # Several workers look: the one that still finds the lost job's id under the lock does it.
            cursor = await connection.execute(queries.LOCK_LOST_JOB, (import_id, lost_job_id))
            if await cursor.fetchone() is None:
                return False
            new_id = await self._engine.enqueue(
                connection, NewJob(PROCESS_IMPORT, {"import_id": import_id}, IMPORT_QUEUE, user_id=user_id)
            )
            await connection.execute(queries.REPLACE_BACKGROUND_JOB, (new_id, import_id))
        _log.warning("import had lost its background job and was queued anew", import_id=import_id, job_id=new_id)
        return True

    async def _watch(self, interval_seconds: float) -> None:
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.look()
            except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
                _log.warning("looking for lost imports failed", error=str(error).strip())
