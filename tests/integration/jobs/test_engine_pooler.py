"""Behind PgBouncer in transaction mode, where each transaction may run in another session."""

import asyncio
from collections.abc import Iterator

import pytest
from public_site import PublicSite

from background_jobs import BackgroundJobs
from bulkport.jobs import JobState
from pooler import pooled


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """The test's database through PgBouncer."""
    with pooled(database_url) as url:
        yield url


@pytest.mark.parametrize("hears", [False, True], ids=["by the clock", "with a listen_url"])
async def test_jobs_run_behind_a_pooler(pooled_url: str, database_url: str, hears: bool) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="double")
    async def double(number: int) -> int:
        return 2 * number

    async with jobs.connect(pooled_url, most=4):
        site = PublicSite(pooled_url, jobs)
        async with site.worker(listen_url=database_url if hears else None):
            ids = await asyncio.gather(*(jobs.enqueue(double, number) for number in range(30)))
            for number, job_id in enumerate(ids):
                assert (await site.reaches(job_id, JobState.SUCCEEDED)).result == 2 * number
