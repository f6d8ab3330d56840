"""What the first page shows of background jobs and imports."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.charts import BarChart, LineChart, Series, bars, lines
from bulkport.dashboard.core.formatting import NOTHING, duration, number, plural
from bulkport.dashboard.core.page import PageRequest
from bulkport.dashboard.pages.overview import ImportInFlight, ListedJob, Overview, ReadOverview, Tile
from bulkport.imports.admin import UNFINISHED, ImportFilter, OperatedImports
from bulkport.jobs.inspect import Looking
from bulkport.jobs.job import JobState
from bulkport.jobs.reading.details import JobSummary
from bulkport.jobs.reading.metrics import (
    Granularity,
    JobStatistics,
    QueueStatus,
    RunningJob,
    SeriesPoint,
    ServerStatus,
)
from bulkport.jobs.reading.query import JobQuery, JobSort

_REALTIME_SECONDS: Final = 90
_RATE_SECONDS: Final = 10
_PERIODS: Final = {"day": timedelta(days=1), "week": timedelta(days=7)}
_LATENCY_MINUTES: Final = 60
_MOST_LISTED: Final = 6
_KEPT_SECONDS: Final = 10.0
_NOTE_CHARACTERS: Final = 300


def read_overview(jobs: Looking, imports: OperatedImports | None = None) -> ReadOverview:
    """Reads the overview; what changes slowly is read for all viewers together.

    Parameters
    ----------
    imports:
        None: the application has none.
    """

    async def read_history(period: str) -> list[SeriesPoint]:
        now = (await jobs.statistics()).as_of
        return await jobs.series(Granularity.HOUR, now - _PERIODS[period] + timedelta(hours=1), until=now)

    async def read_minutes(minutes: int) -> list[SeriesPoint]:
        now = (await jobs.statistics()).as_of
        since = now - timedelta(minutes=minutes - 1)
        return await jobs.series(Granularity.MINUTE, since, until=now, percentiles=True)

    history = TTLCache(read_history, seconds=_KEPT_SECONDS)
    latency = TTLCache(read_minutes, seconds=_KEPT_SECONDS)

    async def read(request: PageRequest) -> Overview:
        period = request.query.choice("period", list(_PERIODS), "day")
        # Before the moment is taken: these may need a connection of their own.
        ended = await history.get(period)
        minutes = await latency.get(_LATENCY_MINUTES)
        async with jobs.reader.at_one_moment() as now:
            statistics = await now.statistics()
            # The second that goes on is left out: half of it would look like a slump.
            seconds = await now.series(
                Granularity.SECOND,
                statistics.as_of - timedelta(seconds=_REALTIME_SECONDS),
                until=statistics.as_of - timedelta(seconds=1),
            )
            servers = await now.servers()
            queues = await now.queues()
            failed = await now.search(JobQuery(states={JobState.FAILED}, sort=JobSort.FINISHED), limit=_MOST_LISTED)
        return Overview(
            tiles=_tiles(statistics, queues, servers, seconds, minutes),
            realtime=_realtime(seconds),
            history=_history(ended, period),
            latency=_latency(minutes),
            failed_last=[_failed(job) for job in failed.items],
            running=_running(servers),
            imports=None if imports is None else await _in_flight(imports),
        )

    return read


def _tiles(
    statistics: JobStatistics,
    queues: Sequence[QueueStatus],
    servers: Sequence[ServerStatus],
    seconds: Sequence[SeriesPoint],
    minutes: Sequence[SeriesPoint],
) -> list[Tile]:
    states = statistics.states
    oldest = max((one.latency_seconds for one in queues if one.latency_seconds is not None), default=None)
    alive = [server for server in servers if not server.is_silent]
    lately = seconds[-_RATE_SECONDS:]
    rate = sum(point.totals.succeeded for point in lately) / max(1, len(lately))
    failed = sum(point.totals.failed for point in minutes)
    waits = next((point.latency for point in reversed(minutes) if point.latency is not None), None)

    def of_state(state: JobState, note: str, *, is_bad: bool = False) -> Tile:
        fields = (("state", state.value),)
        return Tile(state.value.capitalize(), number(states[state]), note, "jobs", fields, is_bad)

    return [
        of_state(JobState.ENQUEUED, f"oldest waits {duration(oldest)}" if oldest is not None else "nothing waits"),
        of_state(JobState.PROCESSING, f"of {plural(sum(server.concurrency for server in alive), 'slot')}"),
        of_state(JobState.SCHEDULED, f"{number(states[JobState.RETRYING])} to be retried"),
        of_state(JobState.SUCCEEDED, f"{number(round(rate, 1))} a second"),
        of_state(JobState.FAILED, f"+{number(failed)} in the last hour", is_bad=states[JobState.FAILED] > 0),
        Tile(
            "Pickup",
            NOTHING if waits is None else duration(waits.p50),
            "no job began in the last hour" if waits is None else f"p99 {duration(waits.p99)}",
        ),
        Tile(
            "Servers",
            number(len(alive)),
            f"{number(statistics.silent_servers)} silent"
            if statistics.silent_servers
            else "all alive"
            if alive
            else "",
            "servers",
            is_bad=statistics.silent_servers > 0 or not alive,
        ),
    ]


def _ended(points: Sequence[SeriesPoint], *, is_filled: bool = False) -> list[Series]:
    return [
        Series("succeeded", [point.totals.succeeded for point in points], "ok", is_filled=is_filled),
        Series("failed", [point.totals.failed for point in points], "bad", is_dashed=True),
    ]


def _realtime(points: Sequence[SeriesPoint]) -> LineChart:
    last = len(points) - 1
    labels = [(index, f"-{last - index} s" if index < last else "now") for index in range(last % 30, last + 1, 30)]
    # Named by the clock: a second keeps its name while the graph moves on.
    return lines([f"{point.starts_at:%H:%M:%S}" for point in points], _ended(points, is_filled=True), x_labels=labels)


def _history(points: Sequence[SeriesPoint], period: str) -> BarChart:
    names = [f"{point.starts_at:%a %d %b %H:%M}" for point in points]
    if period == "week":
        labels = [(index, f"{point.starts_at:%a}") for index, point in enumerate(points) if point.starts_at.hour == 0]
    else:
        labels = [
            (index, f"{point.starts_at:%H:%M}") for index, point in enumerate(points) if point.starts_at.hour % 4 == 0
        ]
    return bars(names, _ended(points), x_labels=labels)


def _latency(points: Sequence[SeriesPoint]) -> LineChart:
    waits = [point.latency for point in points]
    series = [
        Series("p99", [None if one is None else round(one.p99 * 1000, 2) for one in waits], "warn", is_dashed=True),
        Series("p50", [None if one is None else round(one.p50 * 1000, 2) for one in waits]),
    ]
    labels = [(index, f"{point.starts_at:%H:%M}") for index, point in enumerate(points) if index % 15 == 0]
    return lines([f"{point.starts_at:%H:%M}" for point in points], series, x_labels=labels)


def _failed(job: JobSummary) -> ListedJob:
    error = ": ".join(part for part in (job.error_type, job.error) if part)
    return ListedJob(
        int(job.id),
        job.task,
        error[:_NOTE_CHARACTERS],
        job.finished_at or job.created_at,
        plural(job.failures, "attempt"),
    )


def _running(servers: Sequence[ServerStatus]) -> list[ListedJob]:
    found = [
        ListedJob(int(job.id), job.task, _note(job), job.started_at or server.last_heartbeat, server.name)
        for server in servers
        for job in server.running
    ]
    return sorted(found, key=lambda job: job.at)[:_MOST_LISTED]


def _note(job: RunningJob) -> str:
    if job.progress is None:
        return job.queue
    done = f"{number(job.progress.done)} of {number(job.progress.total)}" if job.progress.total else ""
    return " · ".join(part for part in (done, job.progress.message) if part)[:_NOTE_CHARACTERS] or job.queue


async def _in_flight(imports: OperatedImports) -> list[ImportInFlight]:
    found = await imports.find(ImportFilter(statuses=UNFINISHED), limit=_MOST_LISTED)
    return [
        ImportInFlight(
            job.id,
            job.resource,
            job.user_id,
            job.format,
            job.processed_count,
            job.failure_count,
            job.total_records,
            job.rows_per_second,
            job.eta_seconds,
        )
        for job in found.items
    ]
