"""The tasks that the engine's tests run, and a worker process for them: `python engine_worker.py URL NAME …`.

A task writes down what happens to it in the table `runs`; `gates` is how a test lets a waiting task go on.
"""

import argparse
import asyncio
import os
import signal
import threading
from datetime import date

import psycopg

from bulkport.jobs import JobContext, RetryLater, RetryPolicy, TaskDefinition
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.retry import FinalError
from bulkport.jobs.worker import WorkerServer, stop_on_signals

TABLES = """
CREATE TABLE runs (
    id bigserial PRIMARY KEY, job_id text, attempt integer, worker text, event text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE gates (name text PRIMARY KEY)
"""

QUICK_RETRY = RetryPolicy(max_attempts=3, base_seconds=0.05, max_seconds=0.1, jitter=0)


class UnspeakableError(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("no words")


class _Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


class Tasks:
    """The tasks, in one worker."""

    def __init__(self, database_url: str, worker: str) -> None:
        self._url = database_url
        self._worker = worker
        self.contexts: list[JobContext] = []
        self.hook_errors_left = 0

    def declare(self, engine: PostgresEngine) -> None:
        for name, function, retry in (
            ("nothing", self.nothing, QUICK_RETRY),
            ("note", self.note, QUICK_RETRY),
            ("wait", self.wait, QUICK_RETRY),
            ("fail", self.fail, QUICK_RETRY),
            ("later", self.later, QUICK_RETRY),
            ("compute", self.compute, QUICK_RETRY),
            ("unspeakable", self.unspeakable, RetryPolicy(max_attempts=1)),
            ("exit", self.exit, RetryPolicy(max_attempts=1)),
            ("give", self.give, QUICK_RETRY),
            ("refuse", self.refuse, RetryPolicy(final=(LookupError,))),
            ("die", self.die, RetryPolicy(max_lost_runs=2)),
        ):
            engine.add_task(TaskDefinition(name, function, retry=retry, on_failure=self.failed))

    async def write(self, context: JobContext, event: str) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            await connection.execute(
                "INSERT INTO runs (job_id, attempt, worker, event) VALUES (%s, %s, %s, %s)",
                (context.job_id, context.attempt, self._worker, event),
            )

    async def nothing(self, context: JobContext) -> None:
        """Nothing, so that it can be done often."""

    async def note(self, context: JobContext, text: str = "ran") -> None:
        self.contexts.append(context)
        await self.write(context, text)

    async def wait(self, context: JobContext, gate: str) -> None:
        """Wait for a gate to open (for all, or as `gate/worker` for this worker), whatever happens to the database."""
        await self.write(context, "begun")
        try:
            while not await self._is_open(gate):
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            await self.write(context, "cancelled" if context.cancel_requested else "stopped")
            raise
        await self.write(context, "ended")

    async def fail(self, context: JobContext, times: int) -> None:
        await self.write(context, "tried")
        if context.attempt <= times:
            raise ValueError(f"failure {context.attempt}\0")

    async def later(self, context: JobContext, times: int, delay: float = 0.0, lower: bool = False) -> None:
        await self.write(context, f"priority {context.priority}")
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            cursor = await connection.execute("SELECT count(*) FROM runs WHERE job_id = %s", (context.job_id,))
            row = await cursor.fetchone()
        if row is not None and row[0] <= times:
            raise RetryLater(delay, lower_priority=lower)

    async def compute(self, context: JobContext, seconds: float) -> None:
        """Block the event loop."""
        await self.write(context, "begun")
        threading.Event().wait(seconds)
        await self.write(context, "ended")

    async def unspeakable(self, context: JobContext) -> None:
        raise UnspeakableError

    async def exit(self, context: JobContext) -> None:
        raise SystemExit(3)

    async def give(self, context: JobContext, what: str) -> object:
        return {
            "plain": {"name": "ada", "sizes": [1, 2.5, None]},
            "date": date(2030, 1, 2),
            "nul": "a\0b",
            "large": "x" * 70_000,
            "function": print,
            "unspeakable": _Unspeakable(),
        }[what]

    async def refuse(self, context: JobContext, how: str) -> None:
        raise {"FinalError": FinalError, "KeyError": KeyError}[how]("no use")

    async def die(self, context: JobContext) -> None:
        await self.write(context, "begun")
        os.kill(os.getpid(), signal.SIGKILL)

    async def failed(self, context: JobContext, error: BaseException) -> None:
        if self.hook_errors_left:
            self.hook_errors_left -= 1
            raise RuntimeError("the hook cannot settle it yet")
        await self.write(context, f"settled {type(error).__name__} last={context.is_last_attempt}")

    async def _is_open(self, gate: str) -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                cursor = await connection.execute(
                    "SELECT FROM gates WHERE name = ANY(%s)", ([gate, f"{gate}/{self._worker}"],)
                )
                return await cursor.fetchone() is not None
        except psycopg.OperationalError:
            return False


async def work(options: argparse.Namespace) -> None:
    engine = PostgresEngine()
    Tasks(options.url, options.name).declare(engine)
    stop = asyncio.Event()
    stop_on_signals(stop)
    behaviour = WorkerOptions(
        options.url,
        options.name,
        concurrency=options.concurrency,
        heartbeat_seconds=options.heartbeat,
        stalled_seconds=options.stalled,
        shutdown_seconds=options.shutdown,
        poll_seconds=options.poll,
    )
    await WorkerServer(engine, behaviour).run(stop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("name")
    for option, default in (("--heartbeat", 3.0), ("--stalled", 12.0), ("--shutdown", 20.0), ("--poll", 1.0)):
        parser.add_argument(option, type=float, default=default)
    parser.add_argument("--concurrency", type=int, default=5)
    asyncio.run(work(parser.parse_args()))
