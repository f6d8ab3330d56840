"""Pruning removes exactly what is old enough, with everything stored about it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from engine_site import EngineSite, eventually
from reading_site import ReadingSite

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.errors import ParentNotFound
from bulkport.jobs.job import JobState
from bulkport.jobs.port.engine import RetentionPolicy
from bulkport.jobs.port.query import JobQuery
from bulkport.jobs.port.queueing import NewJob, Outcome, Parent
from bulkport.jobs.postgres import maintenance
from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.jobs.postgres.maintenance import prune_chore

DAY = timedelta(days=1)


@pytest.fixture
async def link(database_url: str) -> AsyncIterator[WorkerConnection]:
    link = WorkerConnection(database_url, asyncio.Event())
    yield link
    await link.close()


async def put_old(site: ReadingSite, job_id: int, state: str, age: timedelta, **columns: object) -> None:
    """A job that ended so long ago."""
    ended = datetime.now(UTC) - age
    await site.put(
        job_id,
        state,
        **{"created_at": ended - DAY, "started_at": ended - timedelta(seconds=1), "finished_at": ended} | columns,
    )


async def prune(link: WorkerConnection, policy: RetentionPolicy | None = None) -> int:
    """Prune as a worker does; gives how often it had to."""
    for times in range(1, 100):
        if await prune_chore(link, policy or RetentionPolicy()).run() is None:
            return times
    raise AssertionError("there is no end to it")


async def test_jobs_are_retained_according_to_their_state(reading_site: ReadingSite, link: WorkerConnection) -> None:
    for number, (state, days) in enumerate(
        [("succeeded", 6), ("succeeded", 8), ("cancelled", 6), ("cancelled", 8), ("failed", 29), ("failed", 31)],
        start=1,
    ):
        await put_old(reading_site, number, state, days * DAY)
    await reading_site.put(7, "enqueued")
    await reading_site.put(8, "retrying")
    await prune(link)
    assert set(await reading_site.found(JobQuery())) == {1, 3, 5, 7, 8}


async def test_permanently_retained_jobs_stay(reading_site: ReadingSite, link: WorkerConnection) -> None:
    for number, state in enumerate(["succeeded", "failed", "cancelled"], start=1):
        await put_old(reading_site, number, state, 1000 * DAY)
    await prune(link, RetentionPolicy(succeeded=None, failed=None, cancelled=None))
    assert len(await reading_site.found(JobQuery())) == 3
    await prune(link, RetentionPolicy(succeeded=None, failed=timedelta(0), cancelled=None))
    assert set(await reading_site.found(JobQuery())) == {1, 3}


async def test_everything_about_a_job_is_pruned_with_it(reading_site: ReadingSite, link: WorkerConnection) -> None:
    for number, age in ((1, 90 * DAY), (2, DAY)):
        await put_old(reading_site, number, "failed", age)
        for statement in (
            "INSERT INTO bulkport.job_runs (job_id, run, outcome, ended_at) VALUES (%s, 1, 'failed', now())",
            "INSERT INTO bulkport.job_history (job_id, state, reason) VALUES (%s, 'failed', 'why')",
            "INSERT INTO bulkport.job_progress (job_id, done) VALUES (%s, 1)",
            "INSERT INTO bulkport.job_logs (job_id, line, run, level, message) VALUES (%s, 1, 1, 'info', 'hello')",
            "INSERT INTO bulkport.job_continuations (child_id, parent_id, on_outcome) VALUES (%s, 77, 'finished')",
            "INSERT INTO bulkport.job_continuations (child_id, parent_id, on_outcome) VALUES (78, %s, 'finished')",
        ):
            await reading_site.connection.execute(statement, (number,))
    await prune(link)
    for table in ("finished_jobs", "job_runs", "job_history", "job_progress", "job_logs"):
        cursor = await reading_site.connection.execute(f"SELECT job_id FROM bulkport.{table}")
        assert await cursor.fetchall() == [(2,)], table
    cursor = await reading_site.connection.execute(
        "SELECT child_id, parent_id FROM bulkport.job_continuations ORDER BY 1"
    )
    assert await cursor.fetchall() == [(2, 77), (78, 2)]


async def test_counts_stay_correct_after_pruning(reading_site: ReadingSite, link: WorkerConnection) -> None:
    for number in range(1, 8):
        await put_old(reading_site, number, "succeeded", (20 if number > 2 else 1) * DAY)
    await reading_site.connection.execute(
        "INSERT INTO bulkport.job_deltas (at, task, queue, entered_state, jobs)"
        " VALUES (now(), 'report', 'default', 'succeeded', 7)"
    )
    await prune(link)
    statistics = await reading_site.reader.statistics()
    assert (statistics.states[JobState.SUCCEEDED], statistics.totals.succeeded) == (2, 7)
    await reading_site.value("SELECT moved FROM bulkport.rollup()")
    statistics = await reading_site.reader.statistics()
    assert (statistics.states[JobState.SUCCEEDED], statistics.totals.succeeded) == (2, 7)


async def test_pruning_uses_small_transactions(
    reading_site: ReadingSite, link: WorkerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert maintenance.MOST_PRUNED <= 1_000
    monkeypatch.setattr(maintenance, "MOST_PRUNED", 3)
    for number in range(1, 9):
        await put_old(reading_site, number, "succeeded", 20 * DAY)
    assert await prune(link) == 3
    transactions = await reading_site.value(
        "SELECT count(DISTINCT at) FROM bulkport.job_deltas WHERE entered_state IS NULL"
    )
    assert transactions == 3
    assert await reading_site.value("SELECT max(jobs) FROM bulkport.job_deltas") == 3


async def test_jobs_that_others_wait_for_stay(reading_site: ReadingSite, link: WorkerConnection) -> None:
    await put_old(reading_site, 1000, "failed", 90 * DAY)
    await put_old(reading_site, 1001, "failed", 90 * DAY)
    for parent, state in ((1000, "awaiting"), (1001, "succeeded")):
        await reading_site.put(parent + 10, state, finished_at=datetime.now(UTC))
        await reading_site.connection.execute(
            "INSERT INTO bulkport.job_continuations (child_id, parent_id, on_outcome) VALUES (%s, %s, 'finished')",
            (parent + 10, parent),
        )
    await prune(link)
    assert set(await reading_site.found(JobQuery())) == {1000, 1010, 1011}


async def test_jobs_of_an_open_batch_stay_and_an_empty_batch_is_pruned(
    reading_site: ReadingSite, link: WorkerConnection
) -> None:
    for batch_id, finished in ((1, None), (2, 90 * DAY), (3, DAY)):
        await reading_site.connection.execute(
            "INSERT INTO bulkport.job_batches (batch_id, sealed, finished_at) OVERRIDING SYSTEM VALUE"
            " VALUES (%s, true, %s)",
            (batch_id, None if finished is None else datetime.now(UTC) - finished),
        )
        await put_old(reading_site, batch_id, "succeeded", 90 * DAY, batch_id=batch_id)
    await prune(link)
    assert await reading_site.found(JobQuery()) == [1]
    cursor = await reading_site.connection.execute("SELECT batch_id FROM bulkport.job_batches ORDER BY 1")
    assert await cursor.fetchall() == [(1,), (3,)]


async def test_a_locked_job_is_not_pruned(reading_site: ReadingSite, link: WorkerConnection) -> None:
    for number in (1, 2, 3):
        await put_old(reading_site, number, "failed", 90 * DAY)
    async with await psycopg.AsyncConnection.connect(reading_site.url) as busy:
        await busy.execute("SELECT FROM bulkport.finished_jobs WHERE job_id IN (1, 2) FOR UPDATE")
        await asyncio.wait_for(prune(link), 60)
    assert set(await reading_site.found(JobQuery())) == {1, 2}
    await prune(link)
    assert await reading_site.found(JobQuery()) == []


async def test_pruning_while_jobs_are_requeued_loses_none(site: EngineSite) -> None:
    ids = [int(await site.add(NewJob("note", {}, delay=600))) for _ in range(60)]
    for job_id in ids:
        await site.cancel(BackgroundJobId(str(job_id)))
    pruning = WorkerConnection(site.url, asyncio.Event())

    async def requeue() -> set[int]:
        revived = set()
        async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as connection:
            for job_id in ids:
                cursor = await connection.execute(
                    "SELECT what FROM bulkport.requeue(ARRAY[%s::bigint], 'test', 'ada')", (job_id,)
                )
                if (await cursor.fetchone()) == ("requeued",):
                    revived.add(job_id)
        return revived

    async def prune_slowly() -> None:
        for _ in range(12):
            await pruning.fetch_all("SELECT pruned FROM bulkport.prune('cancelled', '0', 3)", {})

    revived, _ = await asyncio.gather(requeue(), prune_slowly())
    await pruning.close()
    left = set(await site.value("SELECT array_agg(job_id) FROM bulkport.all_jobs WHERE state = 'enqueued'") or [])
    assert left == revived


async def test_only_finished_jobs_can_be_pruned(reading_site: ReadingSite) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="not pruned"):
        await reading_site.connection.execute("SELECT bulkport.prune('enqueued', '0', 10)")


async def test_workers_prune_by_policy(site: EngineSite) -> None:
    job_id = await site.enqueue("note")
    async with site.worker():
        await site.reaches(job_id, JobState.SUCCEEDED)

    async def is_pruned() -> bool:
        return bool(await site.value("SELECT count(*) = 0 FROM bulkport.all_jobs"))

    async with site.worker(retention=RetentionPolicy(succeeded=timedelta(0))):
        await eventually(is_pruned, "the job is pruned")


async def test_a_continuation_of_a_pruned_job_is_not_enqueued_blindly(reading_site: ReadingSite) -> None:
    site = reading_site
    child = NewJob("second", {}, parents=(Parent(job_id=BackgroundJobId("999"), on=Outcome.FINISHED),))
    with pytest.raises(ParentNotFound):
        await site.engine.enqueue(site.connection, child)
