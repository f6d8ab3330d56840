"""Tags: words that applications mark jobs with, to find and count them by."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from background_jobs import BackgroundJobs
from bulkport.jobs import JobQuery, JobState


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[BackgroundJobs]:
    jobs = BackgroundJobs()

    @jobs.task(name="note", tags=["nightly"])
    async def note(number: int) -> None: ...

    async with jobs.connect(database_url):
        yield jobs


async def test_jobs_are_found_and_counted_by_tag(jobs: BackgroundJobs) -> None:
    note = jobs.tasks["note"]
    nightly = await jobs.enqueue(note.call(1))
    both = await jobs.enqueue(note.options(tags=("tenant:acme", "nightly", "nightly")).call(2))
    later = await jobs.schedule(note.options(tags=("tenant:acme",)).call(3), in_=timedelta(hours=1))
    untagged = await jobs.enqueue(note.options(tags=()).call(4))
    found = await jobs.search(JobQuery(tag="tenant:acme"))
    assert {job.id for job in found.items} == {both, later}
    assert (await jobs.count(JobQuery(tag="nightly"))).jobs == 2
    assert (await jobs.search(JobQuery(tag="night"))).items == ()
    assert {job.id: job.tags for job in (await jobs.search(JobQuery())).items} == {
        nightly: ("nightly",),
        both: ("nightly", "tenant:acme"),
        later: ("tenant:acme",),
        untagged: (),
    }
    assert await jobs.tags() == {"nightly": 2, "tenant:acme": 2}


async def test_tags_survive_the_job_are_copied_with_it_and_pruned_with_it(
    jobs: BackgroundJobs, database_url: str
) -> None:
    job = await jobs.enqueue(jobs.tasks["note"].options(tags=("tenant:acme",)).call(1))
    await jobs.cancel(job)
    (found,) = (await jobs.search(JobQuery(states={JobState.CANCELLED}, tag="tenant:acme"))).items
    assert found.tags == ("tenant:acme",)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("UPDATE bulkport.finished_jobs SET state = 'succeeded'")
        repeated = await jobs.requeue(job)
        assert repeated.new_job_id is not None
        details = await jobs.details(repeated.new_job_id)
        assert details is not None
        assert details.job.tags == ("tenant:acme",)
        await jobs.cancel(repeated.new_job_id)
        await connection.execute("UPDATE bulkport.finished_jobs SET finished_at = now() - interval '1 year'")
        await connection.execute("SELECT bulkport.prune('succeeded', interval '1 day', 100)")
        await connection.execute("SELECT bulkport.prune('cancelled', interval '1 day', 100)")
        left = await (await connection.execute("SELECT count(*) FROM bulkport.job_tags")).fetchone()
        assert left == (0,)


@pytest.mark.parametrize("tags", ["nightly", [""], ["a\0b"], ["x"] * 11, [7]])
async def test_invalid_tags_are_rejected(jobs: BackgroundJobs, tags: object) -> None:
    with pytest.raises(ValueError, match="tag"):
        jobs.tasks["note"].options(tags=tags)  # type: ignore[arg-type]
