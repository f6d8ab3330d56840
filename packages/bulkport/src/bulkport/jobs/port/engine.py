"""Running jobs, and the whole of the port."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final, Protocol

from bulkport.database import DEFAULT_SCHEMA
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection
from bulkport.jobs.context import TaskDefinition
from bulkport.jobs.job import BackgroundJob, JobState
from bulkport.jobs.port.control import JobControl
from bulkport.jobs.port.queueing import Connection, JobQueue
from bulkport.jobs.port.reading import JobReader
from bulkport.jobs.port.recurring import RecurringStore
from bulkport.pools import AsyncPool


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long finished jobs are stored, by their state; None: for ever.

    What has been pruned cannot be found, looked at or requeued any more. Jobs of a batch that has not ended, and those
    that a continuation still waits for, stay until then.

    Raises
    ------
    ValueError
        A time is negative.
    """

    succeeded: timedelta | None = timedelta(days=7)
    failed: timedelta | None = timedelta(days=30)
    cancelled: timedelta | None = timedelta(days=7)

    def __post_init__(self) -> None:
        if any(age < timedelta(0) for _, age in self.ages()):
            raise ValueError("the retention of finished jobs cannot be negative")

    def ages(self) -> Iterator[tuple[JobState, timedelta]]:
        """The states whose jobs are pruned, with their retention."""
        for field in fields(self):
            age = getattr(self, field.name)
            if age is not None:
                yield JobState(field.name), age


DEFAULT_RETENTION: Final = RetentionPolicy()


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker server behaves. Times are in seconds.

    Raises
    ------
    ValueError
        Other servers would take this one for dead though it is not.
    """

    database_url: str
    server_name: str
    """Unique among all servers, also over time; see `JobEngine.rescue`."""
    schema: str = DEFAULT_SCHEMA
    """Where Bulkport's tables are: for `pools.open_pool` and `database.cursor_classes`."""
    queues: Sequence[str] | None = None
    """Queues to serve; None: all."""
    concurrency: int = 20
    """Concurrent jobs."""
    heavy: bool = True
    """Whether it runs heavy tasks too. A server that does not is never too busy with one to run the next light job."""
    heartbeat_seconds: float = 3.0
    stalled_seconds: float = 12.0
    """Time without a heartbeat after which other servers take a server for dead and run its jobs."""
    shutdown_seconds: float = 20.0
    """Grace for running jobs when the server is asked to stop."""
    poll_seconds: float = 1.0
    """How often to look for jobs of which no notification came."""
    blocked_seconds: float = 2.0
    """A task that keeps the event loop to itself for so long is reported in the log."""
    listen_url: str | None = None
    """Where to hear of new jobs, if `database_url` leads to a pooler in transaction mode: a URL of PostgreSQL itself.
    Without notifications the server looks for jobs by the clock: often while there are some, at last every
    `poll_seconds`."""
    retention: RetentionPolicy = DEFAULT_RETENTION
    """How long finished jobs are stored. Every server prunes, each by its own policy."""

    def __post_init__(self) -> None:
        if self.stalled_seconds < 3 * self.heartbeat_seconds:
            raise ValueError("stalled_seconds must be at least three times heartbeat_seconds")


class JobEngine(JobQueue, Protocol):
    """Stores background jobs and runs them."""

    @property
    def reader(self) -> JobReader:
        """Queries about jobs, queues and servers.

        Raises
        ------
        NotConnected
            The engine has no pool.
        """
        ...

    @property
    def control(self) -> JobControl:
        """Orders to jobs and queues."""
        ...

    @property
    def recurring(self) -> RecurringStore:
        """Jobs that come again and again."""
        ...

    def add_task(self, definition: TaskDefinition) -> None:
        """Declare a task, so that this process can run its jobs.

        Raises
        ------
        TaskAlreadyDeclared
            Its name is taken.
        """
        ...

    async def look_up(self, job_id: BackgroundJobId, connection: "AnyConnection | None" = None) -> BackgroundJob | None:
        """The job's current state; None if there is no such job."""
        ...

    async def unfinished_among(
        self, job_ids: Iterable[BackgroundJobId], connection: "AnyConnection | None" = None
    ) -> set[BackgroundJobId]:
        """Those of some thousand jobs that have not ended, all in one question; ids that no job has are left out."""
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
        """Run jobs until `stop` is set, then drain; `WorkerServer` restarts it after failures.

        Raises
        ------
        WorkerLost
            The server was silent for so long that others may have taken its jobs over. Its running jobs were
            cancelled; it can be run again at once.
        psycopg.Error
            The worker could not begin.
        """
        ...


class EngineFactory(Protocol):
    """Makes engines: what `Bulkport` is given to run on another one. The class of an engine is one."""

    def __call__(self, pool: AsyncPool | None = None, /, *, schema: str = DEFAULT_SCHEMA) -> JobEngine:
        """Make an engine, without input or output.

        Parameters
        ----------
        pool
            An open pool of autocommit connections, for calls that are given no connection. Without it each call needs
            one, without `JobEngine.reader` and bulk commands by query.
        schema
            Where the tables are, for orders and recurring jobs in a transaction of the caller's.
        """
        ...
