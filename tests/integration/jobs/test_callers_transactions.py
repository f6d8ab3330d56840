"""Each call that takes a connection takes effect in its transaction, whatever drives it, wherever the tables are."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from background_jobs import BackgroundJobs
from bulkport import migrations
from bulkport.jobs import JobState, Task


@asynccontextmanager
async def transaction(kind: str, url: str) -> AsyncIterator[Any]:
    """A caller's transaction, which is rolled back."""
    if kind == "psycopg":
        async with await psycopg.AsyncConnection.connect(url) as connection:
            yield connection
            await connection.rollback()
    elif kind == "asyncpg":
        bare = await asyncpg.connect(url)
        for name in ("json", "jsonb"):  # as applications do that want Python's values of JSON
            await bare.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        begun = bare.transaction()
        await begun.start()
        yield bare
        await begun.rollback()
        await bare.close()
    else:
        engine = create_async_engine(url.replace("postgresql://", f"postgresql+{kind.split()[1]}://"))
        async with AsyncSession(engine) as session:
            yield session
            await session.rollback()
        await engine.dispose()


@pytest.fixture(params=["bulkport", "etl"])
async def jobs(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[BackgroundJobs]:
    if request.param != "bulkport":
        with psycopg.connect(database_url) as connection:
            migrations.upgrade(connection, schema=request.param)
    made = BackgroundJobs(schema=request.param)
    async with made.connect(database_url):
        yield made


def adding(jobs: BackgroundJobs) -> Task[..., int]:
    @jobs.task(name="add")
    async def add(left: int, right: dict[str, str]) -> int:
        return left

    return add


KINDS = ("psycopg", "asyncpg", "session asyncpg", "session psycopg")


@pytest.mark.parametrize("kind", KINDS)
async def test_changes_in_a_callers_transaction_are_visible_there_and_roll_back_with_it(
    database_url: str, jobs: BackgroundJobs, kind: str
) -> None:
    add = adding(jobs)
    waiting = await jobs.enqueue(add, 1, {"a": "b"})
    async with transaction(kind, database_url) as connection:
        made = await jobs.enqueue_many(
            [add.call(2, {}), add.options(unique_key="one", tags=["x"]).call(3, {"c": "d"})], connection=connection
        )
        alone = await jobs.enqueue(add, 4, {"e": "f"}, connection=connection)
        later = await jobs.continue_with(alone, add.call(5, {}), connection=connection)
        found = await jobs.get(made[1].id, connection=connection)
        assert found is not None
        assert (found.args, found.state) == ({"left": 3, "right": {"c": "d"}}, JobState.ENQUEUED)
        single = await jobs.get(alone, connection=connection)
        assert single is not None
        assert single.args == {"left": 4, "right": {"e": "f"}}
        assert (await jobs.cancel(waiting, reason="no more", connection=connection)).effect == "cancelled"
        assert (await jobs.reschedule(later, in_=60, connection=connection)).effect == "waits for other jobs"
        nightly = await jobs.recurring.add_or_update(
            "nightly", add.call(1, {"g": "h"}), cron="@daily", connection=connection
        )
        assert nightly.definition.args == {"left": 1, "right": {"g": "h"}}
        triggered = await jobs.recurring.trigger("nightly", connection=connection)
        assert (await jobs.recurring.pause("nightly", connection=connection)).last_job_id == triggered
        assert [each.id for each in await jobs.recurring.list(connection=connection)] == ["nightly"]
        assert await jobs.recurring.remove("nightly", connection=connection)
        await jobs.pause_queue("default", note="for now", connection=connection)
        assert await jobs.get(made[0].id) is None
    still = await jobs.get(waiting)
    assert still is not None
    assert still.state is JobState.ENQUEUED
    assert await jobs.get(alone) is None
    assert [queue.paused_at for queue in await jobs.queues()] == [None]
    assert await jobs.recurring.get("nightly") is None


@pytest.mark.parametrize("kind", ["session asyncpg", "session psycopg"])
async def test_sync_code_within_an_async_session_enqueues_in_its_transaction(
    database_url: str, jobs: BackgroundJobs, kind: str
) -> None:
    add = adding(jobs)
    async with transaction(kind, database_url) as session:
        gone = await session.run_sync(lambda sync: jobs.sync.enqueue(add, 1, {}, connection=sync))
        assert await jobs.get(gone, connection=session) is not None
        await session.rollback()
        stored = await session.run_sync(lambda sync: jobs.sync.enqueue(add, 2, {}, connection=sync))
        assert await jobs.get(stored) is None
        await session.commit()
    assert await jobs.get(gone) is None
    assert await jobs.get(stored) is not None


async def test_a_pool_is_not_accepted_as_a_connection(database_url: str, jobs: BackgroundJobs) -> None:
    add = adding(jobs)
    async with asyncpg.create_pool(database_url, min_size=1) as pool:
        with pytest.raises(TypeError, match=r"cannot be enqueued through a asyncpg\.pool\.Pool"):
            await jobs.enqueue(add, 1, {}, connection=pool)
        async with pool.acquire() as connection:
            assert await jobs.enqueue(add, 1, {}, connection=connection)
