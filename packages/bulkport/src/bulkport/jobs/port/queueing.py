"""Queueing jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias

import psycopg
from psycopg import sql

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.job import DEFAULT_QUEUE, BackgroundJob, JSONValue

Connection: TypeAlias = psycopg.AsyncConnection[Any]
SyncConnection: TypeAlias = psycopg.Connection[Any]

MOST_NAME_LENGTH: Final = 128
"""Longest name of a task, in characters."""
MOST_QUEUE_NAME_BYTES: Final = 40
"""Longest name of a queue, in UTF-8: it is part of the name of a PostgreSQL channel, which has 63 bytes."""
_LONGEST_DELAY_SECONDS: Final = 1e9
"""Some 30 years."""
_TIMES: Final = (datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))
"""Far from where the calendars of PostgreSQL and Python end: a job beyond could be stored, but not be read."""


class Outcome(StrEnum):
    """How a job or a batch must have ended for a job that waits for it to run."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FINISHED = "finished"
    """However it ended."""


def is_integer(value: object) -> bool:
    """Whether PostgreSQL's `integer` takes it, which priorities and limits are."""
    # Not by looking into a range: for what is not an integer, Python would go through all of it.
    return isinstance(value, int) and -(2**31) <= value < 2**31


def require_task_name(name: str) -> None:
    """Refuse a name that no task can have.

    Raises
    ------
    ValueError
        It is empty or too long.
    """
    if not 0 < len(name) <= MOST_NAME_LENGTH:
        raise ValueError(f"a task has a name of 1 to {MOST_NAME_LENGTH} characters: {name!r}")


def require_queue_name(name: str) -> None:
    """Refuse a name that no queue can have.

    Raises
    ------
    ValueError
        It is empty, too long or not printable.
    """
    if not name.isprintable() or not 0 < len(name.encode()) <= MOST_QUEUE_NAME_BYTES:
        raise ValueError(f"a queue has a printable name of 1 to {MOST_QUEUE_NAME_BYTES} bytes: {name!r}")


@lru_cache
def _require_names(task: str, queue: str) -> None:
    require_task_name(task)
    require_queue_name(queue)


def require_start(at: datetime | None, delay: float | None) -> None:
    """Refuse a time at which no job can start, or a wait after which none can.

    Raises
    ------
    ValueError
        The time has no zone or is centuries away, or the wait is not a number of seconds from 0 to some 30 years.
    """
    if at is not None:
        if at.utcoffset() is None:
            raise ValueError("a job's time needs a time zone")
        if not _TIMES[0] <= at < _TIMES[1]:
            raise ValueError(f"a job cannot start at {at}")
    if delay is not None and not 0 <= delay < _LONGEST_DELAY_SECONDS:
        raise ValueError(f"a job cannot start in {delay} s")


@dataclass(frozen=True, slots=True)
class Parent:
    """What a job waits for: a job, or a batch.

    Raises
    ------
    ValueError
        It is neither, or both.
    """

    job_id: BackgroundJobId | None = None
    batch_id: int | None = None
    on: Outcome = Outcome.SUCCEEDED
    """Cancel a job whose condition can no longer be met."""

    def __post_init__(self) -> None:
        if (self.job_id is None) == (self.batch_id is None):
            raise ValueError("a job waits for a job or for a batch")


@dataclass(slots=True)  # not frozen: that would take longer than all the rest of making one
class NewJob:
    """A job to be queued.

    Raises
    ------
    ValueError
        It is contradictory.
    """

    task: str
    """Name of a task that some worker knows. This process need not know it."""
    args: Mapping[str, JSONValue]
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    """Higher priorities run first; equal ones in order."""
    delay: float | None = None
    """Seconds before it may start, by the database's clock."""
    at: datetime | None = None
    """Aware time before which it may not start."""
    user_id: str | None = None
    unique_key: str | None = None
    """Of the jobs with one unique key, only one waits at a time; the key is free again when that one starts."""
    unique_for: float | None = None
    """Seconds for which the unique key stays taken from when the job may start, whatever becomes of it."""
    concurrency_key: str | None = None
    """Of the jobs with one concurrency key, at most `concurrency_limit` are queued or running."""
    concurrency_limit: int | None = None
    """None: 1."""
    rate_key: str | None = None
    """Of the jobs with one rate key, `rate_limit` may start in `rate_seconds`: a bucket holds as many tokens, and gains
    them evenly. Those beyond wait for their time."""
    rate_limit: int | None = None
    """None: 1."""
    rate_seconds: float = 60.0
    batch_id: int | None = None
    recurring_id: str | None = None
    origin_id: BackgroundJobId | None = None
    """The job that this one repeats."""
    parents: tuple[Parent, ...] = ()
    """What must have ended before it runs."""
    tags: tuple[str, ...] = ()
    """Words to find and count it by."""

    def __post_init__(self) -> None:
        _require_names(self.task, self.queue)
        if self.at is not None or self.delay is not None:
            require_start(self.at, self.delay)
        if self.unique_for is not None and (
            self.unique_key is None or not 0 < self.unique_for < _LONGEST_DELAY_SECONDS
        ):
            raise ValueError(f"unique_for is a number of seconds, and goes with a unique key: {self.unique_for}")
        if not 0 < self.rate_seconds < _LONGEST_DELAY_SECONDS or (self.rate_limit or 1) < 1:
            raise ValueError(f"not a usable rate limit: {self.rate_limit} in {self.rate_seconds} s")
        if (self.at is not None) + (self.delay is not None) + bool(self.parents) > 1:
            raise ValueError("a job waits for a time, a delay or other jobs, for one of them only")


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """The outcome of enqueueing a `NewJob`."""

    id: BackgroundJobId
    is_new: bool
    """False: a job with its unique key was waiting already, and this is its id."""


class JobQueue(Protocol):
    """Queues jobs, in the caller's transaction and in one round trip.

    A job starts once the transaction commits, and never if it rolls back. The connection stays the caller's.
    """

    async def enqueue(self, connection: Connection, job: NewJob) -> BackgroundJobId:
        """Queue one job.

        Raises
        ------
        JobAlreadyQueued
            A job with its unique key is waiting; the caller's transaction stays usable.
        ParentNotFound
            A job or a batch that it is to wait for does not exist (any more).
        BatchClosed
            Its batch takes no more jobs.
        """
        ...

    async def enqueue_many(self, connection: Connection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """Queue any number of jobs.

        Returns
        -------
        What became of each, in their order.

        Raises
        ------
        ParentNotFound, BatchClosed
            See `enqueue`.
        """
        ...

    def enqueue_many_sync(self, connection: SyncConnection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """As `enqueue_many`, for code without an event loop."""
        ...

    async def open_batch(
        self, connection: Connection, description: str | None = None, user_id: str | None = None
    ) -> int:
        """Begin a batch, and give its id: jobs are queued into it by `NewJob.batch_id`."""
        ...

    async def seal_batch(self, connection: Connection, batch_id: int) -> bool:
        """Let a batch take no more jobs: it ends with the last of those it has, at once if none is left.

        Returns
        -------
        Whether there is such a batch. Sealing it again does nothing.
        """
        ...

    def enqueue_call(
        self,
        task: str,
        args: sql.Composable,
        *,
        queue: str = DEFAULT_QUEUE,
        user_id: sql.Composable | None = None,
    ) -> sql.Composed:
        """An SQL expression that queues a job each time it is evaluated, and gives the job's id (bigint).

        For a statement of the caller's own that stores something and queues the job for it in one round trip. `args`
        and `user_id` are expressions of type jsonb and text.
        """
        ...


class CallerlessQueue(Protocol):
    """Takes jobs without a connection, in place of an engine: in tests."""

    async def enqueue_many(self, connection: None, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """See `JobQueue.enqueue_many`."""
        ...

    def enqueue_many_sync(self, connection: None, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """See `JobQueue.enqueue_many_sync`."""
        ...

    async def open_batch(self, connection: None, description: str | None = None, user_id: str | None = None) -> int:
        """See `JobQueue.open_batch`."""
        ...

    async def seal_batch(self, connection: None, batch_id: int) -> bool:
        """See `JobQueue.seal_batch`."""
        ...

    def get(self, job_id: BackgroundJobId) -> BackgroundJob | None:
        """The current state of a job; None if there is no job with this id."""
        ...
