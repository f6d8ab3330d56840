"""The last line of defence against imports without a background job.

An import and its background job are queued in one transaction, and the job ends only when the import has settled. Yet
an operator may delete background jobs, or restore half a database. So each worker looks from time to time for
unfinished imports whose background job is gone or has ended, and queues them anew.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
import psycopg_pool

from bulkport.identifiers import BackgroundJobId
from bulkport.imports import process_queries as queries
from bulkport.imports.process import IMPORT_QUEUE, PROCESS_LARGE_IMPORT
from bulkport.jobs.port import JobEngine, NewJob
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool
from bulkport.task_scope import background_task

_INTERVAL_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 10.0
"""Age below which an unfinished import is left alone: its job may be just completing it."""
_PAGE: Final = 1_000
"""Unfinished imports that are looked at together."""

_log = get_logger(__name__)


class Watchdog:
    """Requeues imports whose background job was lost."""

    def __init__(self, pool: AsyncPool, engine: JobEngine) -> None:
        self._pool = pool
        self._engine = engine

    @asynccontextmanager
    async def running(self, interval_seconds: float = _INTERVAL_SECONDS) -> AsyncIterator[None]:
        """Look every `interval_seconds` for as long as the context lasts."""
        async with background_task(self._watch(interval_seconds), "import watchdog"):
            yield

    async def look(self, grace_seconds: float = _GRACE_SECONDS) -> int:
        """Check all unfinished imports once, with two statements per thousand. Returns how many were requeued."""
        requeued, after, is_more = 0, 0, True
        while is_more:
            async with self._pool.connection() as connection:
                page = {"after": after, "grace": grace_seconds, "most": _PAGE}
                rows = await (await connection.execute(queries.UNFINISHED_JOBS, page)).fetchall()
                if not rows:
                    break
                after, is_more = rows[-1][0], len(rows) == _PAGE
                living = await self._engine.unfinished_among([BackgroundJobId(job) for _, job in rows], connection)
                lost = [(import_id, job) for import_id, job in rows if job not in living]
                if lost:
                    requeued += await self._requeue(connection, lost)
        return requeued

    async def _requeue(self, connection: psycopg.AsyncConnection[Any], lost: list[tuple[int, str]]) -> int:
        async with connection.transaction():
            given = {"ids": [import_id for import_id, _ in lost], "background_job_ids": [job for _, job in lost]}
            locked = await (await connection.execute(queries.LOCK_LOST_JOBS, given)).fetchall()
            if not locked:
                return 0
            enqueued = await self._engine.enqueue_many(
                connection,
                [
                    NewJob(PROCESS_LARGE_IMPORT, {"import_id": import_id}, IMPORT_QUEUE, user_id=user_id)
                    for import_id, user_id in locked
                ],
            )
            ids = [import_id for import_id, _ in locked]
            anew = {"ids": ids, "background_job_ids": [str(job.id) for job in enqueued]}
            await connection.execute(queries.REPLACE_BACKGROUND_JOBS, anew)
        _log.warning("imports had lost their background jobs and were enqueued again", imports=len(ids), first=ids[0])
        return len(ids)

    async def _watch(self, interval_seconds: float) -> None:
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.look()
            except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
                _log.warning("search for lost imports failed", error=str(error).strip())
