"""Queueing jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

import psycopg
from psycopg import sql

from bulkport.background.jobs import DEFAULT_QUEUE, JSONValue
from bulkport.identifiers import BackgroundJobId

Connection: TypeAlias = psycopg.AsyncConnection[Any]
SyncConnection: TypeAlias = psycopg.Connection[Any]

MOST_NAME_LENGTH: Final = 128
"""Longest name of a task or a queue, in characters."""


class Outcome(StrEnum):
    """How a job or a batch must have ended for a job that waits for it to run."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FINISHED = "finished"
    """However it ended."""


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
    """A job whose wish can no longer come true is cancelled."""

    def __post_init__(self) -> None:
        if (self.job_id is None) == (self.batch_id is None):
            raise ValueError("a job waits for a job or for a batch")


@dataclass(frozen=True, slots=True)
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
    """Higher goes first; among equals, first come, first served."""
    delay: float | None = None
    """Seconds before it may start, by the database's clock."""
    at: datetime | None = None
    """Aware time before which it may not start."""
    user_id: str | None = None
    unique_key: str | None = None
    """Of the jobs with one unique key, only one waits at a time; the key is free again when that one starts."""
    concurrency_key: str | None = None
    """Of the jobs with one concurrency key, at most `concurrency_limit` are in their queues or run at one time."""
    concurrency_limit: int | None = None
    """None: 1."""
    batch_id: int | None = None
    recurring_id: str | None = None
    origin_id: BackgroundJobId | None = None
    """The job that this one repeats."""
    parents: tuple[Parent, ...] = ()
    """What must have ended before it runs."""

    def __post_init__(self) -> None:
        for name in (self.task, self.queue):
            if not 0 < len(name) <= MOST_NAME_LENGTH:
                raise ValueError(f"a task and a queue have names of 1 to {MOST_NAME_LENGTH} characters: {name!r}")
        if self.at is not None and self.at.utcoffset() is None:
            raise ValueError("a job's time needs a time zone")
        if (self.at is not None) + (self.delay is not None) + bool(self.parents) > 1:
            raise ValueError("a job waits for a time, a delay or other jobs, for one of them only")


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """What became of a `NewJob`."""

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
            A job with its unique key is waiting; the caller's transaction goes on.
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
