"""How functions run: sync ones in threads of their own, within their time, to their end."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.context import JobCancelled, JobContext
from bulkport.jobs.threads import RunLimits, TaskThreads, report_unended, run_in_thread, run_on_loop

NO_LIMITS = RunLimits(timeout_seconds=None, cancel_grace_seconds=30)
HASTY = RunLimits(timeout_seconds=0.05, cancel_grace_seconds=0.05)


def context(asks_cancel: Callable[[], bool] = lambda: False) -> JobContext:
    return JobContext(
        BackgroundJobId("7"), "task", {}, 0, attempt=1, max_attempts=1, asks_cancel=asks_cancel, asks_stop=lambda: False
    )


@pytest.fixture
def threads() -> Iterator[TaskThreads]:
    made = TaskThreads(2)
    yield made
    made.close()


async def test_sync_functions_run_beside_the_loop_in_a_few_threads(threads: TaskThreads) -> None:
    idents: set[int] = set()
    busy = most_busy = 0
    lock = threading.Lock()

    def work(_: JobContext) -> int:
        nonlocal busy, most_busy
        with lock:
            busy += 1
            most_busy = max(most_busy, busy)
            idents.add(threading.get_ident())
        threading.Event().wait(0.01)
        with lock:
            busy -= 1
        return threading.get_ident()

    results = await asyncio.gather(*(run_in_thread(work, context(), NO_LIMITS, threads) for _ in range(10)))
    assert threading.get_ident() not in results
    assert (most_busy, len(idents)) == (2, 2)


async def test_a_thread_sees_the_callers_context_variables(threads: TaskThreads) -> None:
    with structlog.contextvars.bound_contextvars(job="7"):
        seen = await run_in_thread(lambda _: structlog.contextvars.get_contextvars(), context(), NO_LIMITS, threads)
    assert seen == {"job": "7"}


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), StopIteration(), asyncio.CancelledError()], ids=repr
)
async def test_exceptions_of_a_thread_propagate(threads: TaskThreads, error: BaseException) -> None:
    def work(_: JobContext) -> None:
        raise error

    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    with pytest.raises(expected):
        await run_in_thread(work, context(), NO_LIMITS, threads)


async def test_a_hidden_coroutine_function_is_awaited(threads: TaskThreads) -> None:
    async def hidden() -> str:
        return "done"

    assert await run_in_thread(lambda _: hidden(), context(), NO_LIMITS, threads) == "done"


async def test_a_cancelled_thread_is_waited_for_until_it_checks(threads: TaskThreads) -> None:
    cancelled = threading.Event()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(run: JobContext) -> None:
        loop.call_soon_threadsafe(begun.set)
        cancelled.wait(60)
        run.check()

    running = asyncio.create_task(run_in_thread(work, context(cancelled.is_set), NO_LIMITS, threads))
    await begun.wait()
    running.cancel()
    await asyncio.sleep(0.02)
    assert not running.done()
    cancelled.set()
    with pytest.raises(JobCancelled):
        await running


async def test_a_run_beyond_its_timeout_is_a_failure(threads: TaskThreads) -> None:
    def sync(run: JobContext) -> None:
        while True:
            run.check()
            threading.Event().wait(0.005)

    async def never(_: JobContext) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        await run_on_loop(never, context(), HASTY)
    with pytest.raises(TimeoutError, match="longer than"):
        await asyncio.wait_for(run_in_thread(sync, context(), HASTY, threads), 60)


async def test_a_tasks_own_timeout_error_propagates_unchanged() -> None:
    async def fails(_: JobContext) -> None:
        raise TimeoutError("the mail server did not answer")

    with pytest.raises(TimeoutError, match="mail server"):
        await run_on_loop(fails, context(), RunLimits(timeout_seconds=30, cancel_grace_seconds=1))


async def test_a_late_result_counts(threads: TaskThreads) -> None:
    def slow(_: JobContext) -> str:
        threading.Event().wait(0.1)
        return "late"

    assert await run_in_thread(slow, context(), HASTY, threads) == "late"


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_run_that_does_not_end_is_reported_with_its_stack(threads: TaskThreads, kind: str) -> None:
    gate = threading.Event()

    def stubborn_sync(_: JobContext) -> None:
        gate.wait(60)

    async def stubborn_async(_: JobContext) -> None:
        while not gate.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                continue

    with capture_logs() as logs:
        run: Any = (
            run_on_loop(stubborn_async, context(), HASTY)
            if kind == "async"
            else run_in_thread(stubborn_sync, context(), HASTY, threads)
        )
        running = asyncio.create_task(run)
        async with asyncio.timeout(60):
            while not logs:
                await asyncio.sleep(0.01)
        gate.set()
        await asyncio.wait({running})
    assert (logs[0]["event"], logs[0]["job_id"], logs[0]["task"]) == ("job does not stop", "7", "task")
    assert f"stubborn_{kind}" in logs[0]["stack"]


async def test_a_run_that_has_ended_is_not_reported() -> None:
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    with capture_logs() as logs:
        report_unended("7", "task", done, "it was cancelled", 1)
    assert logs == []
