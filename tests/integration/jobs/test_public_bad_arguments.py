"""What cannot work is refused where it is asked for, and spoils nothing for others."""

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from public_site import PublicSite

from background_jobs import BackgroundJobs
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobContext, JobOptions, JobQuery, JobState, RetryLater, RetryPolicy
from bulkport.jobs.errors import InvalidJobQuery, NotConnected, ParentNotFound, UnknownRecurringJob
from bulkport.jobs.port.control import Change, Reschedule
from bulkport.jobs.port.metrics import Granularity
from bulkport.jobs.task import JobCall

LONGEST_QUEUE = "q" * 40


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[BackgroundJobs]:
    made = BackgroundJobs()

    @made.task(name="echo")
    async def echo(text: str = "") -> str:
        return text

    async with made.connect(database_url):
        yield made


@pytest.fixture
def public(database_url: str, jobs: BackgroundJobs) -> PublicSite:
    return PublicSite(database_url, jobs)


ECHO = JobCall("echo", {}, JobOptions())


async def test_the_longest_queue_name_works_throughout(public: PublicSite) -> None:
    call = JobCall("echo", {}, JobOptions(queue=LONGEST_QUEUE))
    await public.jobs.pause_queue(LONGEST_QUEUE)
    job_id = await public.jobs.enqueue(call)
    await public.jobs.recurring.add_or_update("long", call, cron="0 0 1 1 *")
    triggered = await public.jobs.recurring.trigger("long")
    await public.jobs.resume_queue(LONGEST_QUEUE)
    async with public.worker(queues=[LONGEST_QUEUE]):
        await public.reaches(job_id, JobState.SUCCEEDED)
        await public.reaches(triggered, JobState.SUCCEEDED)


@pytest.mark.parametrize("name", ["", "q" * 41, "é" * 21, "nul\0", "half \ud800", "two\nlines"])
async def test_invalid_queue_names_are_rejected(jobs: BackgroundJobs, name: str) -> None:
    with pytest.raises(ValueError, match="queue"):
        JobOptions(queue=name)
    with pytest.raises(ValueError, match="queue"):
        Change(queue=name)
    with pytest.raises(ValueError, match="queue"):
        await jobs.recurring.add_or_update("any", ECHO, cron="0 0 1 1 *", queue=name)
    for order in (jobs.pause_queue, jobs.resume_queue):
        with pytest.raises(ValueError, match="queue"):
            await order(name)


@pytest.mark.parametrize("option", ["unique_key", "concurrency_key", "user_id"])
@pytest.mark.parametrize("value", ["", "x" * 501, "nul\0", "half \ud800"])
def test_invalid_keys_are_rejected(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=option):
        JobOptions(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("user_id", ["", "x" * 501, "nul\0", "half \ud800", 7.5])
async def test_invalid_users_of_batches_are_rejected(jobs: BackgroundJobs, user_id: Any) -> None:
    with pytest.raises(ValueError, match="user_id"):
        async with jobs.batch("for somebody", user_id=user_id):
            raise AssertionError("the block is not entered")


async def test_a_numeric_job_id_is_rejected(jobs: BackgroundJobs) -> None:
    number: Any = int(await jobs.enqueue(ECHO))
    for ask in (jobs.get, jobs.details, jobs.cancel, jobs.requeue, lambda parent: jobs.continue_with(parent, ECHO)):
        with pytest.raises(TypeError, match="the id of a job is text"):
            await ask(number)


async def test_calls_that_need_a_connection_say_so() -> None:
    jobs, job_id = BackgroundJobs(), BackgroundJobId("1")
    for ask in (
        lambda: jobs.get(job_id),
        lambda: jobs.details(job_id),
        lambda: jobs.cancel(job_id),
        lambda: jobs.cancel_all(JobQuery()),
        lambda: jobs.pause_queue("mail"),
        jobs.statistics,
        jobs.recurring.list,
        lambda: jobs.recurring.trigger("nightly"),
    ):
        with pytest.raises(NotConnected, match=r"connect\("):
            await ask()


@pytest.mark.parametrize("option", ["unique_key", "concurrency_key", "user_id"])
async def test_the_longest_key_is_stored(jobs: BackgroundJobs, option: str) -> None:
    key = "".join(chr(0x20000 + number) for number in range(500))
    assert key.isprintable()
    options = JobOptions(**{option: key})  # type: ignore[arg-type]
    assert await jobs.enqueue(JobCall("echo", {}, options))


EAST, WEST = timezone(timedelta(hours=5)), timezone(timedelta(hours=-5))


@pytest.mark.parametrize("at", [datetime.max.replace(tzinfo=WEST), datetime.min.replace(tzinfo=EAST)])
async def test_a_time_beyond_the_calendar_is_rejected(jobs: BackgroundJobs, at: datetime) -> None:
    """Stored, it would break every search that finds it."""
    with pytest.raises(ValueError, match="cannot start at"):
        await jobs.schedule(ECHO, at=at)
    with pytest.raises(ValueError, match="cannot start at"):
        Reschedule(at=at)
    assert (await jobs.search(JobQuery())).items == ()


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, 1e12])
async def test_an_infinite_delay_is_rejected(jobs: BackgroundJobs, delay: float) -> None:
    with pytest.raises(ValueError, match="cannot start in"):
        await jobs.schedule(ECHO, in_=delay)
    with pytest.raises(ValueError, match="cannot start in"):
        await jobs.reschedule(await jobs.enqueue(ECHO), in_=delay)


@pytest.mark.parametrize("parent", ["", "abc", "1_0", "-1", "9" * 30, "\ud800"])
async def test_an_invalid_parent_is_rejected(jobs: BackgroundJobs, parent: Any) -> None:
    with pytest.raises(ParentNotFound):
        await jobs.continue_with(parent, ECHO)


async def test_notes_of_who_and_why_are_stored_as_far_as_possible(jobs: BackgroundJobs) -> None:
    job_id = await jobs.enqueue(ECHO)
    assert (await jobs.cancel(job_id, reason="a\0b\ud800" + "c" * 9_000, actor="\0")).effect.is_done
    await jobs.pause_queue("default", actor="a\0b")
    details = await jobs.details(job_id)
    assert details is not None
    (reason,) = [entry.change.reason for entry in details.timeline if entry.change and entry.change.actor]
    assert reason.startswith("a\ufffdb?c")
    assert len(reason) == 2_000
    async with jobs.batch("a\0b") as batch:
        batch.add(ECHO)
    status = await jobs.batch_status(batch.id)
    assert status is not None
    assert status.description == "a\ufffdb"


async def test_a_batch_accepts_nothing_after_its_block(jobs: BackgroundJobs) -> None:
    async with jobs.batch() as batch:
        batch.add(ECHO)
    with pytest.raises(RuntimeError, match="no more jobs"):
        batch.add(ECHO)
    with pytest.raises(RuntimeError, match="no more jobs"):
        batch.then(ECHO)


@pytest.mark.parametrize("priority", [2**31, -(2**31) - 1, 1.5])
def test_invalid_priorities_are_rejected(priority: Any) -> None:
    for made in (Change, JobOptions):
        with pytest.raises(ValueError, match="priority"):
            made(priority=priority)


@pytest.mark.parametrize("most", [0, 2**31, 1.5, math.nan])
async def test_invalid_queue_limits_are_rejected(jobs: BackgroundJobs, most: Any) -> None:
    with pytest.raises(ValueError, match="paused"):
        await jobs.limit_queue("default", most)


async def test_sync_calls_are_checked_like_async_ones(public: PublicSite) -> None:
    jobs = public.jobs
    parent = await jobs.enqueue(ECHO)

    @jobs.task(name="other")
    async def other() -> None: ...

    def ask() -> str:
        with psycopg.connect(public.url) as connection:
            with pytest.raises(ValueError, match="either"):
                jobs.sync.schedule(ECHO, connection=connection)
            with pytest.raises(TypeError, match="is neither a task"):
                jobs.sync.enqueue_many(["echo"], connection=connection)  # type: ignore[list-item]
            # A task without parameters is as good as its call.
            return jobs.sync.continue_with(parent, other, connection=connection)  # type: ignore[arg-type]

    assert (await public.job(await asyncio.to_thread(ask))).state is JobState.AWAITING  # type: ignore[arg-type]
    with pytest.raises(NotConnected):
        jobs.sync.enqueue(ECHO)


async def test_infinite_progress_does_not_lose_the_checkpoint(public: PublicSite) -> None:
    @public.jobs.task
    async def boast(context: JobContext) -> None:
        context.progress(10**30, 10**40)
        context.save_checkpoint("kept")
        if context.attempt == 1:
            raise ConnectionError(str(context.checkpoint))

    job_id = await public.jobs.enqueue(boast)
    async with public.worker():
        await public.reaches(job_id, JobState.RETRYING)
    details = await public.jobs.details(job_id)
    assert details is not None
    assert details.checkpoint == "kept"


class _SilentError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


async def test_infinite_delays_and_process_ending_errors_lead_to_a_clear_state(public: PublicSite) -> None:
    @public.jobs.task
    async def wait_for_ever() -> None:
        raise RetryLater(math.inf)

    @public.jobs.task(retry=RetryPolicy(base_seconds=math.inf, max_seconds=math.inf))
    async def try_in_the_end() -> None:
        raise ConnectionError

    @public.jobs.task(retry=RetryPolicy(max_attempts=1))
    async def be_silent() -> None:
        raise _SilentError

    waiting = await public.jobs.enqueue(wait_for_ever)
    retrying = await public.jobs.enqueue(try_in_the_end)
    silent = await public.jobs.enqueue(be_silent)
    async with public.worker():
        await public.reaches(waiting, JobState.SCHEDULED)
        await public.reaches(retrying, JobState.RETRYING)
        job = await public.reaches(silent, JobState.FAILED)
        assert job.last_error == "_SilentError: (its message cannot be shown)"
    assert len((await public.jobs.search(JobQuery(created_since=datetime(2000, 1, 1, tzinfo=UTC)))).items) == 3


async def test_a_job_waits_for_a_worker_that_knows_its_task(public: PublicSite) -> None:
    """As while a new version is rolled out."""
    job_id = await public.jobs.enqueue(JobCall("new", {}, JobOptions()))

    @public.jobs.task(name="old")
    async def old() -> None: ...

    async with public.worker():
        await public.reaches(await public.jobs.enqueue(old), JobState.SUCCEEDED)
    details = await public.jobs.details(job_id)
    assert details is not None
    assert (details.job.state, details.runs) == (JobState.ENQUEUED, ())

    @public.jobs.task(name="new", retry=RetryPolicy(max_attempts=1))
    async def new(context: JobContext) -> int:
        assert context.is_last_attempt
        return context.attempt

    async with public.worker():
        assert (await public.reaches(job_id, JobState.SUCCEEDED)).result == 1


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_a_recurring_job_with_an_unstorable_id_is_not_found(jobs: BackgroundJobs, name: str) -> None:
    recurring = jobs.recurring
    assert await recurring.get(name) is None
    assert await recurring.remove(name) is False
    assert await recurring.list(name, after=name) == []
    for act in (recurring.pause, recurring.resume, recurring.trigger):
        with pytest.raises(UnknownRecurringJob):
            await act(name)


@pytest.mark.parametrize("wrong", [{"base_seconds": math.nan}, {"max_seconds": math.nan}, {"jitter": math.nan}])
def test_a_retry_policy_without_a_finite_delay_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a usable retry policy"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize("most", [0, -1, 2**31 - 1, 2**70])
async def test_the_limit_of_a_count_is_checked(jobs: BackgroundJobs, most: int) -> None:
    with pytest.raises(InvalidJobQuery):
        await jobs.count(JobQuery(), most=most)


async def test_an_unknown_task_name_has_an_empty_series(jobs: BackgroundJobs) -> None:
    points = await jobs.series(Granularity.HOUR, datetime.now(UTC) - timedelta(hours=2), task="a\0b")
    assert len(points) >= 2
    assert sum(point.totals.succeeded for point in points) == 0
