"""Queueing jobs: in the caller's transaction, in one round trip, with locks, queues, priorities and times."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from engine_site import EngineSite, eventually
from psycopg_pool import AsyncConnectionPool

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobQuery, JobState, TaskDefinition
from bulkport.jobs.errors import JobAlreadyQueued, NotConnected, TaskAlreadyDeclared
from bulkport.jobs.port import EnqueuedJob, NewJob, Parent
from bulkport.jobs.port.control import Cancel
from bulkport.jobs.postgres import PostgresEngine


async def test_a_job_is_enqueued_with_its_transaction(site: EngineSite) -> None:
    async with await psycopg.AsyncConnection.connect(site.url) as connection, site.worker():
        async with connection.transaction():
            job_id = await site.engine.enqueue(connection, NewJob("note", {}))
            assert await site.engine.look_up(job_id, site.connection) is None
        assert not connection.closed
        assert (await site.reaches(job_id, JobState.SUCCEEDED)).attempts == 1
    assert await site.events() == ["ran"]


async def test_a_rolled_back_transaction_leaves_no_job(site: EngineSite) -> None:
    async with await psycopg.AsyncConnection.connect(site.url) as connection, site.worker():
        async with connection.transaction(force_rollback=True):
            gone = await site.engine.enqueue(connection, NewJob("note", {}))
        assert await site.engine.look_up(gone, site.connection) is None
        await site.reaches(await site.enqueue("note"), JobState.SUCCEEDED)
    assert await site.events(gone) == []


async def test_enqueue_is_one_statement(site: EngineSite) -> None:
    sent = 0

    class Counting(psycopg.AsyncCursor[Any]):
        async def execute(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal sent
            sent += 1
            return await super().execute(*args, **kwargs)

    async with await psycopg.AsyncConnection.connect(site.url, cursor_factory=Counting) as connection:
        for _ in range(20):
            await site.engine.enqueue(connection, NewJob("note", {"text": "ada"}))
    assert sent == 20


async def test_a_waiting_worker_is_notified(site: EngineSite) -> None:
    async with site.worker(poll_seconds=60):
        waited = []
        for _ in range(10):
            job_id = await site.enqueue("note")
            await site.reaches(job_id, JobState.SUCCEEDED)
            query = "SELECT extract(epoch FROM started_at - created_at)::float FROM bulkport.all_jobs WHERE job_id = %s"
            waited.append(await site.value(query, int(job_id)))
    assert min(waited) < 5  # some ms with the machine to itself; the next poll is a minute away


async def test_many_concurrent_jobs_run_without_polling(site: EngineSite) -> None:
    async with site.worker(poll_seconds=60, concurrency=2):
        jobs = [await site.enqueue("note") for _ in range(60)]

        async def all_ran() -> bool:
            return len(await site.events()) == len(jobs)

        await eventually(all_ran, "all ran", seconds=20)


async def test_arguments_priority_and_attempt_reach_the_task(site: EngineSite) -> None:
    job_id = await site.add(NewJob("note", {"text": "ünï"}, priority=7))
    async with site.worker() as tasks:
        await site.reaches(job_id, JobState.SUCCEEDED)
    (context,) = tasks.contexts
    assert (context.job_id, context.task, context.args) == (job_id, "note", {"text": "ünï"})
    assert (context.priority, context.attempt, context.max_attempts) == (7, 1, 3)
    assert (context.cancel_requested, context.is_last_attempt) == (False, False)
    assert await site.events() == ["ünï"]


async def test_jobs_start_by_priority_and_then_in_order(site: EngineSite) -> None:
    for text, priority in (("c", 0), ("d", 0), ("e", -1), ("a", 2), ("b", 1)):
        await site.add(NewJob("note", {"text": text}, priority=priority))
    async with site.worker(concurrency=1):
        await site.happens("e")
    assert await site.events() == ["a", "b", "c", "d", "e"]


async def test_a_worker_serves_only_its_queues(site: EngineSite) -> None:
    other = await site.add(NewJob("note", {}, "other"))
    async with site.worker(queues=["mine", "yours"], poll_seconds=60):
        for queue in ("mine", "yours"):
            job_id = await site.add(NewJob("note", {}, queue))
            assert (await site.reaches(job_id, JobState.SUCCEEDED)).queue == queue
    assert (await site.job(other)).state is JobState.ENQUEUED


async def test_a_unique_key_allows_one_waiting_job(site: EngineSite) -> None:
    only = NewJob("wait", {"gate": "gate"}, unique_key="only")
    waiting = await site.add(only)
    async with await psycopg.AsyncConnection.connect(site.url) as connection:
        with pytest.raises(JobAlreadyQueued) as refused:
            await site.engine.enqueue(connection, only)
        assert refused.value.job_id == waiting
        # The transaction goes on.
        other = await site.engine.enqueue(connection, NewJob("note", {}, unique_key="other"))
    async with site.worker():
        await site.happens("begun", waiting)
        second = await site.add(only)
        assert second != waiting
        await site.open_gate()
        for job_id in (waiting, other, second):
            await site.reaches(job_id, JobState.SUCCEEDED)


async def test_two_transactions_with_one_unique_key_create_one_job(site: EngineSite) -> None:
    jobs = [NewJob("note", {}, unique_key=key) for key in ("a", "b", "a")]
    async with (
        await psycopg.AsyncConnection.connect(site.url) as first,
        await psycopg.AsyncConnection.connect(site.url) as second,
    ):
        a, b, again = await site.engine.enqueue_many(first, jobs)
        assert (a.is_new, b.is_new, again) == (True, True, EnqueuedJob(a.id, is_new=False))
        late = asyncio.create_task(site.engine.enqueue_many(second, jobs[::-1]))
        await eventually(lambda: is_waiting(site, second), "the second waits for the first")
        await first.commit()
        assert await late == [EnqueuedJob(id_, is_new=False) for id_ in (a.id, b.id, a.id)]
        await second.commit()
    assert await site.value("SELECT array_agg(job_id ORDER BY job_id) FROM bulkport.all_jobs") == [int(a.id), int(b.id)]


async def is_waiting(site: EngineSite, connection: psycopg.AsyncConnection[Any]) -> bool:
    query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    return bool(await site.value(query, connection.info.backend_pid))


async def test_a_scheduled_job_waits_for_its_time(site: EngineSite) -> None:
    at = datetime.now(UTC) + timedelta(seconds=0.6)
    job_id = await site.add(NewJob("note", {}, at=at))
    job = await site.job(job_id)
    assert (job.state, job.scheduled_at) == (JobState.SCHEDULED, at)
    async with site.worker(poll_seconds=0.05):
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert await site.value("SELECT at FROM runs") >= at


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1.0},
        {"delay": 1.0, "parents": (Parent(batch_id=1),)},
        {"queue": ""},
        {"queue": "q" * 129},
    ],
)
def test_an_invalid_job_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"time zone|one of them|1 to 40 bytes"):
        NewJob("note", {}, **wrong)


async def test_looking_up_and_cancelling_an_invalid_id_finds_nothing(site: EngineSite) -> None:
    for text in ("1", "0", "-1", "", "x", "1.5", "٣", "9" * 30, str(2**63)):
        assert await site.engine.look_up(BackgroundJobId(text), site.connection) is None
        assert not await site.cancel(BackgroundJobId(text))


async def test_calls_without_a_connection_use_the_pool(site: EngineSite) -> None:
    job_id = await site.enqueue("note")
    async with AsyncConnectionPool(site.url, kwargs={"autocommit": True}, min_size=1, open=False) as pool:
        engine = PostgresEngine(pool)
        assert (await engine.look_up(job_id)) == await site.job(job_id)
        assert (await engine.reader.count(JobQuery())).jobs == 1
        assert await engine.rescue() == []
        await engine.control.order(Cancel(), [job_id])
    assert (await site.job(job_id)).state is JobState.CANCELLED
    with pytest.raises(RuntimeError, match="not connected"):
        await site.engine.look_up(job_id)
    with pytest.raises(NotConnected, match="no pool"):
        await site.engine.reader.count(JobQuery())


def test_a_task_name_can_be_declared_once() -> None:
    async def task() -> None: ...

    engine = PostgresEngine()
    engine.add_task(TaskDefinition("task", task))
    with pytest.raises(TaskAlreadyDeclared):
        engine.add_task(TaskDefinition("task", task))


async def test_a_stopped_worker_releases_its_lease(site: EngineSite) -> None:
    async with site.worker(name="mine"):
        assert await site.servers() == ["mine"]
    assert await site.servers() == []
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
