"""Recurring jobs: definition, status and store."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection
from bulkport.jobs.errors import InvalidSchedule
from bulkport.jobs.job import DEFAULT_QUEUE, JobState, JSONValue
from bulkport.jobs.port.queueing import require_queue_name, require_task_name
from bulkport.jobs.schedule import Schedule

_MOST_ID_LENGTH: Final = 200


class MissedRuns(StrEnum):
    """The policy for ticks that were missed by over a minute because no worker ran."""

    SKIP = "skip"
    """Skip them; the next job comes with the next tick."""
    ONCE = "once"
    """One job for all of them, as soon as a worker runs again."""
    ALL = "all"
    """One job for each of them, at most 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringDefinition:
    """The requested definition of a recurring job.

    Raises
    ------
    ValueError
        The id is empty, too long or not printable, or the name of the task or the queue cannot be one.
    """

    id: str
    """Chosen by the application; 1 to 200 characters."""
    task: str
    cron: str
    """See `schedule.py`."""
    timezone: str = "UTC"
    args: Mapping[str, JSONValue]
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    user_id: str | None = None
    concurrency_key: str | None = None
    """Of all jobs with one concurrency key, at most `concurrency_limit` run concurrently."""
    concurrency_limit: int = 1
    missed: MissedRuns = MissedRuns.ONCE
    overlap: bool = True
    """Whether a tick makes a job although one that an earlier tick made has not ended. If not, the tick is left
    out; and jobs that are there together all the same, say by hand, run one after another, unless a concurrency key
    of their own says how many may."""
    is_stored: InitVar[bool] = False
    """Whether it comes from the database: invalid stored values are shown, not rejected."""

    def __post_init__(self, is_stored: bool) -> None:
        if is_stored:
            return
        if not self.id.isprintable() or not 0 < len(self.id) <= _MOST_ID_LENGTH:
            raise ValueError(f"the id of a recurring job has 1 to {_MOST_ID_LENGTH} printable characters: {self.id!r}")
        require_task_name(self.task)
        require_queue_name(self.queue)

    @property
    def schedule(self) -> Schedule:
        """When it is due.

        Raises
        ------
        InvalidSchedule
            The cron expression or the time zone cannot be used, in this process at least.
        """
        return Schedule(self.cron, self.timezone)


@dataclass(frozen=True, slots=True)
class RecurringRun:
    """One of the last jobs of a recurring job."""

    job_id: BackgroundJobId
    state: JobState


@dataclass(frozen=True, slots=True)
class RecurringJob:
    """A snapshot of one recurring job. Times are aware, in UTC, by the database's clock."""

    definition: RecurringDefinition
    in_code: bool
    """Whether it is declared in code: it comes back when a worker starts, and only workers that declare it make its
    jobs."""
    paused_at: datetime | None
    next_at: datetime | None
    """None: never again."""
    is_overdue: bool
    """Whether the next tick has been due for more than a minute: no worker runs, or none that declares it."""
    last_at: datetime | None
    """The tick that was last acted on."""
    last_note: str | None
    """What was special about it: why it made no job, or that ticks before it were missed."""
    last_job_id: BackgroundJobId | None
    """The last job made, by a tick or by hand."""
    last_job_state: JobState | None
    """None: no job yet, or it is pruned."""
    last_job_at: datetime | None
    """When that job was made; None as above."""
    average_seconds: float | None
    """Of its last 20 jobs that succeeded (among the last 100)."""
    runs: tuple[RecurringRun, ...]
    """Its last 20 jobs, the latest last."""
    created_at: datetime
    updated_at: datetime
    """When the definition last changed."""

    @property
    def id(self) -> str:
        """See `RecurringDefinition.id`."""
        return self.definition.id

    @property
    def in_words(self) -> str:
        """The schedule in English, such as `At 03:00 every day (Europe/Berlin)`."""
        try:
            words = self.definition.schedule.in_words
        except InvalidSchedule as error:
            return str(error)
        return f"{words} ({self.definition.timezone})"


class RecurringStore(Protocol):
    """Keeps recurring jobs. Workers of the engine make their jobs when they are due: one for each tick, however many
    servers there are, whatever their clocks say.

    Each method takes effect in the transaction of `connection`, if it is given one; of what cannot be stored, such as
    an id with a NUL character, there is none.
    """

    @property
    def declared(self) -> Mapping[str, RecurringDefinition]:
        """Those that this process declares in code, by id."""
        ...

    def declare(self, definition: RecurringDefinition) -> None:
        """Declare one in code. Nothing is written yet; each worker does that when it starts.

        Raises
        ------
        RecurringJobAlreadyDeclared
            Its id is taken.
        """
        ...

    async def write_declared(self, connection: "AnyConnection | None" = None) -> None:
        """Write those declared in code, where they are new or changed; a pause stays. Those that no code has acted
        on for a week are forgotten.

        Raises
        ------
        InvalidSchedule
            A cron expression or a zone cannot be used.
        """
        ...

    async def add_or_update(
        self, definition: RecurringDefinition, connection: "AnyConnection | None" = None
    ) -> RecurringJob:
        """Add or change a recurring job. The next tick changes only with the cron expression or the zone.

        Raises
        ------
        InvalidSchedule
            The cron expression or the time zone cannot be used; with the reason.
        """
        ...

    async def remove(self, recurring_id: str, connection: "AnyConnection | None" = None) -> bool:
        """Remove a recurring job; its jobs stay. One declared in code returns: pause it instead.

        Returns
        -------
        False when there is none.
        """
        ...

    async def pause(self, recurring_id: str, connection: "AnyConnection | None" = None) -> RecurringJob:
        """Let it make no jobs until it is resumed.

        Raises
        ------
        UnknownRecurringJob
            There is none.
        """
        ...

    async def resume(self, recurring_id: str, connection: "AnyConnection | None" = None) -> RecurringJob:
        """Resume with the next tick from now; ticks during the pause are skipped.

        Raises
        ------
        UnknownRecurringJob
            There is none.
        InvalidSchedule
            Its zone is not known here.
        """
        ...

    async def trigger(self, recurring_id: str, connection: "AnyConnection | None" = None) -> BackgroundJobId:
        """Make a job now, even while paused; the next tick does not change.

        Raises
        ------
        UnknownRecurringJob
            There is none.
        """
        ...

    async def get(self, recurring_id: str, connection: "AnyConnection | None" = None) -> RecurringJob | None:
        """The current status; None if it does not exist."""
        ...

    async def search(
        self,
        text: str | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        is_overdue: bool = False,
        connection: "AnyConnection | None" = None,
    ) -> Sequence[RecurringJob]:
        """Those whose id or task contains `text`, in the order of their ids, from the one following `after`; all of
        these, or those that are overdue."""
        ...
