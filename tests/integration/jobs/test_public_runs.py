"""What a task learns and tells while it runs: progress, lines, checkpoints, cancellation, shutdown, its time."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from engine_site import eventually
from psycopg.rows import dict_row
from public_site import PublicSite
from structlog.testing import capture_logs

from background_jobs import BackgroundJobs
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import FinalError, JobContext, JobState, RetryLater, RetryPolicy
from bulkport.jobs.run_output import MOST_LINES

QUICK = RetryPolicy(max_attempts=3, base_seconds=0.01, max_seconds=0.02)


@pytest.fixture
async def public(database_url: str) -> AsyncIterator[PublicSite]:
    jobs = BackgroundJobs()
    async with jobs.connect(database_url):
        yield PublicSite(database_url, jobs)


async def rows(public: PublicSite, query: str, job_id: BackgroundJobId) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(public.url, row_factory=dict_row) as connection:
        return await (await connection.execute(query, (job_id,))).fetchall()  # type: ignore[call-overload]


async def progress(public: PublicSite, job_id: BackgroundJobId) -> dict[str, Any] | None:
    found = await rows(public, "SELECT done, total, message FROM bulkport.job_progress WHERE job_id = %s", job_id)
    return found[0] if found else None


async def lines(public: PublicSite, job_id: BackgroundJobId) -> list[tuple[int, int, str, str]]:
    query = "SELECT line, run, level, message FROM bulkport.job_logs WHERE job_id = %s ORDER BY line"
    return [tuple(row.values()) for row in await rows(public, query, job_id)]


async def cancel(public: PublicSite, job_id: BackgroundJobId) -> None:
    assert (await public.jobs.cancel(job_id)).effect.is_done


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_progress_and_log_are_visible_during_the_run_and_complete_at_its_end(
    public: PublicSite, kind: str
) -> None:
    gate = threading.Event()

    def begin(context: JobContext) -> None:
        context.progress(1, 10, "begun")
        context.log("first")

    def end(context: JobContext) -> None:
        for done in range(2, 11):
            context.progress(done, 10, f"step {done}")
        context.log("last\0", level="warning")

    @public.jobs.task(name="async")
    async def on_loop(context: JobContext) -> None:
        begin(context)
        while not gate.is_set():
            await asyncio.sleep(0.01)
        end(context)

    @public.jobs.task(name="sync")
    def in_thread(context: JobContext) -> None:
        begin(context)
        gate.wait(60)
        end(context)

    async with public.worker():
        job_id = await public.jobs.enqueue(on_loop if kind == "async" else in_thread)

        async def is_seen() -> bool:
            return await progress(public, job_id) is not None and bool(await lines(public, job_id))

        await eventually(is_seen, "progress while the job runs")
        assert await progress(public, job_id) == {"done": 1, "total": 10, "message": "begun"}
        gate.set()
        await public.reaches(job_id, JobState.SUCCEEDED)
    assert await progress(public, job_id) == {"done": 10, "total": 10, "message": "step 10"}
    assert await lines(public, job_id) == [(1, 1, "info", "first"), (2, 1, "warning", "last\ufffd")]


async def test_log_lines_are_numbered_and_bounded_across_runs(public: PublicSite) -> None:
    @public.jobs.task(retry=QUICK)
    async def talk(context: JobContext) -> None:
        for number in range(MOST_LINES - 1):
            context.log(f"{context.attempt} {number}")
        if context.attempt == 1:
            raise ValueError("once more")

    async with public.worker():
        job_id = await public.jobs.enqueue(talk)
        await public.reaches(job_id, JobState.SUCCEEDED)
    kept = await lines(public, job_id)
    assert [line[0] for line in kept] == list(range(1, MOST_LINES + 2))
    assert kept[MOST_LINES - 1][1:] == (2, "info", "2 0")
    assert "1,000 lines" in kept[-1][3]


async def test_a_later_run_continues_from_the_checkpoint(public: PublicSite) -> None:
    begun: list[Any] = []

    @public.jobs.task(retry=QUICK)
    def index(context: JobContext, pages: int) -> int:
        begun.append(context.checkpoint)
        first = int(str(context.checkpoint or 0))
        for page in range(first, pages):
            context.save_checkpoint(page + 1)
            if page + 1 in {3, 6} and page + 1 != first:
                raise ConnectionError("interrupted")
        return pages - first

    async with public.worker():
        job = await public.reaches(await public.jobs.enqueue(index, 8), JobState.SUCCEEDED)
    assert begun == [None, 3, 6]
    assert job.result == 2


WAITING = "UPDATE bulkport.jobs SET state = 'scheduled', due_at = 'infinity', worker_id = NULL WHERE job_id = {job}"
CLAIMED_BY_ANOTHER = "UPDATE bulkport.jobs SET worker_id = worker_id + 1000 WHERE job_id = {job}"


@pytest.mark.parametrize("taken", [WAITING, CLAIMED_BY_ANOTHER], ids=["waiting", "claimed by another"])
async def test_a_run_taken_from_its_worker_writes_no_output(public: PublicSite, taken: str) -> None:
    """The job is taken over while it runs, as from a worker declared dead."""
    gate = asyncio.Event()
    ended = asyncio.Event()

    @public.jobs.task
    async def talk(context: JobContext) -> None:
        context.log("before")
        await gate.wait()
        context.log("after")
        context.save_checkpoint("after")
        ended.set()

    async with public.worker():
        job_id = await public.jobs.enqueue(talk)

        async def has_line() -> bool:
            return bool(await lines(public, job_id))

        await eventually(has_line, "the first line")
        async with await psycopg.AsyncConnection.connect(public.url) as connection:
            await connection.execute(taken.replace("{job}", f"{int(job_id)}::bigint").encode())
        gate.set()
        await ended.wait()
    # The worker has ended, so its last notes have been written or refused.
    assert [line[3] for line in await lines(public, job_id)] == ["before"]
    assert await progress(public, job_id) is None


@pytest.mark.parametrize("kind", ["async", "sync", "sync that swallows errors"])
async def test_a_running_job_is_cancelled(public: PublicSite, kind: str) -> None:
    seen: list[str] = []

    @public.jobs.task(name="async")
    async def on_loop(context: JobContext) -> None:
        context.progress(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(f"cancelled {context.cancel_requested}")
            raise

    @public.jobs.task(name="sync")
    def in_thread(context: JobContext) -> None:
        context.progress(1)
        while True:
            context.check()
            threading.Event().wait(0.002)

    @public.jobs.task(name="sync that swallows errors")
    def stubborn(context: JobContext) -> None:
        context.progress(1)
        while not seen:
            try:
                context.check()
            except Exception:
                seen.append("swallowed")
            threading.Event().wait(0.002)

    tasks = {"async": on_loop, "sync": in_thread, "sync that swallows errors": stubborn}
    async with public.worker():
        job_id = await public.jobs.enqueue(tasks[kind])

        async def runs() -> bool:
            return await progress(public, job_id) is not None

        await eventually(runs, "the job runs")
        await cancel(public, job_id)
        # One that has ended well in spite of it has succeeded.
        await public.reaches(job_id, JobState.SUCCEEDED if "swallows" in kind else JobState.CANCELLED)
    assert seen == {"async": ["cancelled True"], "sync": [], "sync that swallows errors": ["swallowed"]}[kind]


async def test_a_job_that_ignores_its_cancellation_is_reported(public: PublicSite) -> None:
    gate = threading.Event()

    @public.jobs.task(cancel_grace_seconds=0.05)
    def deaf(context: JobContext) -> None:
        context.progress(1)
        gate.wait(60)

    with capture_logs() as logs:
        async with public.worker():
            job_id = await public.jobs.enqueue(deaf)

            async def runs() -> bool:
                return await progress(public, job_id) is not None

            async def is_reported() -> bool:
                return any(entry["event"] == "job does not stop" and "deaf" in entry["stack"] for entry in logs)

            await eventually(runs, "the job runs")
            await cancel(public, job_id)
            await eventually(is_reported, "the report")
            assert (await public.job(job_id)).state is JobState.PROCESSING
            gate.set()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_shutdown_returns_jobs_that_check_for_it(public: PublicSite, kind: str) -> None:
    @public.jobs.task(name="async")
    async def on_loop(context: JobContext) -> None:
        context.save_checkpoint("begun")
        while True:
            context.check()
            await asyncio.sleep(0.005)

    @public.jobs.task(name="sync")
    def in_thread(context: JobContext) -> None:
        context.save_checkpoint("begun")
        while True:
            context.check()
            threading.Event().wait(0.005)

    job_id = await public.jobs.enqueue(on_loop if kind == "async" else in_thread)
    begun = time.monotonic()
    async with public.worker(shutdown_seconds=60.0) as stop:

        async def runs() -> bool:
            return await progress(public, job_id) is not None

        await eventually(runs, "the job runs")
        stop.set()
    assert time.monotonic() - begun < 50
    job = await public.job(job_id)
    assert (job.state, job.attempts) == (JobState.ENQUEUED, 0)
    runs_of_it = await rows(public, "SELECT outcome FROM bulkport.job_runs WHERE job_id = %s", job_id)
    assert runs_of_it == [{"outcome": "handed_back"}]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_run_beyond_its_timeout_fails(public: PublicSite, kind: str) -> None:
    once = RetryPolicy(max_attempts=1)

    @public.jobs.task(name="async", timeout_seconds=0.05, retry=once)
    async def on_loop() -> None:
        await asyncio.Event().wait()

    @public.jobs.task(name="sync", timeout_seconds=0.05, retry=once)
    def in_thread(context: JobContext) -> None:
        while True:
            context.check()

    async with public.worker():
        job_id = await public.jobs.enqueue(on_loop if kind == "async" else in_thread)
        job = await public.reaches(job_id, JobState.FAILED)
    assert job.last_error is not None
    assert job.last_error.startswith("TimeoutError: ")


async def test_a_sync_task_controls_its_retries(public: PublicSite) -> None:
    @public.jobs.task(retry=QUICK)
    def decide(context: JobContext, how: str) -> str:
        if how == "final":
            raise FinalError("no use")
        if how == "later" and context.checkpoint is None:
            context.save_checkpoint("waited")
            raise RetryLater(0.05)
        if how == "retry" and not context.is_last_attempt:
            raise ValueError("not yet")
        return f"attempt {context.attempt}"

    async with public.worker():
        final, later, retry = [await public.jobs.enqueue(decide, how) for how in ("final", "later", "retry")]
        assert (await public.reaches(final, JobState.FAILED)).attempts == 1
        assert (await public.reaches(later, JobState.SUCCEEDED)).result == "attempt 1"
        assert (await public.reaches(retry, JobState.SUCCEEDED)).result == "attempt 3"


async def test_sync_tasks_run_concurrently_and_do_not_block_the_loop(public: PublicSite) -> None:
    meeting = threading.Barrier(3)

    @public.jobs.task
    def meet() -> int:
        return meeting.wait(60)

    @public.jobs.task
    async def note() -> str:
        return "free"

    async with public.worker(concurrency=4):
        two = [await public.jobs.enqueue(meet) for _ in range(2)]
        await public.reaches(await public.jobs.enqueue(note), JobState.SUCCEEDED)
        third = await public.jobs.enqueue(meet)
        results = [(await public.reaches(job_id, JobState.SUCCEEDED)).result for job_id in (*two, third)]
    assert sorted(int(str(result)) for result in results) == [0, 1, 2]
