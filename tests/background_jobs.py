"""Background jobs alone, without imports, on any engine and with any options of a worker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

from bulkport.jobs.calls import JobCalls
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.threads import TaskThreads
from bulkport.jobs.worker import WorkerServer, new_server_name, session_mark
from bulkport.pools import AsyncPool, open_pool


class BackgroundJobs(JobCalls):
    """What `Bulkport` is, as far as jobs go; it takes a database's URL with each call that needs one."""

    @asynccontextmanager
    async def connect(
        self, database_url: str | None = None, *, pool: AsyncPool | None = None, most: int = 10
    ) -> AsyncIterator[Self]:
        """Be connected by an own pool of `most` connections, or by `pool`."""
        async with AsyncExitStack() as stack:
            if pool is None:
                assert database_url is not None
                opening = open_pool(database_url, name="jobs", most=most, schema=self.schema)
                pool = await stack.enter_async_context(opening)
            link = pool, self._make_engine(pool)
            self._links.append(link)
            try:
                yield self
            finally:
                self._links.remove(link)

    async def run_worker(
        self,
        database_url: str,
        stop: asyncio.Event,
        *,
        queues: Sequence[str] | None = None,
        concurrency: int = 20,
        name: str | None = None,
        **options: Any,
    ) -> None:
        """Run jobs until `stop` is set; `options` are those of `WorkerOptions`."""
        server_name = name or new_server_name()
        threads = TaskThreads(concurrency)
        async with AsyncExitStack() as stack:
            mark = session_mark(server_name)
            if not self.sync.is_connected:
                stack.enter_context(self.sync.connect(database_url, most=concurrency, application_name=mark))
            stack.callback(threads.close)
            if self._pool is None:
                opening = open_pool(
                    database_url, name="jobs", most=concurrency, least=0, application_name=mark, schema=self.schema
                )
                await stack.enter_async_context(self.connect(pool=await stack.enter_async_context(opening)))
            engine = self.engine_for_worker(self._pool, threads)
            given = {"schema": self.schema, "queues": queues, "concurrency": concurrency} | options
            await WorkerServer(engine, WorkerOptions(database_url, server_name, **given)).run(stop)
