"""An application has background jobs of its own beside its imports, in one database."""

import asyncio

from shop_site import OpenShop

from bulkport.jobs import JobState
from bulkport.jobs.background_jobs import BackgroundJobs
from import_steps import NDJSON, imported, ndjson


async def test_import_workers_leave_the_jobs_of_others_to_those_who_know_them(open_shop: OpenShop) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="shop.greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    async with jobs.connect(open_shop.url):
        job_id = await jobs.enqueue(greet.call("Ada"))
        # Queued later, and carried out: so the import's worker had its look at the other job.
        job = await imported(open_shop.api, "/api/coupons/bulk", content=ndjson([{"title": "ten"}]), headers=NDJSON)
        assert job["status"] == "Completed"
        waiting = await jobs.get(job_id)
        assert waiting is not None
        assert (waiting.state, waiting.attempts, waiting.last_error) == (JobState.ENQUEUED, 0, None)

    stop = asyncio.Event()
    running = asyncio.create_task(jobs.run_worker(open_shop.url, stop))
    try:
        async with jobs.connect(open_shop.url), asyncio.timeout(30):
            while (done := await jobs.get(job_id)) is None or done.state is not JobState.SUCCEEDED:
                await asyncio.sleep(0.02)
            assert done.result == "Hello, Ada"
    finally:
        stop.set()
        await running
