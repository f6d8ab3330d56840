"""A background job for display: in a list and in detail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.job import JobState, JSONValue
from bulkport.jobs.run_output import Progress

MOST_EVENTS: Final = 100
"""Changes and runs, each, that a job's details have at most: the last ones."""
MOST_LINKS: Final = 200
"""Parents, children and copies, each, that a job's details have at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A job as a list shows it. Times are aware, in UTC, by the database's clock."""

    id: BackgroundJobId
    task: str
    queue: str
    priority: int
    state: JobState
    is_held_back: bool
    """Enqueued, but waiting for a free slot of its concurrency key."""
    args: Mapping[str, JSONValue] | None
    """None: too large for a list; `JobDetails` has them whatever their size."""
    user_id: str | None
    created_at: datetime
    ready_at: datetime
    """Since when it may run, or will."""
    due_at: datetime | None
    """When a scheduled or retrying job becomes ready."""
    started_at: datetime | None
    """Of the present run, or else of the last one."""
    finished_at: datetime | None
    runs: int
    """Runs that have ended, whatever came of them."""
    failures: int
    """Runs that ended in an error since the job was last requeued."""
    server: str | None
    """Name of the server of the present run, or else of the last one."""
    error_type: str | None
    error: str | None
    unique_key: str | None
    concurrency_key: str | None
    batch_id: int | None
    recurring_id: str | None
    origin_id: BackgroundJobId | None
    """The job that this one repeats."""
    tags: tuple[str, ...] = ()
    """In order."""
    progress: Progress | None

    @property
    def duration_seconds(self) -> float | None:
        """How long the last run of a finished job took."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())

    @property
    def latency_seconds(self) -> float | None:
        """How long the job waited, once it was ready, for the present run or, if it is finished, for its last one."""
        if self.started_at is None or not (self.state is JobState.PROCESSING or self.state.is_final):
            return None
        return max(0.0, (self.started_at - self.ready_at).total_seconds())


class RunOutcome(StrEnum):
    """The outcome of a run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    AGAIN = "again"
    """The task asked to be run again."""
    HANDED_BACK = "handed_back"
    """Its server was stopped."""
    LOST = "lost"
    """Its server died."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """One run of a job."""

    run: int
    """1-based, counting every run."""
    outcome: RunOutcome
    server: str | None
    started_at: datetime | None
    """None: the server died before that was known."""
    ended_at: datetime | None
    """None if it continues."""
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    retry_at: datetime | None = None
    """When the next attempt was to be made."""

    @property
    def duration_seconds(self) -> float | None:
        """How long it took; of a lost one, until that was noticed."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class JobChange:
    """Something that happened to a job between its runs."""

    at: datetime
    state: JobState
    """What it became."""
    reason: str
    actor: str | None
    """Who did it; None: Bulkport did."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing in the life of a job: its creation, a change or a run."""

    at: datetime
    change: JobChange | None = None
    run: JobRun | None = None
    """Neither of the two: the job was created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLink:
    """One end of a continuation; the other end is a job or a batch."""

    on: str
    """The outcome of the parent that the child waits for: 'succeeded', 'failed' or 'finished'."""
    job_id: BackgroundJobId | None = None
    task: str | None = None
    """None: a batch, or a job that has been pruned."""
    state: JobState | None = None
    batch_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """The progress of a batch."""

    batch_id: int
    description: str | None
    user_id: str | None
    created_at: datetime
    is_sealed: bool
    """No job is added any more."""
    is_abandoned: bool
    """Its creator never sealed it. It counts as failed, because jobs may be missing."""
    finished_at: datetime | None
    states: Mapping[JobState, int]
    """Its jobs by state; those that run count as ENQUEUED. Those that have been pruned are missing."""

    @property
    def jobs(self) -> int:
        """Jobs of the batch."""
        return sum(self.states.values())

    @property
    def finished_jobs(self) -> int:
        """Jobs of the batch that have ended."""
        return sum(jobs for state, jobs in self.states.items() if state.is_final)


@dataclass(frozen=True, slots=True)
class JobLogLine:
    """A line that a job logged."""

    line: int
    """1-based, over all its runs."""
    run: int
    at: datetime
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStack:
    """The stack of a job, requested by an operator, without variable values."""

    run: int
    asked_at: datetime
    asked_by: str | None
    seconds: float
    """How long it was looked at; 0: once."""
    taken_at: datetime | None
    """None: its server has not answered yet."""
    stack: str | None
    """As Python writes one, the innermost frame last; empty: the job had just ended."""
    profile: str | None
    """Stacks with how often each was seen, one a line: `outer (file:3);inner (file:9) 17`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """One job in full."""

    job: JobSummary
    result: JSONValue
    """What the task returned; None also when that could not be stored, which the timeline then says."""
    checkpoint: JSONValue
    timeline: tuple[TimelineEntry, ...]
    """Oldest first: the creation, and the last `MOST_EVENTS` changes and as many runs."""
    log_lines: int
    """How many lines it has logged."""
    parents: tuple[JobLink, ...]
    """What it waits or waited for; at most `MOST_LINKS`."""
    parents_in_all: int
    children: tuple[JobLink, ...]
    """What waits or waited for it; at most `MOST_LINKS`."""
    children_in_all: int
    copies: tuple[BackgroundJobId, ...]
    """The latest jobs that repeat this one, newest first; at most `MOST_LINKS`."""
    batch: BatchStatus | None
    stack: JobStack | None = None
    """The code that it was in, if somebody asked within the last day."""

    @property
    def runs(self) -> tuple[JobRun, ...]:
        """The runs of the timeline."""
        return tuple(entry.run for entry in self.timeline if entry.run is not None)
