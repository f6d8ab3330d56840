"""Numbers about jobs: exact at any moment, before and after they are rolled up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from engine_site import EngineSite, eventually
from reading_site import ReadingSite

from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.job import JobState
from bulkport.jobs.port.metrics import Granularity, JobStatistics, JobTotals
from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.jobs.postgres.maintenance import Rollup
from bulkport.jobs.postgres.reading import PostgresJobReader
from bulkport.pools import open_pool

# On a boundary of every step but the day's, and long enough ago for none of what the tests add to lie ahead.
MOMENT = (datetime.now(UTC) - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)


async def add(
    site: ReadingSite,
    entered: str | None,
    left: str | None = "enqueued",
    *,
    at: datetime = MOMENT,
    task: str = "report",
    jobs: int = 1,
    duration: float | None = None,
    latency: float | None = None,
) -> None:
    """A change of state, as the functions that change states note it; times in seconds."""
    await site.connection.execute(
        "INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs, durations_ms,"
        " latencies_ms) VALUES (%s, %s, 'default', %s, %s, %s, ARRAY[%s::float8 * 1000], ARRAY[%s::float8 * 1000])",
        (at, task, left, entered, jobs, duration, latency),
    )


@asynccontextmanager
async def rolling_up(site: ReadingSite) -> AsyncIterator[Rollup]:
    """What a worker does every second."""
    link = WorkerConnection(site.url, asyncio.Event())
    try:
        yield Rollup(link)
    finally:
        await link.close()


async def roll_up(site: ReadingSite, most: int = 50_000) -> int | None:
    moved: int | None = await site.value("SELECT moved FROM bulkport.rollup(%s)", most)
    return moved


def counted(statistics: JobStatistics) -> dict[str, int]:
    return {state.value: jobs for state, jobs in statistics.states.items() if jobs}


async def test_counts_are_exact_while_jobs_run(site: EngineSite) -> None:
    async with open_pool(site.url, name="reading", most=1) as pool:
        reader = PostgresJobReader(pool)
        assert counted(await reader.statistics()) == {}
        held = await site.enqueue("wait", gate="gate")
        for _ in range(3):
            await site.enqueue("note")
        await site.enqueue("fail", times=5)
        statistics = await reader.statistics()
        assert (counted(statistics), statistics.waiting) == ({"enqueued": 5}, {"default": 5})
        async with site.worker(name="worker"):
            await site.happens("begun", held)

            async def rest_has_ended() -> bool:
                return counted(await reader.statistics()) == {"processing": 1, "succeeded": 3, "failed": 1}

            await eventually(rest_has_ended, "all but one job ended")
            statistics = await reader.statistics()
            assert (statistics.waiting, statistics.servers, statistics.silent_servers) == ({}, 1, 0)
            await site.open_gate()
            await site.reaches(held, JobState.SUCCEEDED)

            async def is_rolled_up() -> bool:
                return bool(await site.value("SELECT count(*) = 0 FROM bulkport.job_deltas"))

            await eventually(is_rolled_up, "the worker rolled up")
        statistics = await reader.statistics()
        assert counted(statistics) == {"succeeded": 4, "failed": 1}
        assert statistics.totals == JobTotals(succeeded=4, failed=1, retried=2, cancelled=0, enqueued=5)


async def test_rolling_up_changes_no_total(reading_site: ReadingSite) -> None:
    await add(reading_site, "enqueued", None, jobs=10)
    await add(reading_site, "succeeded", jobs=4, at=MOMENT + timedelta(seconds=1))
    await add(reading_site, "retrying", duration=0.5, latency=0.1)
    await add(reading_site, "failed", "retrying", at=MOMENT + timedelta(minutes=2), duration=2.0, latency=0.1)
    await add(reading_site, None, "failed")
    await add(reading_site, "scheduled", None, task="mail")

    async def everything() -> list[Any]:
        reader = reading_site.reader
        statistics = await reader.statistics()
        return [
            counted(statistics),
            statistics.waiting,
            statistics.totals,
            *[
                await reader.series(step, MOMENT, until=MOMENT + timedelta(hours=1), percentiles=True)
                for step in (Granularity.MINUTE, Granularity.HOUR)
            ],
            await reader.task_statistics(timedelta(days=2)),
            await reader.task_statistics(timedelta(days=40)),
        ]

    before = await everything()
    assert before[:3] == [
        {"enqueued": 5, "succeeded": 4, "scheduled": 1},
        {"default": 5},
        JobTotals(succeeded=4, failed=1, retried=1, cancelled=0, enqueued=11),
    ]
    assert await roll_up(reading_site, most=3) == 3
    assert await everything() == before
    assert await roll_up(reading_site) == 3
    assert await everything() == before
    assert await roll_up(reading_site) == 0
    assert await everything() == before


async def test_concurrent_rollups_move_each_delta_once(reading_site: ReadingSite) -> None:
    async with open_pool(reading_site.url, name="movers", most=6) as pool:

        async def move() -> int:
            moved = 0
            for _ in range(20):
                async with pool.connection() as connection:
                    cursor = await connection.execute("SELECT moved FROM bulkport.rollup(7)")
                    row = await cursor.fetchone()
                moved += row[0] if row else 0
            return moved

        async def change() -> int:
            for _ in range(100):
                await add(reading_site, "succeeded")
            return 0

        moved = sum(await asyncio.gather(change(), *(move() for _ in range(4))))
    moved += await roll_up(reading_site) or 0
    assert moved == 100
    assert await reading_site.value("SELECT jobs FROM bulkport.job_counts WHERE state = 'succeeded'") == 100
    assert (await reading_site.reader.statistics()).totals.succeeded == 100


async def test_a_rollup_does_not_wait_for_another(reading_site: ReadingSite) -> None:
    await add(reading_site, "succeeded")
    async with reading_site.pool.connection() as other, other.transaction():
        await other.execute("SELECT moved FROM bulkport.rollup()")
        await reading_site.connection.execute("SET lock_timeout = '10s'")
        assert await roll_up(reading_site) is None
    assert await roll_up(reading_site) == 0


async def test_a_series_has_no_gaps(reading_site: ReadingSite) -> None:
    for minutes, task in ((0, "report"), (0, "mail"), (3, "report")):
        await add(
            reading_site, "succeeded", at=MOMENT + timedelta(minutes=minutes, seconds=30), task=task, duration=1.0
        )
    await roll_up(reading_site)
    await add(reading_site, "failed", at=MOMENT + timedelta(minutes=3), duration=1.0)
    until = MOMENT + timedelta(minutes=4)
    points = await reading_site.reader.series(Granularity.MINUTE, MOMENT + timedelta(seconds=20), until=until)
    assert [point.starts_at for point in points] == [MOMENT + timedelta(minutes=n) for n in range(5)]
    assert [(point.totals.succeeded, point.totals.failed) for point in points] == [
        (2, 0),
        (0, 0),
        (0, 0),
        (1, 1),
        (0, 0),
    ]
    assert all(point.duration is None for point in points)
    points = await reading_site.reader.series(Granularity.MINUTE, MOMENT, until=until, task="mail", percentiles=True)
    assert [point.totals.succeeded for point in points] == [1, 0, 0, 0, 0]
    assert points[0].duration is not None
    assert points[0].duration.p50 == pytest.approx(1.0, rel=0.25)
    assert points[1].duration is None
    seconds = await reading_site.reader.series(Granularity.SECOND, datetime.now(UTC) - timedelta(seconds=10))
    assert 10 <= len(seconds) <= 12


async def test_a_series_has_a_bounded_length(reading_site: ReadingSite) -> None:
    now = datetime.now(UTC)
    with pytest.raises(InvalidJobQuery, match="5,000 steps"):
        await reading_site.reader.series(Granularity.SECOND, now - timedelta(days=1))
    with pytest.raises(InvalidJobQuery, match="time zone"):
        await reading_site.reader.series(Granularity.SECOND, now.replace(tzinfo=None))
    with pytest.raises(InvalidJobQuery, match="no length"):
        await reading_site.reader.task_statistics(timedelta(0))
    assert await reading_site.reader.series(Granularity.DAY, now, until=now - timedelta(days=3)) == []
    assert await reading_site.reader.task_statistics(timedelta.max) == []


async def test_tasks_are_counted_separately(reading_site: ReadingSite) -> None:
    now = datetime.now(UTC)
    await add(reading_site, "enqueued", None, task="report", jobs=7, at=now)
    for task, seconds in (("report", 10.0), ("mail", 0.01)):
        for _ in range(3):
            await add(reading_site, "succeeded", task=task, duration=seconds, latency=seconds / 10, at=now)
    await add(reading_site, "failed", task="report", duration=10.0, latency=1.0, at=now)
    await add(reading_site, "succeeded", task="old", duration=1.0, at=now - timedelta(days=5))
    for _ in range(2):
        mail, report = [each for each in await reading_site.reader.task_statistics() if each.task != "old"]
        assert (mail.task, report.task) == ("mail", "report")
        assert (report.totals.failure_rate, mail.totals.failure_rate) == (0.25, 0.0)
        assert (report.unfinished, mail.unfinished) == (3, 0)
        assert report.duration is not None
        assert mail.duration is not None
        assert report.latency is not None
        assert report.duration.p50 == pytest.approx(10, rel=0.25)
        assert mail.duration.p99 == pytest.approx(0.01, rel=0.25)
        assert report.latency.p95 == pytest.approx(1.0, rel=0.25)
        await roll_up(reading_site)


async def test_overdue_jobs_are_reported(reading_site: ReadingSite) -> None:
    now = datetime.now(UTC)
    await reading_site.put(1, "scheduled", due_at=now - timedelta(seconds=5))
    await reading_site.put(2, "retrying", due_at=now - timedelta(seconds=5))
    await reading_site.put(3, "scheduled", due_at=now + timedelta(hours=1))
    assert (await reading_site.reader.statistics()).overdue == 2


async def test_queues_report_their_waiting_jobs(reading_site: ReadingSite) -> None:
    server = await reading_site.serve("server-1")
    await reading_site.serve("server-2", queues=["slow"])
    for queue in ("default", "default", "default", "slow"):
        await reading_site.enqueue(queue=queue)
    await reading_site.connection.execute(
        "UPDATE bulkport.jobs SET ready_at = ready_at - interval '1 min' WHERE queue = 'slow'"
    )
    await reading_site.claim(server, ["default"])
    await reading_site.connection.execute(
        "UPDATE bulkport.queues SET paused_at = now(), paused_by = 'ada', concurrency_limit = 3 WHERE name = 'slow'"
    )
    await reading_site.connection.execute("INSERT INTO bulkport.queues (name) VALUES ('empty')")
    default, empty, slow = await reading_site.reader.queues()
    assert (default.name, default.waiting, default.running, default.servers) == ("default", 2, 1, 1)
    assert (empty.name, empty.waiting, empty.oldest_ready_at, empty.latency_seconds) == ("empty", 0, None, None)
    assert (slow.name, slow.waiting, slow.paused_by, slow.concurrency_limit, slow.servers) == ("slow", 1, "ada", 3, 2)
    assert slow.paused_at is not None
    assert slow.latency_seconds is not None
    assert 60 <= slow.latency_seconds < 120


async def test_queues_report_tasks_that_no_server_knows(reading_site: ReadingSite) -> None:
    await reading_site.serve("server-1", queues=["default"])
    for queue, task in (("default", "report"), ("default", "moved"), ("default", "gone"), ("slow", "report")):
        await reading_site.enqueue(task, queue=queue)
    default, slow = await reading_site.reader.queues()
    assert (default.unknown_tasks, slow.unknown_tasks) == (("gone", "moved"), ("report",))
    await reading_site.connection.execute("UPDATE bulkport.servers SET tasks = tasks || '{moved,gone}', queues = NULL")
    assert [queue.unknown_tasks for queue in await reading_site.reader.queues()] == [(), ()]


async def test_servers_report_what_they_run(reading_site: ReadingSite) -> None:
    first, _ = await reading_site.serve("server-1"), await reading_site.serve("server-2", queues=["slow"])
    await reading_site.enqueue("report")
    job_id = await reading_site.claim(first)
    await reading_site.connection.execute(
        "INSERT INTO bulkport.job_progress (job_id, done, total) VALUES (%s, 3, 9)", (job_id,)
    )
    await reading_site.connection.execute(
        "UPDATE bulkport.servers SET last_heartbeat = now() - interval '20 s', memory_bytes = 1000"
        " WHERE name = 'server-2'"
    )
    one, two = await reading_site.reader.servers()
    assert (one.name, one.host, one.process_id, one.version, one.queues) == ("server-1", "here", 7, "1.2.3", None)
    assert (one.is_silent, two.is_silent, two.queues, two.memory_bytes) == (False, True, ("slow",), 1000)
    assert 20 <= two.heartbeat_age_seconds < 40
    (run,) = one.running
    assert (run.id, run.task, run.queue) == (str(job_id), "report", "default")
    assert run.started_at is not None
    assert run.progress is not None
    assert (run.progress.done, run.progress.total) == (3, 9)
    assert two.running == ()
    assert (await reading_site.reader.statistics()).silent_servers == 1


async def test_old_buckets_are_removed_but_not_the_totals(reading_site: ReadingSite) -> None:
    now = datetime.now(UTC)
    for age in (timedelta(minutes=30), timedelta(days=4), timedelta(days=90), timedelta(days=5 * 365)):
        await add(reading_site, "succeeded", at=now - age)
    await reading_site.connection.execute(
        "INSERT INTO bulkport.job_series (granularity, starts_at, task, queue, succeeded)"
        " SELECT size.granularity, now() - size.retention - size.slack - interval '1 day', 'report', 'mail', 1"
        " FROM bulkport.granularities() size WHERE size.retention IS NOT NULL"
    )
    await roll_up(reading_site)
    cursor = await reading_site.connection.execute(
        "SELECT granularity, count(*) FROM bulkport.job_series GROUP BY granularity"
    )
    assert dict(await cursor.fetchall()) == {"minute": 1, "hour": 2, "day": 3, "all": 1}
    assert (await reading_site.reader.statistics()).totals.succeeded == 4


MANY_DELTAS = """
INSERT INTO bulkport.job_deltas (at, task, queue, left_state, entered_state, jobs)
SELECT now(), 'report', 'default', 'enqueued', 'succeeded', 1 FROM generate_series(1, 40000)
"""


async def test_the_table_of_deltas_stays_small(reading_site: ReadingSite) -> None:
    async with rolling_up(reading_site) as rollup:
        for _ in range(3):
            await reading_site.connection.execute(MANY_DELTAS)
            while await rollup.roll_up() is not None:
                pass
    # They were 8 MB together.
    assert await reading_site.value("SELECT pg_relation_size('bulkport.job_deltas')") < 4_500_000
    assert (await reading_site.reader.statistics()).totals.succeeded == 120_000


async def test_a_futile_vacuum_is_not_repeated_every_second(reading_site: ReadingSite) -> None:
    async with (
        rolling_up(reading_site) as rollup,
        reading_site.pool.connection() as old,
        old.transaction(),
    ):
        await old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await old.execute("SELECT count(*) FROM bulkport.job_deltas")
        for _ in range(2):
            await reading_site.connection.execute(MANY_DELTAS)
            while await rollup.roll_up() is not None:
                pass
        assert await reading_site.value("SELECT pg_relation_size('bulkport.job_deltas')") > 5_000_000
        for _ in range(4):
            await rollup.roll_up()
    await reading_site.connection.execute("SELECT pg_stat_force_next_flush()")
    vacuums = await reading_site.value("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'job_deltas'")
    assert 1 <= vacuums <= 2
