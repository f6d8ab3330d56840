"""What an application enqueues runs, typed and in its own transaction; what it rolls back does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import psycopg
import pytest
from public_site import PublicSite
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession as SqlModelSession

from background_jobs import BackgroundJobs
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobContext, JobState, Task
from bulkport.jobs.connections import AnyConnection, SyncConnection
from bulkport.jobs.errors import (
    ArgumentsDoNotFit,
    JobAlreadyQueued,
    NotConnected,
    TaskAlreadyDeclared,
    TaskDeclarationError,
)

KINDS = [
    *("psycopg", "psycopg sync", "session", "session sync", "connection", "connection sync"),
    *("asyncpg", "session asyncpg", "connection asyncpg", "sqlmodel", "sqlmodel asyncpg"),
]


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[BackgroundJobs]:
    made = BackgroundJobs()
    async with made.connect(database_url):
        yield made


@pytest.fixture
def public(database_url: str, jobs: BackgroundJobs) -> PublicSite:
    return PublicSite(database_url, jobs)


async def test_async_and_sync_tasks_run_with_typed_arguments(public: PublicSite) -> None:
    @public.jobs.task
    async def total(context: JobContext, amounts: list[Decimal], on: date = date(2026, 1, 1)) -> str:
        return f"{context.attempt} {sum(amounts)} {on:%d.%m.}"

    @public.jobs.task(name="loud", queue="slow")
    def shout(words: str, context: JobContext) -> str:
        return f"{words.upper()} {context.task}"

    ids = [
        await public.jobs.enqueue(total, [Decimal("0.10"), Decimal("0.20")]),
        await public.jobs.enqueue(total.call([Decimal(1)], on=date(2026, 12, 24))),
        await public.jobs.enqueue(shout.options(priority=3, user_id="ada"), words="hello"),  # type: ignore[call-overload]
    ]
    async with public.worker():
        ended = [await public.reaches(job_id, JobState.SUCCEEDED) for job_id in ids]
    assert [job.result for job in ended] == ["1 0.30 01.01.", "1 1 24.12.", "HELLO loud"]
    assert (ended[2].queue, ended[2].priority, ended[2].user_id) == ("slow", 3, "ada")


async def test_invalid_arguments_are_rejected_at_once_and_nothing_is_enqueued(public: PublicSite) -> None:
    @public.jobs.task
    async def count(number: int) -> None: ...

    with pytest.raises(ArgumentsDoNotFit, match="number"):
        await public.jobs.enqueue(count, "many")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="already"):
        await public.jobs.enqueue(count.call(1), 2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="is neither a task"):
        await public.jobs.enqueue("count")  # type: ignore[call-overload]
    assert await stored(public) == 0


async def test_stored_arguments_that_no_longer_fit_fail_permanently(public: PublicSite) -> None:
    @public.jobs.task(name="count")
    async def count(number: str) -> None: ...

    job_id = await public.jobs.enqueue(count, "many")
    newer = BackgroundJobs()

    @newer.task(name="count")
    async def count_numbers(number: int) -> None: ...

    async with PublicSite(public.url, newer).worker():
        job = await public.reaches(job_id, JobState.FAILED)
    assert job.last_error is not None
    assert "number: " in job.last_error
    assert job.attempts == 1


def test_a_name_is_declared_once_and_options_must_exist() -> None:
    jobs = BackgroundJobs()
    jobs.task(name="count")(lambda: None)
    with pytest.raises(TaskAlreadyDeclared):
        jobs.task(name="count")(lambda: None)
    with pytest.raises(TaskDeclarationError, match="qeue"):
        jobs.task(qeue="slow")(lambda: None)  # type: ignore[call-overload]
    with pytest.raises(TaskDeclarationError, match="connection"):
        jobs.task(lambda connection: None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
async def test_a_job_is_part_of_the_callers_transaction(public: PublicSite, kind: str, commits: bool) -> None:
    @public.jobs.task
    async def note() -> str:
        return "ran"

    await with_transaction(public, kind, note, commits=commits)
    if not commits:
        assert await stored(public) == 0
        return
    async with public.worker():
        (job_id,) = await ids(public)
        assert (await public.reaches(job_id, JobState.SUCCEEDED)).result == "ran"


async def with_transaction(public: PublicSite, kind: str, note: Task[[], object], *, commits: bool) -> None:
    """Enqueue a job, look that it is there, and end the transaction; with no statement of the caller's before it."""
    url = public.url.replace("postgresql://", "postgresql+psycopg://")
    enqueue = public.jobs.enqueue
    sync_enqueue = public.jobs.sync.enqueue

    async def add(connection: AnyConnection) -> None:
        assert await enqueue(note.call(), connection=connection)

    def sync_add(connection: SyncConnection) -> None:
        assert sync_enqueue(note.call(), connection=connection)

    if kind == "psycopg":
        async with await psycopg.AsyncConnection.connect(public.url) as plain:
            await add(plain)
            await (plain.commit() if commits else plain.rollback())
    elif kind == "psycopg sync":
        with psycopg.connect(public.url) as sync_plain:
            sync_add(sync_plain)
            (sync_plain.commit if commits else sync_plain.rollback)()
    elif kind.endswith("sync"):
        engine = create_engine(url)
        with Session(engine) if kind.startswith("session") else engine.connect() as sync_alchemy:
            sync_add(sync_alchemy)
            (sync_alchemy.commit if commits else sync_alchemy.rollback)()
        engine.dispose()
    elif kind == "asyncpg":
        bare = await asyncpg.connect(public.url)
        transaction = bare.transaction()
        await transaction.start()
        await add(bare)
        await (transaction.commit() if commits else transaction.rollback())
        await bare.close()
    else:
        driver = "asyncpg" if "asyncpg" in kind else "psycopg"
        async_engine = create_async_engine(public.url.replace("postgresql://", f"postgresql+{driver}://"))
        session = SqlModelSession if kind.startswith("sqlmodel") else AsyncSession
        async with async_engine.connect() if kind.startswith("connection") else session(async_engine) as alchemy:
            await add(alchemy)
            await (alchemy.commit() if commits else alchemy.rollback())
        await async_engine.dispose()


async def test_a_sync_session_may_be_used_on_the_event_loop(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    engine = create_engine(public.url.replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session, session.begin():
        session.execute(text("SELECT 1"))
        await public.jobs.enqueue(note.call(), connection=session)
    engine.dispose()
    assert await stored(public) == 1


async def test_an_unsupported_connection_is_rejected(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    with pytest.raises(TypeError, match="psycopg"):
        await public.jobs.enqueue(note, connection=object())  # type: ignore[call-overload]
    memory = create_engine("sqlite://")
    with memory.connect() as connection, pytest.raises(TypeError, match="sqlite3"):
        await public.jobs.enqueue(note.call(), connection=connection)
    memory.dispose()


async def test_without_a_connection_the_error_says_what_is_missing() -> None:
    jobs = BackgroundJobs()
    note = jobs.task(name="note")(lambda: None)
    with pytest.raises(RuntimeError, match=r"connect\("):
        await jobs.enqueue(note)
    with pytest.raises(RuntimeError, match=r"sync\.connect\("):
        jobs.sync.enqueue(note)


async def test_code_without_an_event_loop_has_its_own_pool(public: PublicSite) -> None:
    @public.jobs.task
    def add(left: int, right: int = 0) -> int:
        return left + right

    def program() -> list[str]:
        with public.jobs.sync.connect(public.url) as jobs:
            first = jobs.enqueue(add, 1, right=2)
            later = jobs.schedule(add, 3, in_=timedelta(seconds=0))
            last = jobs.continue_with([first, later], add.call(5))
            return [first, later, last, *(job.id for job in jobs.enqueue_many([add.call(7), add.call(8)]))]

    enqueued = await asyncio.to_thread(program)
    async with public.worker():
        ended = [await public.reaches(each, JobState.SUCCEEDED) for each in await ids(public)]
    assert [job.id for job in ended] == enqueued
    assert [job.result for job in ended] == [3, 3, 5, 7, 8]


async def test_sync_tasks_can_enqueue_jobs(public: PublicSite) -> None:
    @public.jobs.task
    def note() -> str:
        return "noted"

    @public.jobs.task
    def hand_on() -> str:
        return public.jobs.sync.enqueue(note)

    handing = await public.jobs.enqueue(hand_on)
    async with public.worker():
        job = await public.reaches(handing, JobState.SUCCEEDED)
        noting = await public.reaches(BackgroundJobId(str(job.result)), JobState.SUCCEEDED)
        assert noting.result == "noted"
    assert not public.jobs.sync.is_connected


async def test_closing_one_connection_pool_leaves_others_open(public: PublicSite) -> None:
    @public.jobs.task
    def note() -> None: ...

    jobs = BackgroundJobs()
    first, second = jobs.connect(public.url), jobs.connect(public.url)
    async with AsyncExitStack() as stack:
        await first.__aenter__()
        await stack.enter_async_context(second)
        await first.__aexit__(None, None, None)
        await jobs.enqueue(note)
    with pytest.raises(NotConnected):
        await jobs.enqueue(note)

    def program() -> None:
        sync_first, sync_second = jobs.sync.connect(public.url), jobs.sync.connect(public.url)
        with ExitStack() as stack:
            sync_first.__enter__()
            stack.enter_context(sync_second)
            sync_first.__exit__(None, None, None)
            jobs.sync.enqueue(note)

    await asyncio.to_thread(program)
    assert not jobs.sync.is_connected
    assert await stored(public) == 2


async def test_a_scheduled_job_waits_for_its_time(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    soon = await public.jobs.schedule(note, in_=0.2)
    far = await public.jobs.schedule(note.call(), at=datetime(2100, 1, 1, tzinfo=UTC))
    assert (await public.job(soon)).state is JobState.SCHEDULED
    async with public.worker():
        await public.reaches(soon, JobState.SUCCEEDED)
    job = await public.job(far)
    assert (job.state, job.scheduled_at) == (JobState.SCHEDULED, datetime(2100, 1, 1, tzinfo=UTC))
    for wrong in ({}, {"in_": 1, "at": datetime(2100, 1, 1, tzinfo=UTC)}, {"in_": -1}, {"at": datetime(2100, 1, 1)}):  # noqa: DTZ001
        with pytest.raises(ValueError, match=r"at=|cannot start|time zone"):
            await public.jobs.schedule(note, **wrong)  # type: ignore[arg-type]


async def test_a_unique_key_conflict_is_reported_and_leaves_the_transaction_usable(public: PublicSite) -> None:
    @public.jobs.task
    async def note(text: str) -> None: ...

    unique = note.options(unique_key="one")
    waiting = await public.jobs.enqueue(unique.call("a"))
    async with await psycopg.AsyncConnection.connect(public.url) as connection:
        with pytest.raises(JobAlreadyQueued) as raised:
            await public.jobs.enqueue(unique.call("b"), connection=connection)
        assert raised.value.job_id == waiting
        await public.jobs.enqueue(note.call("c"), connection=connection)
    many = await public.jobs.enqueue_many([unique.call("d"), note.call("e")])
    assert [job.is_new for job in many] == [False, True]
    assert many[0].id == waiting
    assert await stored(public) == 3


async def test_a_task_can_enqueue(public: PublicSite) -> None:
    jobs = BackgroundJobs()  # connected by its worker only

    @jobs.task
    def second(text: str) -> str:
        return text

    @jobs.task
    async def first() -> str:
        return await jobs.enqueue(second, "from a task")

    async with public.jobs.connect(public.url):
        job_id = await public.jobs.enqueue(first)
        async with PublicSite(public.url, jobs).worker():
            follower = (await public.reaches(job_id, JobState.SUCCEEDED)).result
            assert isinstance(follower, str)
            assert (await public.reaches(follower, JobState.SUCCEEDED)).result == "from a task"  # type: ignore[arg-type]


async def test_a_batch_is_enqueued_as_a_whole_and_starts_its_continuations(public: PublicSite) -> None:
    @public.jobs.task
    async def part(number: int) -> int:
        if number < 0:
            raise ValueError(number)
        return number

    async with public.jobs.batch("numbers", user_id="ada") as batch:
        for number in range(20):
            batch.add(part, number)
        batch.add(part.call(20))
        batch.then(part.call(100))
        batch.then(part.call(101), on="failed")
        batch.then(part.call(102), on="finished")
        assert len(batch) == 21
        with pytest.raises(RuntimeError, match="no id"):
            _ = batch.id
    assert batch.id > 0
    well, failed, finished = (await ids(public))[-3:]
    async with public.worker():
        for follower in (well, finished):
            await public.reaches(follower, JobState.SUCCEEDED)
        assert (await public.job(failed)).state is JobState.CANCELLED


async def test_an_empty_batch_ends_at_once(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    async with public.jobs.batch() as batch:
        batch.then(note.call())
    (follower,) = await ids(public)
    async with public.worker():
        await public.reaches(follower, JobState.SUCCEEDED)


async def test_a_batch_whose_block_raises_is_not_enqueued(public: PublicSite) -> None:
    @public.jobs.task
    async def note() -> None: ...

    async def raises() -> None:
        async with public.jobs.batch() as batch:
            batch.add(note)
            raise KeyError

    async def repeats() -> None:
        async with public.jobs.batch() as batch:
            batch.add(note)
            batch.add(note.options(unique_key="one").call())

    await public.jobs.enqueue(note.options(unique_key="one").call())
    with pytest.raises(KeyError):
        await raises()
    with pytest.raises(JobAlreadyQueued):
        await repeats()
    assert await stored(public) == 1


async def stored(public: PublicSite) -> int:
    return len(await ids(public))


async def ids(public: PublicSite) -> list[str]:
    async with await psycopg.AsyncConnection.connect(public.url) as connection:
        cursor = await connection.execute("SELECT job_id::text FROM bulkport.all_jobs job ORDER BY job.job_id")
        return [row[0] for row in await cursor.fetchall()]
