"""Background jobs as an application has them: declared by a test, connected, and with a worker in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine_site import eventually

from background_jobs import BackgroundJobs
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import BackgroundJob, JobState


class PublicSite:
    """One test's database, the jobs in it, and whatever runs them."""

    def __init__(self, url: str, jobs: BackgroundJobs) -> None:
        self.url = url
        self.jobs = jobs

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[asyncio.Event]:
        """A worker of the declared tasks; the event stops it."""
        stop = asyncio.Event()
        running = asyncio.create_task(self.jobs.run_worker(self.url, stop, **options))
        try:
            yield stop
        finally:
            stop.set()
            await running

    async def job(self, job_id: BackgroundJobId) -> BackgroundJob:
        job = await self.jobs.get(job_id)
        assert job is not None
        return job

    async def reaches(self, job_id: BackgroundJobId, state: JobState) -> BackgroundJob:
        async def has() -> bool:
            job = await self.job(job_id)
            assert job.state is state or not job.state.is_final, job
            return job.state is state

        await eventually(has, f"job {job_id} {state}")
        return await self.job(job_id)
