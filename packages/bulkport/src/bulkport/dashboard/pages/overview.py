"""The overview page: what needs attention, key metrics and the latest failures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.charts import BarChart, LineChart, Series, lines
from bulkport.dashboard.core.formatting import (
    NOTHING,
    duration,
    elapsed,
    number,
)
from bulkport.dashboard.core.language import n, t
from bulkport.dashboard.core.page import Page, PageRequest
from bulkport.dashboard.pages.activity import (
    ActivityCharts,
    ActivityReader,
    group_tabs,
    latency_chart,
    marks_of_servers,
)
from bulkport.dashboard.pages.attention import (
    Attention,
    attention_to_disks,
    attention_to_failures,
    attention_to_imports,
    attention_to_queues,
    attention_to_recurring,
    attention_to_servers,
    unfinished_imports,
)
from bulkport.dashboard.pages.failure_groups import FailureGroups, read_failure_groups
from bulkport.dashboard.pages.imported_rows import ImportedRowsReader
from bulkport.dashboard.pages.muted_failures import MutedFailures
from bulkport.dashboard.pages.periods import chosen_period, period_tabs
from bulkport.dashboard.pages.waiting import reason_for_waiting
from bulkport.imports.admin import OperatedImport, OperatedImports
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState
from bulkport.jobs.port.metrics import (
    Granularity,
    JobStatistics,
    QueueStatus,
    RunningJob,
    SeriesPoint,
    ServerStatus,
)
from bulkport.jobs.port.recurring import RecurringJob
from bulkport.limits import ImportLimits

_REALTIME_SECONDS: Final = 90
_RATE_SECONDS: Final = 10
_RECENT_MINUTES: Final = 60
_MAX_LISTED: Final = 6
_MAX_RECURRING: Final = 500
_CACHE_SECONDS: Final = 10.0
_FAILURES_SECONDS: Final = 3.0
_NOTE_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Tile:
    """One number with its name and a note: `1,272`, `Enqueued`, `oldest: 9m 49s`."""

    label: str
    value: str
    note: str = ""
    path: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    """Of the query of the page that it leads to."""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job in the list of running ones."""

    job_id: int
    task: str
    note: str
    """Its progress, or its queue."""
    at: datetime
    """When it started."""
    server: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows. An application without jobs or imports leaves out their parts (None)."""

    attention: Sequence[Attention] = ()
    tiles: Sequence[Tile] = field(default_factory=tuple)
    throughput: LineChart | None = None
    """Succeeded and failed a second."""
    activity: ActivityCharts | None = None
    latency: LineChart | None = None
    imported: BarChart | None = None
    """Rows that imports brought."""
    failures: FailureGroups | None = None
    running: Sequence[ListedJob] | None = None
    running_in_all: int = 0
    imports: Sequence[OperatedImport] | None = None
    imports_in_all: int = 0
    periods: Sequence[tuple[str, str, bool]] = ()
    groups: Sequence[tuple[str, str, bool]] = ()
    queues: Sequence[QueueStatus] = ()
    """The busiest."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why jobs of a queue wait."""


class OverviewReader:
    """Reads the overview; slowly changing parts are read once for all viewers.

    Parameters
    ----------
    imports:
        None: the application has none.
    muted:
        Failures that are not listed.
    limits:
        Gives the disks and how much room each must have; None: none is looked at.
    """

    def __init__(
        self,
        jobs: JobCalls,
        imports: OperatedImports | None = None,
        muted: MutedFailures | None = None,
        limits: ImportLimits | None = None,
    ) -> None:
        self._jobs = jobs
        self._muted = muted
        self._limits = limits
        self._disks = TTLCache(self._read_disks, seconds=_CACHE_SECONDS)
        self._imports = imports
        self._minutes = TTLCache(self._read_minutes, seconds=_CACHE_SECONDS)
        self._failures = TTLCache(self._read_failures, seconds=_FAILURES_SECONDS)
        self._recurring = TTLCache(self._read_recurring, seconds=_CACHE_SECONDS)
        self._started = TTLCache(self._read_servers, seconds=_CACHE_SECONDS)
        self._activity = ActivityReader(jobs)
        self._imported = None if imports is None else ImportedRowsReader(imports)

    async def attention(self) -> list[Attention]:
        """What needs attention now, the worst first."""
        minutes = await self._minutes.get(_RECENT_MINUTES)
        recurring = await self._recurring.get(None)
        imports = await unfinished_imports(self._imports)
        disks = await self._disks.get(None)
        async with self._jobs.reader.at_one_moment() as reader:
            statistics = await reader.statistics()
            servers, queues = await reader.servers(), await reader.queues()
        return _attention(statistics.as_of, queues, servers, recurring, minutes, imports, disks)

    async def read(self, request: PageRequest) -> Overview:
        """The overview, with charts of the period that the address asks for."""
        period = chosen_period(request)
        # Before the snapshot is taken, because these may need another connection.
        activity = await self._activity.read(request, period, marks_of_servers(await self._started.get(None)))
        latencies = await self._activity.latencies(period)
        imported = None if self._imported is None else await self._imported.chart(period)
        minutes = await self._minutes.get(_RECENT_MINUTES)
        recurring = await self._recurring.get(None)
        failures = await self._failures.get(None)
        imports = await unfinished_imports(self._imports)
        disks = await self._disks.get(None)
        async with self._jobs.reader.at_one_moment() as reader:
            statistics = await reader.statistics()
            # The current second is omitted, because an incomplete one would look like a slump.
            seconds = await reader.series(
                Granularity.SECOND,
                statistics.as_of - timedelta(seconds=_REALTIME_SECONDS),
                until=statistics.as_of - timedelta(seconds=1),
            )
            servers = await reader.servers()
            queues = await reader.queues()
        running = _running(servers)
        return Overview(
            attention=_attention(statistics.as_of, queues, servers, recurring, minutes, imports, disks),
            tiles=_tiles(statistics, queues, servers, seconds, minutes),
            throughput=_throughput(seconds),
            activity=activity,
            latency=latency_chart(latencies, period),
            imported=imported,
            failures=failures,
            running=running[:_MAX_LISTED],
            running_in_all=len(running),
            imports=None if self._imports is None else imports[:_MAX_LISTED],
            imports_in_all=len(imports),
            periods=period_tabs(request, period),
            groups=group_tabs(request),
            queues=sorted(queues, key=lambda queue: -queue.waiting - queue.running)[:_MAX_LISTED],
            reasons={queue.name: reason_for_waiting(queue) for queue in queues},
        )

    async def _read_minutes(self, minutes: int) -> list[SeriesPoint]:
        now = (await self._jobs.statistics()).as_of
        since = now - timedelta(minutes=minutes - 1)
        return await self._jobs.series(Granularity.MINUTE, since, until=now, percentiles=True)

    async def _read_disks(self, _: None) -> Sequence[Attention]:
        return [] if self._limits is None else await asyncio.to_thread(attention_to_disks, self._limits)

    async def _read_servers(self, _: None) -> Sequence[ServerStatus]:
        return await self._jobs.servers()

    async def _read_failures(self, _: None) -> FailureGroups:
        return await read_failure_groups(self._jobs, () if self._muted is None else await self._muted.keys())

    async def _read_recurring(self, _: None) -> Sequence[RecurringJob]:
        return await self._jobs.recurring.list(is_overdue=True, limit=_MAX_RECURRING)


ReadOverview = Callable[[PageRequest], Awaitable[Overview]]


def overview_page(read: ReadOverview) -> Page:
    """The page with the result of `read`."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        return {"overview": await read(request)}

    return Page("", "overview.html", load, section="overview")


def _attention(  # noqa: PLR0917 # one source a condition
    now: datetime,
    queues: Sequence[QueueStatus],
    servers: Sequence[ServerStatus],
    recurring: Sequence[RecurringJob],
    minutes: Sequence[SeriesPoint],
    imports: Sequence[OperatedImport],
    disks: Sequence[Attention],
) -> list[Attention]:
    found = [
        *attention_to_servers(servers),
        *attention_to_queues(queues, now),
        *attention_to_failures(minutes),
        *attention_to_recurring(recurring, now),
        *attention_to_imports(imports),
        *disks,
    ]
    return sorted(found, key=lambda one: not one.is_bad)


def _tiles(
    statistics: JobStatistics,
    queues: Sequence[QueueStatus],
    servers: Sequence[ServerStatus],
    seconds: Sequence[SeriesPoint],
    minutes: Sequence[SeriesPoint],
) -> list[Tile]:
    states = statistics.states
    alive = [server for server in servers if not server.is_silent]
    slots = sum(server.concurrency for server in alive)
    lately = seconds[-_RATE_SECONDS:]
    rate = sum(point.totals.succeeded for point in lately) / max(1, len(lately))
    failed = sum(point.totals.failed for point in minutes)
    waits = next((point.latency for point in reversed(minutes) if point.latency is not None), None)

    def of_state(state: JobState, label: str, note: str, *, is_bad: bool = False) -> Tile:
        return Tile(label, number(states[state]), note, "jobs", (("state", state.value),), is_bad)

    return [
        of_state(JobState.ENQUEUED, t("Enqueued"), _oldest(queues)),
        of_state(JobState.PROCESSING, t("Running"), n(slots, "of {count} slot", "of {count} slots")),
        of_state(JobState.SCHEDULED, t("Scheduled"), t("{count} retrying", count=number(states[JobState.RETRYING]))),
        of_state(JobState.SUCCEEDED, t("Succeeded"), f"{number(round(rate, 1))}/s"),
        of_state(
            JobState.FAILED,
            t("Failed"),
            t("{count} in the last hour", count=number(failed)),
            is_bad=states[JobState.FAILED] > 0,
        ),
        Tile(
            t("Queue latency (median)"),
            NOTHING if waits is None else duration(waits.p50),
            t("no jobs in the last hour") if waits is None else f"p99 {duration(waits.p99)}",
        ),
        Tile(
            t("Servers"),
            number(len(alive)),
            t("{count} not responding", count=number(statistics.silent_servers))
            if statistics.silent_servers
            else t("all online")
            if alive
            else t("no workers"),
            "servers",
            is_bad=statistics.silent_servers > 0 or not alive,
        ),
    ]


def _oldest(queues: Sequence[QueueStatus]) -> str:
    """How long the oldest waiting job waits, and why."""
    waiting = [queue for queue in queues if queue.latency_seconds is not None]
    if not waiting:
        return t("queue is empty")
    oldest = max(waiting, key=lambda queue: queue.latency_seconds or 0)
    note = t("oldest: {age}", age=elapsed(oldest.latency_seconds or 0))
    reason = reason_for_waiting(oldest)
    return t("{note} ({queue}: {reason})", note=note, queue=oldest.name, reason=reason) if reason else note


def _throughput(points: Sequence[SeriesPoint]) -> LineChart:
    last = len(points) - 1
    labels = [
        (index, f"\N{MINUS SIGN}{last - index} s" if index < last else t("now"))
        for index in range(last % 30, last + 1, 30)
    ]
    # Named by the clock: a second keeps its name while the graph moves on.
    return lines(
        [f"{point.starts_at:%H:%M:%S}" for point in points],
        [
            Series("succeeded", [point.totals.succeeded for point in points], "ok", is_filled=True),
            Series("failed", [point.totals.failed for point in points], "bad", is_dashed=True),
        ],
        x_labels=labels,
    )


def _running(servers: Sequence[ServerStatus]) -> list[ListedJob]:
    found = [
        ListedJob(int(job.id), job.task, _note(job), job.started_at or server.last_heartbeat, server.name)
        for server in servers
        for job in server.running
    ]
    return sorted(found, key=lambda job: job.at)


def _note(job: RunningJob) -> str:
    if job.progress is None:
        return job.queue
    done = ""
    if job.progress.total:
        done = t("{done} of {total}", done=number(job.progress.done), total=number(job.progress.total))
    return " · ".join(part for part in (done, job.progress.message) if part)[:_NOTE_CHARACTERS] or job.queue
