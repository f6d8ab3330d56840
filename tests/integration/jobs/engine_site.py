"""A database with the engine in it, as a test sees it: jobs to queue, workers to run, facts to wait for."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import engine_worker
import psycopg

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import BackgroundJob, JobState, JSONValue
from bulkport.jobs.port import NewJob, WorkerOptions
from bulkport.jobs.port.control import Cancel
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.worker import WorkerServer
from forked_processes import ForkedProcess

WAIT_SECONDS = 90.0
HASTY = {"heartbeat": 0.25, "stalled": 1.25}
"""Settings of a worker process whose death is detected quickly."""


class EngineSite:
    """The database of a test and what runs on it."""

    def __init__(self, url: str, connection: psycopg.AsyncConnection[Any]) -> None:
        self.url = url
        self.connection = connection
        self.engine = PostgresEngine()

    async def enqueue(self, task: str, /, **args: JSONValue) -> BackgroundJobId:
        return await self.add(NewJob(task, args))

    async def add(self, job: NewJob) -> BackgroundJobId:
        return await self.engine.enqueue(self.connection, job)

    async def job(self, job_id: BackgroundJobId) -> BackgroundJob:
        job = await self.engine.look_up(job_id, self.connection)
        assert job is not None
        return job

    async def cancel(self, job_id: BackgroundJobId) -> bool:
        """Whether there was something to cancel."""
        (result,) = await self.engine.control.order(Cancel(), [job_id], self.connection)
        return result.effect.is_done

    async def reaches(self, job_id: BackgroundJobId, state: JobState) -> BackgroundJob:
        async def has() -> bool:
            job = await self.job(job_id)
            assert job.state is state or not job.state.is_final, job
            return job.state is state

        await eventually(has, f"job {job_id} {state}")
        return await self.job(job_id)

    async def events(self, job_id: BackgroundJobId | None = None, *, worker: str | None = None) -> list[str]:
        cursor = await self.connection.execute(
            "SELECT event FROM runs WHERE (%(job)s::text IS NULL OR job_id = %(job)s)"
            " AND (%(worker)s::text IS NULL OR worker = %(worker)s) ORDER BY id",
            {"job": job_id, "worker": worker},
        )
        return [row[0] for row in await cursor.fetchall()]

    async def happens(
        self, event: str, job_id: BackgroundJobId | None = None, *, worker: str | None = None, times: int = 1
    ) -> None:
        async def has() -> bool:
            return (await self.events(job_id, worker=worker)).count(event) >= times

        await eventually(has, f"event {event}")

    async def open_gate(self, name: str = "gate") -> None:
        await self.connection.execute("INSERT INTO gates VALUES (%s)", (name,))

    async def value(self, query: str, *arguments: object) -> Any:
        row = await (await self.connection.execute(query, arguments)).fetchone()  # type: ignore[call-overload]
        return None if row is None else row[0]

    async def servers(self) -> list[str]:
        cursor = await self.connection.execute("SELECT name FROM bulkport.servers ORDER BY name")
        return [row[0] for row in await cursor.fetchall()]

    async def serving(self, name: str) -> None:
        async def is_registered() -> bool:
            return name in await self.servers()

        await eventually(is_registered, f"server {name}")

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[engine_worker.Tasks]:
        """A worker in this process."""
        name = options.pop("name", None) or f"here-{uuid.uuid4().hex}"
        engine, tasks, stop = PostgresEngine(), engine_worker.Tasks(self.url, name), asyncio.Event()
        tasks.declare(engine)
        server = WorkerServer(engine, WorkerOptions(self.url, name, **options))
        running = asyncio.create_task(server.run(stop))
        try:
            await self.serving(name)
            yield tasks
        finally:
            stop.set()
            await running

    @asynccontextmanager
    async def cancelled_worker(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """A worker in this process, and a function that cancels its coroutine."""
        engine = PostgresEngine()
        engine_worker.Tasks(self.url, "cancelled").declare(engine)
        server = WorkerServer(engine, WorkerOptions(self.url, "cancelled"))
        running = asyncio.create_task(server.run(asyncio.Event()))

        async def cancel() -> None:
            running.cancel()
            await asyncio.wait({running})

        try:
            await self.serving("cancelled")
            yield cancel
        finally:
            await cancel()

    @asynccontextmanager
    async def process(self, name: str, **options: float) -> AsyncIterator["WorkerProcess"]:
        """A worker process; killed at the end if it still runs."""
        arguments = [f"--{option}={value}" for option, value in options.items()]
        process = WorkerProcess([str(Path(engine_worker.__file__)), self.url, name, *arguments])
        try:
            await self.serving(name)
            yield process
        finally:
            process.close()


class WorkerProcess(ForkedProcess):
    """A worker whose end is awaited together with other events."""

    async def ends(self) -> int:
        """Wait for its end; its exit code."""

        async def has_ended() -> bool:
            return self.poll() is not None

        await eventually(has_ended, f"the end of process {self.pid}")
        return self.wait()


open_batch = PostgresEngine().open_batch
seal_batch = PostgresEngine().seal_batch


async def eventually(check: Callable[[], Awaitable[bool]], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until `check` passes."""
    try:
        async with asyncio.timeout(seconds):
            while not await check():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"did not happen in {seconds} s: {what}") from None
