"""Deadlocks: PostgreSQL aborts one of two transactions; Bulkport retries its own transparently."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from engine_site import eventually
from psycopg.errors import DeadlockDetected

from background_jobs import BackgroundJobs
from bulkport.jobs import JobState

jobs = BackgroundJobs()


@jobs.task(name="keyed")
async def keyed() -> None: ...


KEYED = [keyed.options(unique_key=key).call() for key in ("a", "b")]
"""Two jobs that take the key "a" first and "b" then."""


async def enqueue() -> None:
    await jobs.enqueue_many(KEYED)


async def enqueue_sync() -> None:
    await asyncio.to_thread(jobs.sync.enqueue_many, KEYED)


async def queue_batch() -> None:
    async with jobs.batch("both") as batch:
        for call in KEYED:
            batch.add(call)


async def meet_a_rival(database_url: str, act: Awaitable[None]) -> None:
    """Have `act` wait for a transaction that waits for it, until PostgreSQL ends that of `act`."""
    async with (
        await psycopg.AsyncConnection.connect(database_url) as rival,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as onlooker,
    ):
        # The one that gives way is the one that has looked for the deadlock.
        await rival.execute("SET LOCAL deadlock_timeout = '60s'")
        lock = (
            "INSERT INTO bulkport.jobs (task, queue, priority, state, args, created_at, ready_at, unique_key)"
            " VALUES ('keyed', 'default', 0, 'enqueued', '{}', now(), now(), %s)"
        )
        await rival.execute(lock, ("b",))
        acting = asyncio.ensure_future(act)

        async def waits_for_the_rival() -> bool:
            cursor = await onlooker.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND %s = ANY(pg_blocking_pids(pid))",
                (rival.info.backend_pid,),
            )
            return await cursor.fetchone() is not None

        await eventually(waits_for_the_rival, "a lock is waited for")
        await rival.execute(lock, ("a",))
        await rival.rollback()
        await acting


@pytest.fixture
async def url(database_url: str) -> str:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''2s''', current_database()); END $$"
        )
    return database_url


@pytest.mark.parametrize("act", [enqueue, enqueue_sync, queue_batch])
async def test_our_own_transaction_is_retried_after_a_deadlock(url: str, act: Callable[[], Awaitable[None]]) -> None:
    async with jobs.connect(url):
        with jobs.sync.connect(url):
            await meet_a_rival(url, act())
        assert (await jobs.statistics()).states[JobState.ENQUEUED] == 2


async def test_a_callers_transaction_is_not_retried_after_a_deadlock(url: str) -> None:
    async with jobs.connect(url), await psycopg.AsyncConnection.connect(url) as connection:

        async def queue_batch_in_a_transaction() -> None:
            async with jobs.batch("both", connection=connection) as batch:
                for call in KEYED:
                    batch.add(call)

        with pytest.raises(DeadlockDetected):
            await meet_a_rival(url, queue_batch_in_a_transaction())
        assert (await jobs.statistics()).states[JobState.ENQUEUED] == 0
