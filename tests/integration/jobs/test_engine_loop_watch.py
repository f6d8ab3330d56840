"""A task that keeps the event loop to itself is seen and named."""

import asyncio

from engine_site import EngineSite
from structlog.testing import capture_logs

from bulkport.jobs import JobState
from bulkport.jobs.port import NewJob


async def test_a_job_that_blocks_the_event_loop_is_reported_once_with_its_stack(site: EngineSite) -> None:
    with capture_logs() as logs:
        async with site.worker(blocked_seconds=0.2, heartbeat_seconds=0.1):
            job_id = await site.add(NewJob("compute", {"seconds": 1.0}))
            await site.reaches(job_id, JobState.SUCCEEDED)
    (report,) = [line for line in logs if line["event"] == "event loop blocked"]
    assert (report["job_id"], report["task"]) == (int(job_id), "compute")
    assert report["seconds"] >= 0.2
    assert "in compute" in report["stack"]


async def test_an_awaiting_job_is_not_reported_as_blocking(site: EngineSite) -> None:
    with capture_logs() as logs:
        async with site.worker(blocked_seconds=0.2):
            job_id = await site.enqueue("wait", gate="gate")
            await site.happens("begun", job_id)
            await asyncio.sleep(0.5)
            await site.open_gate()
            await site.reaches(job_id, JobState.SUCCEEDED)
    assert not [line for line in logs if line["event"] == "event loop blocked" and "wait" in str(line["task"])]
