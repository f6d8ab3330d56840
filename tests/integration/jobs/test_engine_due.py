"""Jobs that wait for a time start at it, and neither before nor a poll later."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from engine_site import EngineSite

from bulkport.jobs import JobState
from bulkport.jobs.port import NewJob

_LATE = "SELECT max(extract(epoch FROM started_at - ready_at))::float FROM bulkport.all_jobs"


async def test_jobs_scheduled_while_a_worker_waits_start_on_time(site: EngineSite) -> None:
    async with site.worker(poll_seconds=60):
        later = await site.add(NewJob("note", {}, delay=30))
        jobs = [await site.add(NewJob("note", {}, delay=delay)) for delay in (0.6, 0.3)]
        jobs.append(await site.add(NewJob("note", {}, at=datetime.now(UTC) + timedelta(seconds=0.4))))
        due = await site.value(
            "SELECT array_agg(due_at ORDER BY job_id) FROM bulkport.all_jobs WHERE job_id <> %s", later
        )
        for job_id in jobs:
            await site.reaches(job_id, JobState.SUCCEEDED)
        started = await site.value("SELECT array_agg(at ORDER BY job_id::bigint) FROM runs")
        assert all(start >= time for start, time in zip(started, due, strict=True))
        # Some ms with the machine to itself; the bound only tells a precise start from a poll.
        assert await site.value(f"{_LATE} WHERE state = 'succeeded'") < 5
        assert (await site.job(later)).state is JobState.SCHEDULED


async def test_scheduled_jobs_are_not_in_the_queue_that_workers_scan(site: EngineSite) -> None:
    await site.add(NewJob("note", {}, delay=60))
    await site.add(NewJob("note", {}, at=datetime.now(UTC) + timedelta(seconds=60)))
    past = await site.add(NewJob("note", {}, at=datetime.now(UTC) - timedelta(seconds=60)))
    assert (await site.job(past)).state is JobState.ENQUEUED
    assert await site.value("SELECT array_agg(job_id) FROM bulkport.jobs WHERE state = 'enqueued'") == [int(past)]


async def test_a_due_job_is_released_once_by_concurrent_workers(site: EngineSite) -> None:
    jobs = await site.engine.enqueue_many(site.connection, [NewJob("note", {}, delay=0.3)] * 200)
    async with site.process("a", poll=0.05), site.process("b", poll=0.05):
        for job in jobs:
            await site.reaches(job.id, JobState.SUCCEEDED)
    assert sorted(int(job.id) for job in jobs) == await site.value(
        "SELECT array_agg(job_id::bigint ORDER BY job_id::bigint) FROM runs"
    )


async def test_another_worker_takes_over_a_retrying_job(site: EngineSite) -> None:
    async with site.worker(queues=["default"]):
        job_id = await site.enqueue("later", times=1, delay=0.5)
        await site.reaches(job_id, JobState.SCHEDULED)
    async with site.worker(poll_seconds=0.1):
        await site.reaches(job_id, JobState.SUCCEEDED)


async def test_a_scheduled_job_of_a_rolled_back_transaction_never_runs(site: EngineSite) -> None:
    async with site.worker(poll_seconds=60):
        async with site.connection.transaction(force_rollback=True):
            gone = await site.add(NewJob("note", {}, delay=0.01))
        kept = await site.add(NewJob("note", {}, delay=0.05))
        await site.reaches(kept, JobState.SUCCEEDED)
    assert await site.events(gone) == []


async def test_all_workers_see_a_released_job_at_once(site: EngineSite) -> None:
    job_id = await site.add(NewJob("note", {}, delay=0.01))
    async with site.connection.transaction(force_rollback=True):
        released: Any = None
        while not released:
            released = await site.value("SELECT released FROM bulkport.release_due(10)")
            await asyncio.sleep(0.01)
        assert (await site.job(job_id)).state is JobState.ENQUEUED
    assert (await site.job(job_id)).state is JobState.SCHEDULED


@pytest.mark.parametrize("most", [1, 2])
async def test_the_time_until_the_next_due_job_is_reported(site: EngineSite, most: int) -> None:
    assert await site.value("SELECT next_seconds FROM bulkport.release_due(10)") is None
    await site.engine.enqueue_many(site.connection, [NewJob("note", {}, delay=delay) for delay in (0.001, 0.002, 60)])
    await asyncio.sleep(0.02)
    query = "SELECT ARRAY[released, ceil(next_seconds)] FROM bulkport.release_due(%s)"
    assert await site.value(query, most) == ([1, 0] if most == 1 else [2, 60])
