"""Quieting and stopping servers, and queue activity."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from background_jobs import BackgroundJobs
from bulkport.jobs.port.metrics import Granularity, SeriesGroup, ServerCommand

NAME = "server-1"


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await check():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_worker(jobs: BackgroundJobs, url: str) -> AsyncIterator["asyncio.Task[None]"]:
    stop = asyncio.Event()
    worker = asyncio.create_task(jobs.run_worker(url, stop, name=NAME, heartbeat_seconds=0.05, poll_seconds=0.05))
    try:
        yield worker
    finally:
        stop.set()
        await worker


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[BackgroundJobs]:
    jobs = BackgroundJobs()

    @jobs.task(name="note", queue="notes")
    async def note(number: int) -> int:
        return number

    async with jobs.connect(database_url):
        yield jobs


async def test_a_quiet_server_starts_no_job_until_it_is_resumed(jobs: BackgroundJobs, database_url: str) -> None:
    async def is_wanted(command: ServerCommand | None) -> bool:
        (server,) = await jobs.servers()
        return server.wanted is command

    async def has_succeeded(job_id: str) -> bool:
        job = await jobs.get(job_id)
        return job is not None and job.state.value == "succeeded"

    async with running_worker(jobs, database_url):
        await until(lambda: _has_servers(jobs))
        first = await jobs.enqueue(jobs.tasks["note"], 1)
        await until(lambda: has_succeeded(first))
        assert await jobs.quiet_server(NAME, actor="ada")
        await until(lambda: is_wanted(ServerCommand.QUIET))
        (server,) = await jobs.servers()
        assert server.wanted_by == "ada"
        # Some heartbeats later it has heard of it.
        beat = server.last_heartbeat + timedelta(seconds=0.5)
        await until(lambda: _beats_after(jobs, beat))
        second = await jobs.enqueue(jobs.tasks["note"], 2)
        later = datetime.now(UTC) + timedelta(seconds=0.5)
        await until(lambda: _beats_after(jobs, later))
        assert not await has_succeeded(second)
        assert await jobs.resume_server(NAME)
        await until(lambda: has_succeeded(second))


async def test_a_server_asked_to_stop_ends_and_releases_its_lease(jobs: BackgroundJobs, database_url: str) -> None:
    async with running_worker(jobs, database_url) as worker:
        await until(lambda: _has_servers(jobs))
        assert await jobs.stop_server(NAME, actor="ada")
        async with asyncio.timeout(60):
            await asyncio.shield(worker)
        assert await jobs.servers() == []
    assert not await jobs.stop_server(NAME)


async def test_a_server_reports_its_memory_and_event_loop_lag(jobs: BackgroundJobs, database_url: str) -> None:
    async def is_known() -> bool:
        servers = await jobs.servers()
        return bool(servers) and servers[0].loop_lag_seconds is not None and bool(servers[0].memory_minutes)

    async with running_worker(jobs, database_url):
        await until(is_known)
        (server,) = await jobs.servers()
        assert server.memory_minutes == (server.memory_minutes[0],)
        assert server.loop_lag_seconds is not None
        assert 0 <= server.loop_lag_seconds < 30


async def test_activity_is_reported_by_queue_and_by_task(jobs: BackgroundJobs, database_url: str) -> None:
    now = datetime.now(UTC)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs, durations_ms,"
            " latencies_ms)"
            " VALUES (now(), 'mail', 'fast', 'enqueued', 'succeeded', 2, '{10, 20}', '{5, 6}'),"
            "        (now(), 'mail', 'slow', 'enqueued', 'succeeded', 1, '{10}', '{4000}'),"
            "        (now(), 'call', 'slow', 'enqueued', 'failed', 3, '{10, 10, 10}', '{4000, 4000, 4000}')"
        )
        for _ in range(2):
            activity = {one.queue: one for one in await jobs.queue_activity()}
            assert activity["fast"].totals.succeeded == 2
            assert activity["slow"].totals.failed == 3
            assert activity["slow"].latency is not None
            assert activity["slow"].latency.p95 == pytest.approx(4, rel=0.1)
            since = now - timedelta(minutes=2)
            by_queue = await jobs.series_by(SeriesGroup.QUEUE, Granularity.MINUTE, since)
            assert {name: sum(p.totals.succeeded for p in points) for name, points in by_queue.items()} == {
                "fast": 2,
                "slow": 1,
            }
            by_task = await jobs.series_by(SeriesGroup.TASK, Granularity.MINUTE, since)
            assert sum(point.totals.failed for point in by_task["call"]) == 3
            of_slow = await jobs.series(Granularity.MINUTE, since, queue="slow")
            assert sum(point.totals.succeeded + point.totals.failed for point in of_slow) == 4
            # The same once the deltas have been moved.
            await connection.execute("SELECT bulkport.rollup()")


async def test_activity_is_reported_by_server_once_its_jobs_have_ended(jobs: BackgroundJobs, database_url: str) -> None:
    since = datetime.now(UTC) - timedelta(minutes=2)
    calls = [jobs.tasks["note"].call(number) for number in range(3)]
    await jobs.enqueue_many(calls)

    async def is_told() -> bool:
        by_server = await jobs.series_by(SeriesGroup.SERVER, Granularity.MINUTE, since)
        return [sum(point.totals.succeeded for point in points) for points in by_server.values()] == [3]

    async with running_worker(jobs, database_url):
        await until(is_told)
    by_hour = await jobs.series_by(SeriesGroup.SERVER, Granularity.HOUR, since)
    assert [sum(point.totals.succeeded for point in points) for points in by_hour.values()] == [3]


async def _has_servers(jobs: BackgroundJobs) -> bool:
    return bool(await jobs.servers())


async def _beats_after(jobs: BackgroundJobs, moment: datetime) -> bool:
    (server,) = await jobs.servers()
    return server.last_heartbeat > moment
