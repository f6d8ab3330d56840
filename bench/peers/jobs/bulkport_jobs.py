"""The product, as an application uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg_pool import AsyncConnectionPool

from bench.peers.jobs.system import CONCURRENCY, ORDER_ROW, ROW_TABLE, JobClient, mark, stamp
from bulkport import Bulkport, WorkerSettings, run_until_signal
from bulkport import migrations as schema

jobs = Bulkport(None)


@jobs.task(name="nothing")
async def nothing() -> None:
    """Do nothing."""
    mark()


@jobs.task(name="stamp")
async def tell(sent: float) -> None:
    """Tell how long ago `sent` was."""
    stamp(sent)


class _Client:
    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def enqueue_one(self) -> None:
        await jobs.enqueue(nothing)

    async def enqueue_many(self, count: int) -> None:
        await jobs.enqueue_many([nothing.call() for _ in range(count)])

    async def enqueue_with_row(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(ORDER_ROW)
            await jobs.enqueue(nothing, connection=connection)

    async def enqueue_stamp(self, sent: float) -> None:
        await jobs.enqueue(tell, sent)

    async def read_statistics(self) -> None:
        await jobs.statistics()


class BulkportJobs:
    """See `JobSystem`."""

    def __init__(self, url: str) -> None:
        self._url = jobs.database_url = url

    async def install(self) -> None:
        """See `JobSystem.install`."""
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute(schema.upgrade_sql())
            await connection.execute(ROW_TABLE)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[JobClient]:
        """See `JobSystem.client`."""
        async with jobs.connect(), AsyncConnectionPool(self._url, min_size=1, open=False) as pool:
            yield _Client(pool)

    def work(self) -> None:
        """See `JobSystem.work`."""
        settings = WorkerSettings(concurrency=CONCURRENCY)
        run_until_signal(lambda stop: jobs.run_worker(stop, settings=settings))
