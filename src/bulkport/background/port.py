"""The engine port: all that Bulkport asks of a job engine.

An engine stores background jobs in PostgreSQL and runs them in worker processes. Application code holds a
`JobEngine`; which engine it is decides only the line that makes it.

Examples
--------
In the caller's own transaction, so that a rolled-back request leaves no job behind::

    async with pool.connection() as connection, connection.transaction():
        await connection.execute("INSERT INTO reports …")
        job_id = await engine.enqueue(connection, "send_report", {"recipient": "ada@example.org"})
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import psycopg
from psycopg import sql

from bulkport.background.jobs import DEFAULT_QUEUE, BackgroundJob, JobState, JSONValue
from bulkport.background.retries import NO_RETRY, RetryLater, RetryPolicy
from bulkport.background.tasks import JobContext, TaskDefinition
from bulkport.identifiers import BackgroundJobId

__all__ = [
    "DEFAULT_QUEUE",
    "NO_RETRY",
    "BackgroundJob",
    "BackgroundJobId",
    "JSONValue",
    "JobContext",
    "JobEngine",
    "JobState",
    "RetryLater",
    "RetryPolicy",
    "TaskDefinition",
    "WorkerOptions",
]

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker server behaves. Times are in seconds."""

    database_url: str
    server_name: str
    """Unique among all servers, also over time; see `JobEngine.rescue`."""
    queues: Sequence[str] | None = None
    """Queues to serve; None: all."""
    concurrency: int = 20
    """Jobs that run at one time."""
    heartbeat_seconds: float = 3.0
    stalled_seconds: float = 12.0
    """Silence after which other servers take a server for dead and run its jobs."""
    shutdown_seconds: float = 20.0
    """Grace for running jobs when the server is asked to stop."""
    poll_seconds: float = 1.0
    """How often to look for jobs that came due without a notification (scheduled ones, retries)."""


class JobEngine(Protocol):
    """Stores background jobs and runs them."""

    def add_task(self, definition: TaskDefinition) -> None:
        """Declare a task, so that this process can run its jobs.

        Raises
        ------
        TaskAlreadyDeclared
            Its name is taken.
        """
        ...

    async def enqueue(
        self,
        connection: Connection,
        task: str,
        args: Mapping[str, JSONValue],
        *,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        lock: str | None = None,
        queueing_lock: str | None = None,
    ) -> BackgroundJobId:
        """Queue a job in the caller's transaction, in one round trip.

        It starts once the transaction commits, and never if it rolls back. The connection stays the caller's.

        Parameters
        ----------
        task
            Name of a task that some worker knows. This process need not know it.
        priority
            Higher goes first; among equals, first come, first served.
        lock
            Of the jobs with one lock, only one runs at a time, by priority and then in the order they were queued.
            One that waits for its time or its next attempt holds back those behind it.
        queueing_lock
            Of the jobs with one queueing lock, only one waits at a time.

        Raises
        ------
        JobAlreadyQueued
            A job with this queueing lock is waiting. PostgreSQL has then aborted the caller's transaction; use a
            savepoint to go on.
        """
        ...

    async def schedule(
        self,
        connection: Connection,
        task: str,
        args: Mapping[str, JSONValue],
        *,
        at: datetime,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        lock: str | None = None,
        queueing_lock: str | None = None,
    ) -> BackgroundJobId:
        """Queue a job that starts no earlier than `at` (aware); otherwise as `enqueue`."""
        ...

    def enqueue_call(self, task: str, args: sql.Composable, *, queue: str = DEFAULT_QUEUE) -> sql.Composed:
        """An SQL expression that queues a job each time it is evaluated, and gives the job's id (bigint or text).

        For a statement of the caller's own that stores something and queues the job for it in one round trip. `args`
        is an expression of type jsonb.
        """
        ...

    async def cancel(self, job_id: BackgroundJobId, connection: Connection | None = None) -> bool:
        """Cancel a job: a waiting one is gone at once, a running one is asked to stop.

        Returns
        -------
        False when there is no such job or it has ended already.
        """
        ...

    async def look_up(self, job_id: BackgroundJobId, connection: Connection | None = None) -> BackgroundJob | None:
        """The job as it stands now; None when there is no such job."""
        ...

    async def rescue(
        self, server_names: Sequence[str] | None = None, connection: Connection | None = None
    ) -> list[BackgroundJobId]:
        """Take the jobs of servers over that are known to be dead, now.

        Workers find dead servers by themselves within `WorkerOptions.stalled_seconds` and a little more. Whoever
        saw a worker process end (its parent) need not wait: it names the server, and its jobs start elsewhere at
        once. Naming a server that still runs makes its jobs run twice until it notices.

        Parameters
        ----------
        server_names
            Names as given to `WorkerServer`. None: every server, for one who knows that none can be alive, say
            because it has just started the database.

        Returns
        -------
        The jobs put back in their queues, including any that no server owned.
        """
        ...

    async def run_worker(self, options: WorkerOptions, stop: asyncio.Event) -> None:
        """Run jobs until `stop` is set, then drain; what `WorkerServer` does around it makes it last.

        Raises
        ------
        WorkerLost
            The server was silent for so long that others may have taken its jobs over. Its running jobs were
            cancelled; it can be run again at once.
        psycopg.Error
            The worker could not begin.
        """
        ...
