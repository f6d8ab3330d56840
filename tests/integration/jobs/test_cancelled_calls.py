"""Callers that go away in the middle of a call leave nothing behind on the connections of the pool."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from background_jobs import BackgroundJobs
from bulkport.jobs import Granularity, JobQuery, JobSort, JobState
from bulkport.pools import AsyncPool, is_reusable, open_pool

CONNECTIONS = 3
CANCELS = 60
"""Of each kind of call."""

Call = Callable[[], Awaitable[Any]]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncPool]:
    async with open_pool(database_url, name="shared", most=CONNECTIONS, acquire_seconds=20.0) as pool:
        yield pool


async def test_a_call_cancelled_at_any_point_disturbs_no_later_one(pool: AsyncPool) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="note")
    async def note(number: int) -> None: ...

    async with jobs.connect(pool=pool):
        enqueued = await jobs.enqueue_many([note.call(number) for number in range(20)])
        kept, changed = enqueued[0].id, enqueued[1].id
        await jobs.cancel(kept)
        since = datetime.now(UTC) - timedelta(minutes=5)

        async def at_one_moment() -> Any:
            async with jobs.reader.at_one_moment() as reader:
                await reader.queues()
                return await reader.search(JobQuery(states={JobState.CANCELLED}))

        reads: Mapping[str, Call] = {
            "search": lambda: jobs.search(JobQuery(text="number", states={JobState.CANCELLED}), limit=5),
            "sorted": lambda: jobs.search(JobQuery(sort=JobSort.FINISHED)),
            "count": lambda: jobs.count(JobQuery(states={JobState.CANCELLED})),
            "details": lambda: jobs.details(kept),
            "get": lambda: jobs.get(kept),
            "servers": jobs.servers,
            "recurring": jobs.recurring.list,
            "at one moment": at_one_moment,
        }
        moving: Mapping[str, Call] = {
            "statistics": jobs.statistics,
            "series": lambda: jobs.series(Granularity.MINUTE, since, percentiles=True),
            "task statistics": jobs.task_statistics,
            "queues": jobs.queues,
        }
        writes: Mapping[str, Call] = {
            "enqueue": lambda: jobs.enqueue(note, 1),
            "enqueue many": lambda: jobs.enqueue_many([note.call(number) for number in range(3)]),
            "reschedule": lambda: jobs.reschedule(changed, in_=3600),
            "requeue all": lambda: jobs.requeue_all(JobQuery(states={JobState.FAILED})),
            "pause": lambda: jobs.pause_queue("other"),
        }
        answers = {name: await call() for name, call in reads.items()}
        for name, call in (reads | moving | writes).items():
            await _cancel_often(call)
            for read, answer in answers.items():
                assert await reads[read]() == answer, f"{read} after {name}"
            await _check_connections(pool)


async def test_a_connection_left_in_pipeline_mode_or_a_transaction_is_replaced(pool: AsyncPool) -> None:
    async def leave(spoil: Callable[[AsyncConnection[Any]], Awaitable[object]]) -> int:
        connection = await pool.getconn()
        await spoil(connection)
        number = connection.info.backend_pid
        await pool.putconn(connection)
        return number

    async def enter_pipeline(connection: AsyncConnection[Any]) -> None:
        connection.pgconn.enter_pipeline_mode()

    async def begin(connection: AsyncConnection[Any]) -> None:
        await connection.execute("BEGIN; SET LOCAL statement_timeout = 1")

    async def need_commits(connection: AsyncConnection[Any]) -> None:
        await connection.set_autocommit(False)
        await connection.set_read_only(True)

    closed = {await leave(spoil) for spoil in (enter_pipeline, begin)}
    await leave(need_commits)
    await _check_connections(pool)
    async with contextlib.AsyncExitStack() as stack:
        lent = [await stack.enter_async_context(pool.connection()) for _ in range(CONNECTIONS)]
        assert not closed & {connection.info.backend_pid for connection in lent}


def test_a_connection_of_a_closed_event_loop_is_replaced(database_url: str) -> None:
    jobs = BackgroundJobs()

    @jobs.task(name="note")
    async def note(number: int) -> None: ...

    with jobs.sync.connect(database_url, most=1):
        for number in range(3):
            jobs.sync.enqueue(note, number)
            pool = jobs.sync._pools[-1]
            spoilt = pool.getconn()
            spoilt.pgconn.enter_pipeline_mode()
            pool.putconn(spoilt)
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM bulkport.all_jobs").fetchone()
        assert row == (3,)


async def _cancel_often(call: Call) -> None:
    began = time.perf_counter()
    await call()
    seconds = time.perf_counter() - began
    for _ in range(CANCELS):
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(_cancelled(call, random.uniform(0, 1.5 * seconds)))


async def _cancelled(call: Call, seconds: float) -> None:
    caller = asyncio.ensure_future(call())
    await asyncio.wait([caller], timeout=seconds)
    caller.cancel()
    if random.random() < 0.2:
        # Once more, while it clears up.
        await asyncio.wait([caller], timeout=seconds / 4)
        caller.cancel()
    with contextlib.suppress(asyncio.CancelledError, psycopg.errors.QueryCanceled):
        await caller


async def _check_connections(pool: AsyncPool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        lent = [await stack.enter_async_context(pool.connection()) for _ in range(CONNECTIONS)]
        for connection in lent:
            assert is_reusable(connection)
            assert connection.autocommit
            assert (connection.isolation_level, connection.read_only) == (None, None)
            row = await (await connection.execute("SHOW statement_timeout")).fetchone()
            assert row == ("0",)
            locks = await connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert await locks.fetchone() == (0,)
