"""One worker runs an application's imports and its own background jobs."""

import asyncio

from shop_site import opened

from bulkport.jobs import JobState
from import_steps import NDJSON, imported, ndjson


async def test_a_worker_runs_imports_and_jobs(shop_url: str) -> None:
    async with opened(shop_url) as site:
        job = await imported(site.api, "/api/coupons/bulk", content=ndjson([{"title": "ten"}]), headers=NDJSON)
        assert job["status"] == "Completed"
        async with asyncio.timeout(60):
            while True:
                background_job = await site.bulkport.get(job["hangfireJobId"])
                assert background_job is not None
                if background_job.state is JobState.SUCCEEDED:
                    break
                await asyncio.sleep(0.02)
