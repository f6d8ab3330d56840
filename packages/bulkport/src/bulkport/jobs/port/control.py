"""Controlling jobs and queues."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypedDict, Unpack

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection
from bulkport.jobs.port.metrics import ServerCommand
from bulkport.jobs.port.query import JobQuery
from bulkport.jobs.port.queueing import is_integer, require_queue_name, require_start


class Effect(StrEnum):
    """The outcome of a command for one job. Outcomes that say why nothing was done are not errors."""

    CANCELLED = "cancelled"
    DELETED = "deleted"
    REQUEUED = "requeued"
    REPEATED = "repeated"
    """It had succeeded, so a new job like it was queued."""
    RELEASED = "released"
    RESCHEDULED = "rescheduled"
    CHANGED = "changed"
    ASKED_TO_STOP = "asked to stop"
    """It runs; it is cancelled when its task heeds that."""
    ALREADY_ASKED_TO_STOP = "already asked to stop"
    ALREADY_WAITING = "already waiting"
    ALREADY_RUNNING = "already running"
    ALREADY_ENDED = "already ended"
    ALREADY_DELETED = "already deleted"
    WAITS_FOR_OTHERS = "waits for other jobs"
    UNIQUE_KEY_TAKEN = "unique key taken"
    """Another job waits under its unique key."""
    UNKNOWN = "unknown"
    """The job does not exist (any more)."""

    @property
    def is_done(self) -> bool:
        """Whether the order was carried out."""
        return self in _DONE


_DONE = frozenset(
    {
        Effect.CANCELLED,
        Effect.DELETED,
        Effect.REQUEUED,
        Effect.REPEATED,
        Effect.RELEASED,
        Effect.RESCHEDULED,
        Effect.CHANGED,
        Effect.ASKED_TO_STOP,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command for jobs, and how their history describes it."""

    reason: str | None = None
    actor: str | None = None
    """Who wants it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Order):
    """End jobs: a waiting one at once, a running one when its task heeds the request. Jobs that have ended stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Order):
    """Cancel jobs, and make those that have ended CANCELLED as well; retention removes them later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeue(Order):
    """Run jobs again that have ended, with their failures forgotten.

    A job that had succeeded stays as it is: a new one repeats it. What waited for a job in vain stays cancelled, and a
    batch that has ended does not end again.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNow(Order):
    """Have jobs run at once that wait for a time, or for their next attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reschedule(Order):
    """Have jobs that have not begun wait for another time.

    Raises
    ------
    ValueError
        Not exactly one of `at` and `delay` is given, or no job can start then.
    """

    at: datetime | None = None
    delay: float | None = None
    """Seconds from now, by the database's clock."""

    def __post_init__(self) -> None:
        if (self.at is None) == (self.delay is None):
            raise ValueError("a job is rescheduled to a time or by a delay")
        require_start(self.at, self.delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Order):
    """Give jobs that have not begun another priority, another queue, or both.

    Raises
    ------
    ValueError
        Neither is given, the queue's name cannot be one, or the priority is not a 32-bit integer.
    """

    priority: int | None = None
    queue: str | None = None

    def __post_init__(self) -> None:
        if self.priority is None and self.queue is None:
            raise ValueError("a priority or a queue is to be changed")
        if self.priority is not None and not is_integer(self.priority):
            raise ValueError(f"a priority is a 32-bit integer: {self.priority}")
        if self.queue is not None:
            require_queue_name(self.queue)


@dataclass(frozen=True, slots=True)
class OrderResult:
    """The outcome of a command for one job."""

    job_id: BackgroundJobId
    effect: Effect
    new_job_id: BackgroundJobId | None = None
    """The job that repeats this one."""


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """The result of a bulk command; as text it reads like `12 requeued, 1 already running`."""

    effects: Mapping[Effect, int] = field(default_factory=dict)
    """Jobs by effect, none of them 0."""

    @classmethod
    def of(cls, results: Iterable[OrderResult]) -> "OrderSummary":
        """From the outcome of each job."""
        return cls(Counter(result.effect for result in results))

    @property
    def done(self) -> int:
        """Jobs for which the order was carried out."""
        return sum(count for effect, count in self.effects.items() if effect.is_done)

    def __str__(self) -> str:
        order = list(Effect)
        parts = sorted(self.effects.items(), key=lambda part: order.index(part[0]))
        return ", ".join(f"{count} {effect}" for effect, count in parts) or "no jobs"


class Actor(TypedDict, total=False):
    """Who gave a command, and in which transaction."""

    actor: str | None
    connection: "AnyConnection | None"


class JobControl(Protocol):
    """Controls jobs and queues."""

    async def order(
        self, order: Order, job_ids: Iterable[BackgroundJobId], connection: "AnyConnection | None" = None
    ) -> list[OrderResult]:
        """Do something to jobs, all in one transaction: for up to some thousands.

        Every job is left as it is or moved on whole, whatever others do to it meanwhile; a repeated order finds its
        work done. The jobs stay locked until the transaction ends.

        Returns
        -------
        What came of it for each job, in their order.
        """
        ...

    async def order_all(self, order: Order, query: JobQuery) -> OrderSummary:
        """Apply an action to all jobs that a query finds, page by page, each page in its own transaction.

        Jobs created meanwhile are left out, and so are jobs that finish meanwhile if the query is about finished jobs.
        If it is interrupted, a part is done, and it can be repeated.
        """
        ...

    async def pause_queue(self, name: str, *, note: str | None = None, **by: Unpack[Actor]) -> None:
        """Pause a queue: no job of it starts until it is resumed; running jobs finish. `note` gives the reason.

        Raises
        ------
        ValueError
            No queue can have this name.
        """
        ...

    async def resume_queue(self, name: str, **by: Unpack[Actor]) -> None:
        """Resume a paused queue; waiting workers start its jobs at once."""
        ...

    async def pause_task(self, task: str, *, note: str | None = None, **by: Unpack[Actor]) -> None:
        """Pause a task: no job of it starts, in any queue, until it is resumed; running jobs finish.

        Raises
        ------
        ValueError
            No task can have this name.
        """
        ...

    async def resume_task(self, task: str, **by: Unpack[Actor]) -> None:
        """Resume a paused task; waiting workers start its jobs at once."""
        ...

    async def limit_queue(self, name: str, most: int | None, **by: Unpack[Actor]) -> None:
        """Limit a queue to `most` concurrent jobs, across all servers; None removes the limit.

        Raises
        ------
        ValueError
            `most` is less than 1, or no queue can have this name.
        """
        ...

    async def weigh_queue(self, name: str, weight: float, **by: Unpack[Actor]) -> None:
        """Set a queue's share of starts among queues with waiting jobs of the same priority.

        With weight 3, three jobs start for each job of a queue with the default weight 1.

        Raises
        ------
        ValueError
            `weight` is not from 0.001 to 1,000, or no queue can have this name.
        """
        ...

    async def ask_stack(self, job_id: BackgroundJobId, *, seconds: float = 0.0, **by: Unpack[Actor]) -> bool:
        """Ask the server of a running job for the code that the job is in; `JobDetails.stack` has it within seconds.

        Parameters
        ----------
        seconds
            How long to look, up to 60, for a profile; 0: once.

        Returns
        -------
        Whether the job runs.

        Raises
        ------
        ValueError
            `seconds` is out of bounds.
        """
        ...

    async def command_server(self, name: str, command: ServerCommand | None, **by: Unpack[Actor]) -> bool:
        """Ask a server to be quiet or to stop, or (None) to run jobs again; it heeds that with its next heartbeat.

        Returns
        -------
        Whether there is such a server.
        """
        ...
