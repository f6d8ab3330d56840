"""The tasks of the suite, declared as an application would."""

import asyncio
import os
import signal
import threading
from dataclasses import dataclass
from datetime import date
from typing import Any

from conformance_diary import Diary

from background_jobs import BackgroundJobs
from bulkport.jobs import NO_RETRY, FinalError, JobContext, RetryLater, RetryPolicy, Task

QUICK = RetryPolicy(max_attempts=3, base_seconds=0.02, max_seconds=0.05)
POLL_SECONDS = 0.01
IN_CODE = "in code"
"""Id of the recurring job that every server of the suite declares."""


class UnspeakableError(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("no words")


class Unserializable:
    """A result that is neither JSON nor printable."""

    def __repr__(self) -> str:
        raise ValueError("no words")


@dataclass(frozen=True)
class Tasks:
    """All of them, by name."""

    add: Task[..., int]
    add_nothing: Task[..., None]
    shout: Task[..., str]
    remind: Task[..., str]
    work: Task[..., None]
    stay: Task[..., None]
    stay_in_thread: Task[..., None]
    stay_deaf: Task[..., None]
    stumble: Task[..., str]
    stumble_slowly: Task[..., None]
    fall: Task[..., None]
    refuse: Task[..., None]
    later: Task[..., int]
    overtime: Task[..., None]
    report: Task[..., int]
    give: Task[..., Any]
    unspeakable: Task[..., None]
    die: Task[..., None]
    compute: Task[..., None]


def declare(jobs: BackgroundJobs, diary: Diary) -> Tasks:
    """Declare the tasks, which write to the diary."""

    def tell(context: JobContext, event: str) -> None:
        diary.note(context.job_id, context.attempt, event)

    async def settle(context: JobContext, error: BaseException) -> None:
        tell(context, f"settled {type(error).__name__}")

    @jobs.task(name="add")
    async def add(context: JobContext, a: int, b: int = 1) -> int:
        tell(context, "ran")
        return a + b

    @jobs.task(name="add_nothing")
    async def add_nothing(context: JobContext) -> None:
        tell(context, "ran")

    @jobs.task(name="shout")
    def shout(context: JobContext, words: str) -> str:
        tell(context, "ran")
        return f"{words.upper()} in {threading.current_thread() is not threading.main_thread()}"

    @jobs.task(name="remind", queue="mail", priority=2)
    async def remind(on: date, amounts: list[int]) -> str:
        return f"{on:%d.%m.%Y}: {sum(amounts)}"

    @jobs.task(name="work")
    async def work(context: JobContext, seconds: float = 0.0) -> None:
        tell(context, "begun")
        await asyncio.sleep(seconds)
        tell(context, "ended")

    async def wait_for(gate: str) -> None:
        while not diary.is_open(gate):
            await asyncio.sleep(POLL_SECONDS)

    @jobs.task(name="stay")
    async def stay(context: JobContext, gate: str) -> None:
        tell(context, "begun")
        try:
            await wait_for(gate)
        except asyncio.CancelledError:
            tell(context, "cancelled" if context.cancel_requested else "stopped")
            raise
        tell(context, "ended")

    @jobs.task(name="stay_in_thread")
    def stay_in_thread(context: JobContext, gate: str) -> None:
        tell(context, "begun")
        while not diary.is_open(gate):
            try:
                context.check()
            except Exception as error:
                tell(context, type(error).__name__)
                raise
            threading.Event().wait(POLL_SECONDS)
        tell(context, "ended")

    @jobs.task(name="stay_deaf", cancel_grace_seconds=0.2)
    async def stay_deaf(context: JobContext, gate: str) -> None:
        tell(context, "begun")
        while not diary.is_open(gate):
            try:
                await wait_for(gate)
            except asyncio.CancelledError:
                tell(context, "did not listen")
        tell(context, "ended")

    @jobs.task(name="stumble", retry=QUICK, on_failure=settle)
    async def stumble(context: JobContext, times: int) -> str:
        tell(context, "tried")
        if context.attempt <= times:
            raise ConnectionError(f"no answer to attempt {context.attempt}")
        return f"attempt {context.attempt} of {context.max_attempts}"

    @jobs.task(name="stumble_slowly", retry=RetryPolicy(max_attempts=4, base_seconds=0.4, jitter=0.5))
    def stumble_slowly(context: JobContext) -> None:
        tell(context, "tried")
        raise ConnectionError("no answer")

    @jobs.task(name="fall", retry=RetryPolicy(max_attempts=2, base_seconds=3_600, max_seconds=3_600))
    async def fall(context: JobContext) -> None:
        """Its second attempt is an hour away."""
        tell(context, "tried")
        raise ConnectionError("no answer")

    @jobs.task(name="refuse", retry=RetryPolicy(final=(LookupError,)))
    async def refuse(context: JobContext, how: str) -> None:
        tell(context, "tried")
        raise {"KeyError": KeyError, "FinalError": FinalError}[how]("no use")

    @jobs.task(name="later", retry=NO_RETRY)
    async def later(context: JobContext, times: int) -> int:
        tell(context, "begun")
        runs = int(str(context.checkpoint or 0))
        if runs < times:
            context.save_checkpoint(runs + 1)
            raise RetryLater(0.05)
        return runs

    @jobs.task(name="overtime", retry=NO_RETRY, timeout_seconds=0.1)
    async def overtime(context: JobContext) -> None:
        await wait_for("never")

    @jobs.task(name="report")
    def report(context: JobContext, steps: int, gate: str | None = None) -> int:
        """Goes on from its checkpoint; half-way it waits for the gate. Gives the step it began with."""
        first = int(str(context.checkpoint or 0))
        tell(context, "begun")
        for step in range(first, steps):
            if gate is not None and step == steps // 2:
                while not diary.is_open(gate):
                    context.check()
                    threading.Event().wait(POLL_SECONDS)
            tell(context, f"step {step}")
            context.save_checkpoint(step + 1)
            context.progress(step + 1, steps, f"step {step + 1}")
            context.log(f"did step {step}", "warning" if step == 0 else "info")
        return first

    @jobs.task(name="give", max_result_bytes=1_000)
    async def give(what: str) -> Any:
        return {
            "plain": {"sizes": [1, 2.5, None]},
            "large": "x" * 2_000,
            "nul": "a\0b",
            "nan": float("nan"),
            "surrogate": "\ud800",
            "no JSON": print,
            "unspeakable": Unserializable(),
        }[what]

    @jobs.task(name="unspeakable", retry=NO_RETRY)
    async def unspeakable() -> None:
        raise UnspeakableError

    @jobs.task(name="die", retry=RetryPolicy(max_lost_runs=2), on_failure=settle)
    async def die(context: JobContext) -> None:
        tell(context, "begun")
        os.kill(os.getpid(), signal.SIGKILL)

    @jobs.task(name="compute")
    async def compute(context: JobContext, seconds: float) -> None:
        """Keeps the event loop to itself."""
        tell(context, "begun")
        threading.Event().wait(seconds)
        tell(context, "ended")

    jobs.recurring(IN_CODE, cron="0 0 1 1 *", timezone="Europe/Berlin")(add_nothing)
    return Tasks(**{name: task for name, task in locals().items() if isinstance(task, Task)})
