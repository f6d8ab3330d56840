"""PgQueuer with asyncpg, the driver its documentation starts with.

With psycopg, its one connection listens for up to a second before it takes the next statement.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]  # ships no types
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.peers.jobs.system import CONCURRENCY, ORDER_ROW, ROW_TABLE, JobClient, mark, stamp


class _Client:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._queries = Queries(AsyncpgDriver(connection))

    async def enqueue_one(self) -> None:
        await self._queries.enqueue("nothing", None)

    async def enqueue_many(self, count: int) -> None:
        await self._queries.enqueue(["nothing"] * count, [None] * count, [0] * count)

    async def enqueue_with_row(self) -> None:
        async with self._connection.transaction():
            await self._connection.execute(ORDER_ROW)
            await self._queries.enqueue("nothing", None)

    async def enqueue_stamp(self, sent: float) -> None:
        await self._queries.enqueue("stamp", repr(sent).encode())


class PgQueuerJobs:
    """See `JobSystem`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def install(self) -> None:
        """See `JobSystem.install`."""
        async with self._connection() as connection:
            await Queries(AsyncpgDriver(connection)).install()
            await connection.execute(ROW_TABLE)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[JobClient]:
        """See `JobSystem.client`."""
        async with self._connection() as connection:
            yield _Client(connection)

    def work(self) -> None:
        """See `JobSystem.work`."""

        async def run() -> None:
            async with self._connection() as connection:
                queuer = PgQueuer(AsyncpgDriver(connection))
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queuer.shutdown.set)

                @queuer.entrypoint("nothing")
                async def nothing(_job: Job) -> None:
                    mark()

                @queuer.entrypoint("stamp")
                async def tell(job: Job) -> None:
                    stamp(float(job.payload or b"nan"))

                await queuer.run(batch_size=CONCURRENCY // 2, max_concurrent_tasks=CONCURRENCY)

        uvloop.run(run())

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        parts = urlsplit(self._url)
        options = parse_qs(parts.query)
        connection = await asyncpg.connect(
            host=options.get("host", [parts.hostname])[0],
            port=int(options.get("port", [parts.port or 5432])[0]),
            user=parts.username,
            password=parts.password,
            database=parts.path.removeprefix("/"),
        )
        try:
            yield connection
        finally:
            await connection.close()
