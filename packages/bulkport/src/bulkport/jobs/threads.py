"""How the function of a task is run: on the event loop, or in a thread of the worker if it is not a coroutine function.

The threads are the worker's own, as many as it runs jobs at one time. The event loop's default executor is left to
others, and Python joins its threads when the process ends, which a task that does not end must not delay.
"""

import asyncio
import contextvars
import inspect
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from bulkport.jobs.context import JobContext
from bulkport.logs import get_logger

_log = get_logger(__name__)

T = TypeVar("T")

_threads_of_runs: Final[WeakKeyDictionary["asyncio.Task[Any]", int]] = WeakKeyDictionary()
"""The thread that an asyncio task waits for."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run may take, in seconds."""

    timeout_seconds: float | None
    """A longer run is cancelled and has failed with `TimeoutError`; None: no limit."""
    cancel_grace_seconds: float
    """Seconds after which a run that continues beyond its deadline is logged."""


class TaskThreads:
    """Threads for sync tasks; they end with the process, or after `close` once idle.

    Parameters
    ----------
    most
        Concurrent threads. Further calls wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._unfinished = 0

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Call `function` in a thread."""
        future: Future[T] = Future()

        def call() -> None:
            try:
                result = function()
            except StopIteration as error:
                # Not even a future may raise it: it would end whatever generator it came through.
                future.set_exception(RuntimeError("the task raised StopIteration").with_traceback(error.__traceback__))
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._unfinished += 1
            if self._started < min(self._unfinished, self._most):
                self._started += 1
                threading.Thread(target=self._serve, name=f"task {self._started}", daemon=True).start()
        self._calls.put(call)
        return future

    def close(self) -> None:
        """Let idle threads end; no further calls are allowed."""
        for _ in range(self._started):
            self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call
            with self._lock:
                self._unfinished -= 1


async def run_on_loop(function: Callable[[JobContext], Awaitable[Any]], context: JobContext, limits: RunLimits) -> Any:
    """Run a coroutine function.

    Raises
    ------
    TimeoutError
        It took longer than it may.
    """
    if limits.timeout_seconds is None:
        return await function(context)
    with _limited(context, limits) as limited:
        try:
            async with asyncio.timeout(limits.timeout_seconds) as limit:
                return await function(limited)
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"ran longer than {limits.timeout_seconds:g} s") from error
            raise


async def run_in_thread(
    function: Callable[[JobContext], Any], context: JobContext, limits: RunLimits, threads: TaskThreads
) -> Any:
    """Run a function in a thread.

    A thread cannot be interrupted: when the run is cancelled, stopped or out of time, it goes on until the function
    calls `JobContext.check` or ends, and its job is running as long. A result that comes late counts all the same.

    Raises
    ------
    TimeoutError
        It took longer than it may, and looked.
    """
    run = asyncio.current_task()
    assert run is not None
    with _limited(context, limits) as limited:

        def work() -> Any:
            _threads_of_runs[run] = threading.get_ident()
            try:
                return function(limited)
            finally:
                del _threads_of_runs[run]

        call = contextvars.copy_context().run
        future = asyncio.wrap_future(threads.submit(lambda: call(work)))
        while not future.done():
            try:
                await asyncio.wait({future})
            except asyncio.CancelledError:
                continue
        result = future.result()
    # A decorator may hide that its function is a coroutine function.
    return await result if inspect.isawaitable(result) else result


@contextmanager
def _limited(context: JobContext, limits: RunLimits) -> Iterator[JobContext]:
    """A context with the run's timeout; a run that continues beyond it is reported."""
    timeout = limits.timeout_seconds
    if timeout is None:
        yield context
        return
    end = time.monotonic() + timeout
    run = asyncio.current_task()
    assert run is not None
    report = asyncio.get_running_loop().call_later(
        timeout + limits.cancel_grace_seconds,
        lambda: report_unended(
            context.job_id, context.task, run, "its time limit is exceeded", limits.cancel_grace_seconds
        ),
    )
    try:
        yield replace(context, is_overdue=lambda: time.monotonic() >= end)
    finally:
        report.cancel()


def report_unended(job_id: object, task: str, run: "asyncio.Task[Any]", why: str, seconds: float) -> None:
    """Log that a run should have ended `seconds` ago, with its stack."""
    if not run.done():
        _log.error("job does not stop", job_id=job_id, task=task, why=why, seconds=seconds, stack=_stack_of(run))


def thread_of(run: "asyncio.Task[Any]") -> int | None:
    """The thread in which the function of a run works; None: the run is on the event loop."""
    return _threads_of_runs.get(run)


def _stack_of(run: "asyncio.Task[Any]") -> str:
    thread = _threads_of_runs.get(run)
    frame = None if thread is None else sys._current_frames().get(thread)  # noqa: SLF001 - the documented way
    lines = traceback.format_stack(frame) if frame is not None else _lines_of(run)
    return "".join(lines)


def _lines_of(run: "asyncio.Task[Any]") -> list[str]:
    """Where a coroutine waits, through all that it awaits; a task's own `get_stack` ends at the first."""
    lines: list[str] = []
    waiting: Any = run.get_coro()
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        lines += traceback.format_list(
            [traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)]
        )
        waiting = waiting.cr_await
    return lines
