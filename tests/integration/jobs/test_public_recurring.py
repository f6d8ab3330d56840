"""Recurring jobs as an application sets them up, run by its own worker."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from engine_site import eventually
from public_site import PublicSite

from background_jobs import BackgroundJobs
from bulkport.jobs import JobState


@pytest.fixture
async def public(database_url: str) -> AsyncIterator[PublicSite]:
    jobs = BackgroundJobs()
    async with jobs.connect(database_url):
        yield PublicSite(database_url, jobs)


async def test_a_recurring_job_declared_in_code_exists_once_a_worker_runs_and_makes_jobs(public: PublicSite) -> None:
    @public.jobs.recurring("clean-up", cron="0 3 * * *", timezone="Europe/Berlin")
    @public.jobs.task
    async def clean_up() -> str:
        return "clean"

    async with public.worker():

        async def is_written() -> bool:
            return await public.jobs.recurring.get("clean-up") is not None

        await eventually(is_written, "the declaration is written")
        job_id = await public.jobs.recurring.trigger("clean-up")
        assert (await public.reaches(job_id, JobState.SUCCEEDED)).result == "clean"


async def test_a_recurring_job_set_up_at_run_time_belongs_to_the_callers_transaction(public: PublicSite) -> None:
    @public.jobs.task
    async def report(recipient: str) -> str:
        return recipient

    call = report.call("ada")
    async with await psycopg.AsyncConnection.connect(public.url) as connection:
        await public.jobs.recurring.add_or_update("report", call, cron="0 8 * * MON", connection=connection)
        await connection.rollback()
    assert await public.jobs.recurring.get("report") is None
    await public.jobs.recurring.add_or_update("report", call, cron="0 8 * * MON")
    async with public.worker():
        job_id = await public.jobs.recurring.trigger("report")
        assert (await public.reaches(job_id, JobState.SUCCEEDED)).result == "ada"
    assert await public.jobs.recurring.remove("report")


async def test_recurring_jobs_use_the_concurrency_key_and_user_of_their_call(public: PublicSite) -> None:
    @public.jobs.task(concurrency_key="ledger")
    async def book(note: str | None) -> None: ...

    recurring = public.jobs.recurring
    await recurring.add_or_update("book", book.options(user_id="ada").call(None), cron="@daily", overlap=False)
    first, second = [await recurring.trigger("book") for _ in range(2)]
    other = await public.jobs.enqueue(book, None)
    for job_id in (first, second, other):
        details = await public.jobs.details(job_id)
        assert details is not None
        assert details.job.concurrency_key == "ledger"
        assert details.job.args == {"note": None}
        assert details.job.user_id == (None if job_id == other else "ada")

    wide = book.options(concurrency_key="reports", concurrency_limit=2)
    kept = await recurring.add_or_update("book", wide.call(None), cron="@daily")
    assert (kept.definition.concurrency_key, kept.definition.concurrency_limit) == ("reports", 2)
    assert kept.definition.user_id is None
    third, fourth = [await recurring.trigger("book") for _ in range(2)]
    kept = await recurring.add_or_update("book", book.options(concurrency_key=None).call(None), cron="@daily")
    assert kept.definition.concurrency_key is None
    fifth = await recurring.trigger("book")
    for job_id, key in ((third, "reports"), (fourth, "reports"), (fifth, None)):
        details = await public.jobs.details(job_id)
        assert details is not None
        assert (details.job.concurrency_key, details.job.is_held_back) == (key, False)
