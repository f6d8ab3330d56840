"""Background jobs alone, without imports: for tests of the engine, and for what `Bulkport` is made of."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self, Unpack

from bulkport.jobs.calls import JobCalls
from bulkport.jobs.threads import TaskThreads
from bulkport.jobs.worker import FurtherOptions, WorkerServer, new_server_name, session_mark
from bulkport.pools import AsyncPool, open_pool


class BackgroundJobs(JobCalls):
    """The background jobs of an application.

    It declares tasks and enqueues, schedules, finds and controls their jobs. It does no input or output until it is
    connected; code without an event loop uses `sync`.

    Parameters
    ----------
    engine
        Makes the engine that stores and runs the jobs, once for each connected time and each worker. Whoever looks
        at the same jobs uses the same one, and the database has its tables.
    schema
        Where Bulkport's tables are.

    Examples
    --------
    ::

        jobs = BackgroundJobs()

        @jobs.task(queue="mail", retry=RetryPolicy(max_attempts=5))
        async def send_report(context: JobContext, recipient: str) -> int: ...

        async with jobs.connect(DATABASE_URL):                       # in the application
            job_id = await jobs.enqueue(send_report, "ada@example.org")

        await jobs.run_worker(DATABASE_URL, stop)                    # in a worker process
    """

    @asynccontextmanager
    async def connect(
        self, database_url: str | None = None, *, pool: AsyncPool | None = None, most: int = 10
    ) -> AsyncIterator[Self]:
        """Be connected to the database for as long as the context lasts.

        Parameters
        ----------
        pool
            An open pool of autocommit connections to share, in place of an own one for `database_url`.
        most
            Connections of an own pool.
        """
        if (database_url is None) == (pool is None):
            raise ValueError("give either the database's URL or a pool")
        async with AsyncExitStack() as stack:
            if database_url is not None:
                pool = await stack.enter_async_context(
                    open_pool(database_url, name="jobs", most=most, schema=self.schema)
                )
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
        **options: Unpack[FurtherOptions],
    ) -> None:
        """Run jobs until `stop` is set; for parameters see `WorkerServer`.

        Tasks may enqueue jobs themselves: while it runs, this is connected, and so is `sync`.

        Parameters
        ----------
        concurrency
            Jobs that run at one time, and so the threads for sync ones.
        name
            Of the server; see `WorkerServer`.
        """
        server_name = name or new_server_name()
        threads = TaskThreads(concurrency)
        async with AsyncExitStack() as stack:
            mark = session_mark(server_name)
            if not self.sync.is_connected:
                stack.enter_context(self.sync.connect(database_url, most=concurrency, application_name=mark))
            stack.callback(threads.close)
            if self._pool is None:
                pool = open_pool(
                    database_url, name="jobs", most=concurrency, least=0, application_name=mark, schema=self.schema
                )
                await stack.enter_async_context(self.connect(pool=await stack.enter_async_context(pool)))
            engine = self._make_engine(self._pool)
            for task in self._tasks.values():
                engine.add_task(task.definition(threads))
            for definition in self.recurring.declared:
                engine.recurring.declare(definition)
            options.setdefault("schema", self.schema)
            server = WorkerServer(
                engine, database_url, queues=queues, concurrency=concurrency, name=server_name, **options
            )
            await server.run(stop)
