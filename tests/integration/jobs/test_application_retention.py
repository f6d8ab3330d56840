"""The workers of the application remove finished jobs by its settings."""

import asyncio

from engine_site import eventually

from background_jobs import BackgroundJobs
from bulkport.jobs import JobOptions
from bulkport.jobs.task import JobCall
from commandapi.composition import run_worker
from commandapi.settings import Settings


async def test_jobs_are_removed_according_to_the_settings(database_url: str) -> None:
    jobs, stop = BackgroundJobs(), asyncio.Event()
    async with jobs.connect(database_url):
        job_id = await jobs.enqueue(JobCall("any", {}, JobOptions()))
        await jobs.cancel(job_id)
        settings = Settings(database_url=database_url, jobs_keep_succeeded_days=0)
        running = asyncio.create_task(run_worker(settings, concurrency=1, stop=stop))
        try:

            async def is_gone() -> bool:
                return await jobs.get(job_id) is None

            await eventually(is_gone, "the job is removed")
        finally:
            stop.set()
            await running
