"""An application chooses its engine: everything that it asks of its jobs goes to the engine that it has passed.

The second engine here has ids of its own for jobs and batches, and names of its own for its servers. The default
one knows none of them, so whatever went to that one would find nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest
from public_site import PublicSite

from background_jobs import BackgroundJobs
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import (
    BackgroundJob,
    Effect,
    EnqueuedJob,
    JobContext,
    JobQuery,
    JobState,
    WorkerOptions,
)
from bulkport.jobs.connections import AnyConnection
from bulkport.jobs.port import Connection, NewJob
from bulkport.jobs.port.control import Order, OrderResult
from bulkport.jobs.port.details import BatchStatus, JobDetails
from bulkport.jobs.port.query import JobPage
from bulkport.jobs.port.queueing import SyncConnection
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.postgres.control import JobController
from bulkport.jobs.postgres.reading import PostgresJobReader
from bulkport.jobs.postgres.recurring import PostgresRecurringStore
from bulkport.pools import AsyncPool

PREFIX = "second-"


def outer(job_id: BackgroundJobId) -> BackgroundJobId:
    return BackgroundJobId(f"{PREFIX}{job_id}")


def inner(job_id: BackgroundJobId) -> BackgroundJobId:
    assert job_id.startswith(PREFIX), f"{job_id} is no id of the second engine"
    return BackgroundJobId(job_id.removeprefix(PREFIX))


def inner_job(job: NewJob) -> NewJob:
    parents = tuple(
        replace(parent, batch_id=-parent.batch_id)
        if parent.batch_id is not None
        else replace(parent, job_id=parent.job_id and inner(parent.job_id))
        for parent in job.parents
    )
    return replace(job, parents=parents, batch_id=None if job.batch_id is None else -job.batch_id)


class SecondReader(PostgresJobReader):
    async def search(self, query: JobQuery, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        page = await super().search(query, cursor=cursor, limit=limit)
        return replace(page, items=tuple(replace(job, id=outer(job.id)) for job in page.items))

    async def details(self, job_id: BackgroundJobId) -> JobDetails | None:
        return await super().details(inner(job_id))

    async def batch(self, batch_id: int) -> BatchStatus | None:
        return await super().batch(-batch_id)


class SecondControl(JobController):
    async def order(
        self, order: Order, job_ids: Iterable[BackgroundJobId], connection: "AnyConnection | None" = None
    ) -> list[OrderResult]:
        results = await super().order(order, map(inner, job_ids), connection)
        return [replace(result, job_id=outer(result.job_id)) for result in results]


class SecondRecurring(PostgresRecurringStore):
    async def trigger(self, recurring_id: str, connection: "AnyConnection | None" = None) -> BackgroundJobId:
        return outer(await super().trigger(recurring_id, connection))


class SecondEngine(PostgresEngine):
    def __init__(self, pool: AsyncPool | None = None, *, schema: str = "bulkport") -> None:
        super().__init__(pool, schema=schema)
        self._reader = None if pool is None else SecondReader(pool)
        self._control = SecondControl(pool, self._reader)
        self._recurring = SecondRecurring(pool)

    async def enqueue_many(self, connection: Connection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        enqueued = await super().enqueue_many(connection, map(inner_job, jobs))
        return [replace(job, id=outer(job.id)) for job in enqueued]

    def enqueue_many_sync(self, connection: SyncConnection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        enqueued = super().enqueue_many_sync(connection, map(inner_job, jobs))
        return [replace(job, id=outer(job.id)) for job in enqueued]

    async def open_batch(
        self, connection: Connection, description: str | None = None, user_id: str | None = None
    ) -> int:
        return -await super().open_batch(connection, description, user_id)

    async def seal_batch(self, connection: Connection, batch_id: int) -> bool:
        return await super().seal_batch(connection, -batch_id)

    async def look_up(self, job_id: BackgroundJobId, connection: Connection | None = None) -> BackgroundJob | None:
        job = await super().look_up(inner(job_id), connection)
        return None if job is None else replace(job, id=job_id)

    async def unfinished_among(
        self, job_ids: Iterable[BackgroundJobId], connection: Connection | None = None
    ) -> set[BackgroundJobId]:
        return {outer(job_id) for job_id in await super().unfinished_among(map(inner, job_ids), connection)}

    async def run_worker(self, options: WorkerOptions, stop: asyncio.Event) -> None:
        await super().run_worker(replace(options, server_name=PREFIX + options.server_name), stop)


@pytest.fixture
async def public(database_url: str) -> AsyncIterator[PublicSite]:
    jobs = BackgroundJobs(engine=SecondEngine)
    async with jobs.connect(database_url):
        yield PublicSite(database_url, jobs)


async def test_jobs_are_enqueued_and_looked_up_by_the_engine_that_was_passed(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    with public.jobs.sync.connect(public.url):
        from_sync = await asyncio.to_thread(public.jobs.sync.enqueue, note)
    job_ids = [
        await public.jobs.enqueue(note),
        await public.jobs.schedule(note, in_=3_600),
        *(job.id for job in await public.jobs.enqueue_many([note.call()])),
        from_sync,
    ]
    job_ids.append(await public.jobs.continue_with(job_ids, note.call()))
    assert all(job_id.startswith(PREFIX) for job_id in job_ids)
    assert [(await public.job(job_id)).id for job_id in job_ids] == job_ids


async def test_queries_and_commands_use_the_engine_that_was_passed(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    job_id = await public.jobs.enqueue(note)
    (found,) = (await public.jobs.search(JobQuery())).items
    details = await public.jobs.details(job_id)
    assert (found.id, details and details.job.state) == (job_id, JobState.ENQUEUED)
    result = await public.jobs.cancel(job_id)
    assert (result.job_id, result.effect) == (job_id, Effect.CANCELLED)


async def test_batches_use_the_engine_that_was_passed(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    async with public.jobs.batch("two notes") as batch:
        batch.add(note)
        batch.add(note)
        batch.then(note.call())
    status = await public.jobs.batch_status(batch.id)
    assert batch.id < 0
    assert status is not None
    assert (status.jobs, status.is_sealed) == (2, True)


async def test_recurring_jobs_use_the_engine_that_was_passed(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    await public.jobs.recurring.add_or_update("hourly", note, cron="0 * * * *")
    assert (await public.jobs.recurring.trigger("hourly")).startswith(PREFIX)


async def test_a_worker_runs_on_the_engine_that_was_passed(public: PublicSite) -> None:
    @public.jobs.task
    async def note(context: JobContext, text: str) -> str:
        return text

    job_id = await public.jobs.enqueue(note, "hello")
    async with public.worker(name="worker"):
        assert (await public.reaches(job_id, JobState.SUCCEEDED)).result == "hello"
        assert [server.name for server in await public.jobs.servers()] == [f"{PREFIX}worker"]
