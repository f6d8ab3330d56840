"""Fire and forget: enqueued jobs run with typed arguments in the caller's transaction, and never if it rolls back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date

import psycopg
import pytest
from conformance_site import ConformanceSite, Home
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from bulkport.jobs import JobQuery, JobState
from bulkport.jobs.connections import AnyConnection
from bulkport.jobs.errors import ArgumentsDoNotFit
from bulkport.jobs.port import NewJob

Roll = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module", autouse=True)
def _server(home: Home) -> Iterator[None]:
    with home.server("only"):
        yield


async def test_async_and_sync_tasks_run_with_typed_arguments(site: ConformanceSite) -> None:
    ids = [
        await site.jobs.enqueue(site.tasks.add, 2, b=3),
        await site.jobs.enqueue(site.tasks.shout, "hello"),
        await site.jobs.enqueue(site.tasks.remind.call(date(2026, 12, 24), [1, 2])),
    ]
    ended = [await site.succeeds(job_id) for job_id in ids]
    assert [job.result for job in ended] == [5, "HELLO in True", "24.12.2026: 3"]
    assert (ended[2].queue, ended[2].priority) == ("mail", 2)
    assert site.diary.events(ids[0]) == ["ran"]


async def test_arguments_are_checked_against_the_signature_at_once(site: ConformanceSite) -> None:
    before = await site.jobs.count(JobQuery())
    for args, kwargs, named in [(("many",), {}, "a"), ((), {}, "a"), ((1, 2, 3), {}, "add"), ((1,), {"c": 1}, "c")]:
        with pytest.raises(ArgumentsDoNotFit, match=named):
            await site.jobs.enqueue(site.tasks.add, *args, **kwargs)
    assert await site.jobs.count(JobQuery()) == before


@asynccontextmanager
async def in_transaction(kind: str, url: str) -> AsyncIterator[tuple[AnyConnection, Roll, Roll]]:
    """The caller's connection, its commit and its rollback."""
    alchemy_url = url.replace("postgresql://", "postgresql+psycopg://", 1)

    def awaited(function: Callable[[], None]) -> Roll:
        return lambda: asyncio.to_thread(function)

    if kind == "psycopg":
        async with await psycopg.AsyncConnection.connect(url) as connection:
            yield connection, connection.commit, connection.rollback
    elif kind == "psycopg sync":
        with psycopg.connect(url) as sync_connection:
            yield sync_connection, awaited(sync_connection.commit), awaited(sync_connection.rollback)
    elif kind == "session":
        engine = create_async_engine(alchemy_url)
        async with AsyncSession(engine) as session:
            yield session, session.commit, session.rollback
        await engine.dispose()
    else:
        sync_engine = create_engine(alchemy_url)
        with Session(sync_engine) as sync_session:
            yield sync_session, awaited(sync_session.commit), awaited(sync_session.rollback)
        sync_engine.dispose()


@pytest.mark.parametrize("kind", ["psycopg", "psycopg sync", "session", "session sync"])
async def test_a_job_runs_if_and_only_if_the_callers_transaction_commits(site: ConformanceSite, kind: str) -> None:
    async with in_transaction(kind, site.url) as (connection, commit, rollback):
        never = await site.jobs.enqueue(site.tasks.add.call(1), connection=connection)
        await rollback()
        job_id = await site.jobs.enqueue(site.tasks.add.call(1), connection=connection)
        # Later jobs run, this one does not: its transaction is open.
        await site.succeeds(await site.jobs.enqueue(site.tasks.add, 1))
        assert await site.jobs.get(job_id) is None
        assert site.diary.events(job_id) == []
        await commit()
    await site.succeeds(job_id)
    assert await site.jobs.get(never) is None
    assert site.diary.events(never) == []
    assert site.diary.events(job_id) == ["ran"]


async def test_code_without_an_event_loop_can_enqueue(site: ConformanceSite) -> None:
    def enqueue() -> list[str]:
        with site.jobs.sync.connect(site.url):
            call = site.tasks.shout.call("sync")
            first = site.jobs.sync.enqueue(site.tasks.add, 1)
            return [
                first,
                site.jobs.sync.schedule(call, in_=0.05),
                site.jobs.sync.continue_with(first, call),
                *(job.id for job in site.jobs.sync.enqueue_many([call, call])),
            ]

    for job_id in await asyncio.to_thread(enqueue):
        await site.succeeds(job_id)  # type: ignore[arg-type]


async def test_a_callers_own_sql_statement_can_enqueue_in_the_same_round_trip(site: ConformanceSite) -> None:
    expression = site.engine.port().enqueue_call("add", sql.SQL("jsonb_build_object('a', n)"), user_id=sql.SQL("'ada'"))
    cursor = await site.connection.execute(sql.SQL("SELECT {} FROM generate_series(1, 3) n").format(expression))
    jobs = [await site.succeeds(str(row[0])) for row in await cursor.fetchall()]  # type: ignore[arg-type]
    assert [(job.result, job.user_id) for job in jobs] == [(2, "ada"), (3, "ada"), (4, "ada")]


async def test_a_process_that_does_not_know_a_task_can_enqueue_it_by_name(site: ConformanceSite) -> None:
    job_id = await site.engine.port().enqueue(site.connection, NewJob("add", {"a": 1}))
    assert (await site.succeeds(job_id)).result == 2


async def test_thousands_of_jobs_are_enqueued_in_one_call_all_or_none(site: ConformanceSite) -> None:
    calls = [site.tasks.add.options(queue="bulk").call(number) for number in range(3_000)]
    async with await psycopg.AsyncConnection.connect(site.url) as connection:
        await site.jobs.enqueue_many(calls, connection=connection)
        await connection.rollback()
    assert (await site.jobs.count(JobQuery(queue="bulk"))).jobs == 0
    await site.jobs.pause_queue("bulk")
    queued = await site.jobs.enqueue_many(calls)
    assert all(job.is_new for job in queued)
    assert len({job.id for job in queued}) == len(calls)
    page = await site.jobs.search(JobQuery(queue="bulk", states={JobState.ENQUEUED}, descending=False), limit=2)
    assert [job.args for job in page.items] == [{"a": 0}, {"a": 1}]
    assert (await site.jobs.count(JobQuery(queue="bulk"))).jobs == len(calls)
    await site.jobs.cancel_all(JobQuery(queue="bulk"))
