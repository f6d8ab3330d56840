"""A sync connection on an event loop does not block others."""

import asyncio

import psycopg

from background_jobs import BackgroundJobs


async def test_a_sync_connection_does_not_block_the_event_loop(database_url: str) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="once")
    async def once() -> None: ...

    call = once.options(unique_key="only").call()
    with psycopg.connect(database_url) as stranger, psycopg.connect(database_url) as own:
        jobs.sync.enqueue(call, connection=stranger)
        # It waits for the stranger, who commits on this very loop.
        enqueueing = asyncio.create_task(jobs.enqueue_many([call], connection=own))
        await asyncio.sleep(0.1)
        assert not enqueueing.done()
        stranger.commit()
        (job,) = await asyncio.wait_for(enqueueing, 60)
        assert not job.is_new
