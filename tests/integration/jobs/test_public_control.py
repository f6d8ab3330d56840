"""Orders and questions through BackgroundJobs."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from engine_site import eventually
from public_site import PublicSite

from background_jobs import BackgroundJobs
from bulkport.jobs import Effect, JobQuery, JobState, RetentionPolicy, RetryPolicy


@pytest.fixture
async def public(database_url: str) -> AsyncIterator[PublicSite]:
    jobs = BackgroundJobs()
    async with jobs.connect(database_url):
        yield PublicSite(database_url, jobs)


async def test_commands_report_their_outcome_and_can_be_repeated(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> str:
        return "ran"

    job_id = await public.jobs.schedule(note, in_=3_600)
    assert (await public.jobs.reschedule(job_id, in_=timedelta(hours=2))).effect is Effect.RESCHEDULED
    assert (await public.jobs.change(job_id, priority=7, queue="other")).effect is Effect.CHANGED
    assert (await public.jobs.cancel(job_id, reason="not needed", actor="ada")).effect is Effect.CANCELLED
    assert (await public.jobs.cancel(job_id)).effect is Effect.ALREADY_ENDED
    assert (await public.jobs.requeue(job_id)).effect is Effect.REQUEUED
    async with public.worker():
        job = await public.reaches(job_id, JobState.SUCCEEDED)
    assert (job.priority, job.queue, job.result) == (7, "other", "ran")
    assert (await public.jobs.requeue(job_id)).new_job_id is not None
    assert (await public.jobs.delete(job_id)).effect is Effect.DELETED
    details = await public.jobs.details(job_id)
    assert details is not None
    assert ("not needed", "ada") in [(e.change.reason, e.change.actor) for e in details.timeline if e.change]


async def test_a_command_takes_effect_in_the_callers_transaction(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    job_id = await public.jobs.enqueue(note)
    async with await psycopg.AsyncConnection.connect(public.url) as connection:
        await public.jobs.cancel(job_id, connection=connection)
        await connection.rollback()
    assert (await public.job(job_id)).state is JobState.ENQUEUED
    with psycopg.connect(public.url) as sync_connection:
        await public.jobs.cancel(job_id, connection=sync_connection)
        assert (await public.job(job_id)).state is JobState.ENQUEUED
    assert (await public.job(job_id)).state is JobState.CANCELLED


async def test_all_matching_jobs_are_requeued_at_once(public: PublicSite) -> None:
    @public.jobs.task(name="strict", retry=RetryPolicy(max_attempts=1))
    async def strict(number: int) -> None:
        raise ValueError(number)

    enqueued = await public.jobs.enqueue_many([strict.call(number) for number in range(5)])
    async with public.worker():
        for job in enqueued:
            await public.reaches(job.id, JobState.FAILED)
    failed = JobQuery(states={JobState.FAILED}, task="strict")
    assert (await public.jobs.count(failed)).jobs == 5
    assert [job.id for job in (await public.jobs.search(failed)).items] == [job.id for job in reversed(enqueued)]
    assert str(await public.jobs.requeue_all(failed, actor="ada")) == "5 requeued"
    assert str(await public.jobs.requeue_all(failed)) == "no jobs"
    assert (await public.jobs.statistics()).states[JobState.ENQUEUED] == 5
    assert str(await public.jobs.cancel_all(JobQuery(task="strict"))) == "5 cancelled"


async def test_a_paused_queue_waits(public: PublicSite) -> None:
    @public.jobs.task(queue="mail")
    async def note() -> None: ...

    @public.jobs.task
    async def other() -> None: ...

    await public.jobs.pause_queue("mail", actor="ada")
    job_id = await public.jobs.enqueue(note)
    async with public.worker():
        await public.reaches(await public.jobs.enqueue(other), JobState.SUCCEEDED)
        assert (await public.job(job_id)).state is JobState.ENQUEUED
        assert [queue.paused_at is not None for queue in await public.jobs.queues() if queue.name == "mail"] == [True]
        assert len(await public.jobs.servers()) == 1
        await public.jobs.resume_queue("mail")
        await public.reaches(job_id, JobState.SUCCEEDED)


async def test_a_worker_applies_its_retention(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    job_id = await public.jobs.enqueue(note)
    async with public.worker():
        await public.reaches(job_id, JobState.SUCCEEDED)

    async def is_gone() -> bool:
        return await public.jobs.get(job_id) is None

    async with public.worker(retention=RetentionPolicy(succeeded=timedelta(0))):
        await eventually(is_gone, "the job is pruned")
