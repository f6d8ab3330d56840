"""What a recurring job is: as it is asked for, and as it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bulkport.background.jobs import DEFAULT_QUEUE, JobState, JSONValue
from bulkport.background.recurring.errors import InvalidSchedule
from bulkport.background.recurring.schedule import Schedule
from bulkport.identifiers import BackgroundJobId

_MOST_ID_LENGTH: Final = 200


class MissedRuns(StrEnum):
    """What becomes of the ticks that nobody acted on within a minute, because no worker ran."""

    SKIP = "skip"
    """Nothing; the next job comes with the next tick."""
    ONCE = "once"
    """One job for all of them, as soon as a worker runs again."""
    ALL = "all"
    """One job for each of them, at most 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringDefinition:
    """A recurring job as it is asked for.

    Raises
    ------
    ValueError
        The id is empty, too long or not printable.
    """

    id: str
    """Chosen by the application; 1 to 200 characters."""
    task: str
    cron: str
    """See `recurring/schedule.py`."""
    timezone: str = "UTC"
    args: Mapping[str, JSONValue]
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    missed: MissedRuns = MissedRuns.ONCE
    overlap: bool = True
    """Whether a tick makes a job although one that an earlier tick made has not ended. If not, the tick is left
    out; and jobs that are there together all the same, say by hand, run one after another."""

    def __post_init__(self) -> None:
        if not self.id.isprintable() or not 0 < len(self.id) <= _MOST_ID_LENGTH:
            raise ValueError(f"the id of a recurring job has 1 to {_MOST_ID_LENGTH} printable characters: {self.id!r}")

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
    average_seconds: float | None
    """Of its last 20 jobs that succeeded (among the last 100)."""
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
