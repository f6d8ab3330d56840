"""Procrastinate alone, on its own schema."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate
import uvloop
from psycopg_pool import AsyncConnectionPool

from bench.peers.jobs.system import CONCURRENCY, ORDER_ROW, ROW_TABLE, JobClient, mark, stamp


class _Client:
    def __init__(self, app: procrastinate.App, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._nothing = app.tasks["nothing"]
        self._stamp = app.tasks["stamp"]

    async def enqueue_one(self) -> None:
        await self._nothing.defer_async()

    async def enqueue_many(self, count: int) -> None:
        await self._nothing.batch_defer_async(*({} for _ in range(count)))

    async def enqueue_with_row(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(ORDER_ROW)
            await self._nothing.configure(connection=connection).defer_async()

    async def enqueue_stamp(self, sent: float) -> None:
        await self._stamp.defer_async(sent=sent)


class Bare:
    """See `JobSystem`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

        @self._app.task(name="nothing")
        async def nothing() -> None:
            mark()

        @self._app.task(name="stamp")
        async def tell(sent: float) -> None:
            stamp(sent)

    async def install(self) -> None:
        """See `JobSystem.install`."""
        async with self._app.open_async(), AsyncConnectionPool(self._url, min_size=1, open=False) as pool:
            await self._app.schema_manager.apply_schema_async()
            async with pool.connection() as connection:
                await connection.execute(ROW_TABLE)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[JobClient]:
        """See `JobSystem.client`."""
        async with self._app.open_async(), AsyncConnectionPool(self._url, min_size=1, open=False) as pool:
            yield _Client(self._app, pool)

    def work(self) -> None:
        """See `JobSystem.work`."""

        async def run() -> None:
            async with self._app.open_async():
                await self._app.run_worker_async(concurrency=CONCURRENCY)

        uvloop.run(run())
