"""What background jobs come to in numbers: counts, time series, percentiles, queues and servers."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Final

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.job import JobState
from bulkport.jobs.run_output import Progress

_FIRST_BOUND_SECONDS: Final = 0.0001
_GROWTH: Final = 1.1


class Granularity(StrEnum):
    """Length of the steps of a time series; days are those of UTC."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def step(self) -> timedelta:
        """How long a step is."""
        return timedelta(**{f"{self}s": 1})

    @property
    def retention(self) -> timedelta:
        """How far back the series goes; see `granularities` in rollup.sql."""
        return _KEPT[self]


class SeriesGroup(StrEnum):
    """What time series are grouped by."""

    TASK = "task"
    QUEUE = "queue"
    SERVER = "server"


_KEPT: Final = {
    Granularity.SECOND: timedelta(minutes=15),
    Granularity.MINUTE: timedelta(days=2),
    Granularity.HOUR: timedelta(days=60),
    Granularity.DAY: timedelta(days=3 * 365),
}


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Where values lie, in seconds; read from a histogram, so off by at most a tenth."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of_histogram(cls, sizes: Sequence[int]) -> "Percentiles | None":
        """From a histogram as rollup.sql describes it; None if it is empty."""
        total = sum(sizes)
        if total <= 0:
            return None
        return cls(*(_quantile(sizes, total * part) for part in (0.50, 0.95, 0.99)))


def _quantile(sizes: Sequence[int], rank: float) -> float:
    """The value that `rank` of the values do not exceed, taking those of one slot as evenly spread in it."""
    sums = list(accumulate(sizes))
    slot = bisect_left(sums, rank)
    below = sums[slot] - sizes[slot]
    upper = _FIRST_BOUND_SECONDS * _GROWTH**slot
    lower = upper / _GROWTH if slot else 0.0
    return lower + (upper - lower) * (rank - below) / sizes[slot]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTotals:
    """What happened to jobs in some stretch of time."""

    succeeded: int = 0
    failed: int = 0
    """Jobs that became FAILED."""
    retried: int = 0
    """Failed attempts that were followed by another."""
    cancelled: int = 0
    enqueued: int = 0
    """New jobs."""

    @property
    def failure_rate(self) -> float | None:
        """Part of the jobs that ended which failed, 0 to 1; None when none ended."""
        ended = self.succeeded + self.failed
        return self.failed / ended if ended else None


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One step of a time series."""

    starts_at: datetime
    totals: JobTotals
    duration: Percentiles | None
    """Of the runs that ended in this step; None: none did."""
    latency: Percentiles | None
    """How long their jobs had been ready when those runs began."""


@dataclass(frozen=True, slots=True)
class TaskStatistics:
    """What a task's jobs came to in some stretch of time."""

    task: str
    totals: JobTotals
    duration: Percentiles | None
    latency: Percentiles | None
    unfinished: int
    """Jobs that wait or run now."""


@dataclass(frozen=True, slots=True)
class QueueActivity:
    """What a queue's jobs came to in some stretch of time."""

    queue: str
    totals: JobTotals
    duration: Percentiles | None
    latency: Percentiles | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatistics:
    """All jobs in numbers, as of one moment."""

    as_of: datetime
    states: Mapping[JobState, int]
    """Number of jobs by state, for every state."""
    waiting: Mapping[str, int]
    """Enqueued jobs that do not run, by queue; without the queues that have none."""
    overdue: int
    """Due scheduled and retrying jobs that no worker has released yet; counted up to 1,000."""
    totals: JobTotals
    """Since the beginning, pruned jobs included."""
    servers: int
    """Servers there are, silent ones included."""
    silent_servers: int
    recurring: int
    """Recurring jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedTask:
    """A task of which no job starts."""

    task: str
    paused_at: datetime
    paused_by: str | None
    note: str | None
    """The reason given by the user who paused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """A queue and its waiting jobs."""

    name: str
    waiting: int
    running: int
    scheduled: int
    retrying: int
    oldest_ready_at: datetime | None
    """When the longest waiting of its first 100 jobs (by creation) became ready; None if none waits."""
    latency_seconds: float | None
    """How long that is ago."""
    paused_at: datetime | None
    paused_by: str | None
    paused_note: str | None
    """The reason given by the user who paused it."""
    concurrency_limit: int | None
    """Limit of concurrent jobs on all servers together."""
    weight: float
    """Its share of claims among the queues of one priority."""
    changed_at: datetime | None
    """When it was last paused, resumed, limited or weighed; None: never."""
    changed_by: str | None
    """By whom, if the caller named a user."""
    servers: int
    """Servers that serve it and are not silent."""
    unknown_tasks: tuple[str, ...] = ()
    """Tasks of jobs that wait in it and that none of these servers knows: they wait until one does."""
    paused_tasks: tuple[PausedTask, ...] = ()
    """Paused tasks of jobs that wait in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job that a server runs."""

    id: BackgroundJobId
    task: str
    queue: str
    user_id: str | None
    started_at: datetime | None
    progress: Progress | None


class ServerCommand(StrEnum):
    """What an operator can ask of a server."""

    QUIET = "quiet"
    """Start no more jobs; those that run go on."""
    STOP = "stop"
    """Start no more jobs, let those that run end, and end: as on SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """A worker server."""

    name: str
    host: str
    process_id: int
    version: str
    """Of Bulkport."""
    queues: tuple[str, ...] | None
    """Those it serves; None: all."""
    concurrency: int
    memory_bytes: int | None
    """Resident, at its last heartbeat."""
    memory_minutes: tuple[int, ...]
    """The same, once a minute for the last two hours, the latest last."""
    loop_lag_seconds: float | None
    """The longest time that its event loop was late since the heartbeat before; None: not known."""
    wanted: ServerCommand | None
    """The operator's command; None if it runs jobs."""
    wanted_by: str | None
    started_at: datetime
    last_heartbeat: datetime
    heartbeat_age_seconds: float
    """Since its last heartbeat."""
    is_silent: bool
    """It has not been heard of for so long that others take its jobs over, unless it has just come back."""
    running: tuple[RunningJob, ...]
    """Longest running first."""


def task_granularity(window: timedelta) -> Granularity:
    """The finest granularity in which `window` is at most some 200 steps."""
    for granularity in (Granularity.SECOND, Granularity.MINUTE, Granularity.HOUR):
        if window <= min(granularity.retention, 200 * granularity.step):
            return granularity
    return Granularity.DAY


def steps_between(since: datetime, until: datetime, granularity: Granularity) -> int:
    """How many steps a series over this stretch has at most."""
    return math.ceil((until - since) / granularity.step) + 1
