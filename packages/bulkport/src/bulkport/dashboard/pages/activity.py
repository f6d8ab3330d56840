"""Activity charts: finished jobs over a period compared with the previous one, and queue latency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.charts import HEIGHT, BarChart, LineChart, Series, bars, lines
from bulkport.dashboard.core.formatting import axis_duration, nice_duration_ceiling
from bulkport.dashboard.core.language import n, t
from bulkport.dashboard.core.page import PageRequest
from bulkport.dashboard.pages.periods import PERIODS, BarTotals, Period, in_bars
from bulkport.jobs.inspect import InspectCalls
from bulkport.jobs.port.metrics import Percentiles, SeriesGroup, SeriesPoint, ServerStatus

_CACHE_SECONDS: Final = 10.0
_FAILED_HEIGHT: Final = 110
_MAX_GROUPS: Final = 6
_TOGETHER: Final = timedelta(minutes=2)
_MIN_AXIS_SECONDS: Final = 0.004


@dataclass(frozen=True, slots=True)
class ActivityCharts:
    """Jobs that ended over a period. Failures have a scale of their own: beside many successes they vanish."""

    succeeded: BarChart
    failed: BarChart


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that charts mark."""

    at: datetime
    label: str


def marks_of_servers(servers: Sequence[ServerStatus]) -> list[Mark]:
    """Start times of servers, grouped within two minutes: deployments."""
    marks: list[Mark] = []
    started = sorted(servers, key=lambda server: server.started_at)
    while started:
        first = started[0]
        together = [one for one in started if one.started_at - first.started_at < _TOGETHER]
        started = started[len(together) :]
        versions = ", ".join(sorted({one.version for one in together}))
        label = n(
            len(together),
            "{count} server started (version {versions})",
            "{count} servers started (version {versions})",
            versions=versions,
        )
        marks.append(Mark(first.started_at, label))
    return marks


@dataclass(frozen=True, slots=True)
class BarLink:
    """Where a bar leads: to the jobs that ended while it lasts."""

    href: str
    since: str
    until: str


class ActivityReader:
    """Reads the numbers behind the charts; each period once in some seconds for all viewers.

    Parameters
    ----------
    task, queue:
        Of this task or queue only.
    """

    def __init__(self, jobs: InspectCalls, task: str | None = None, queue: str | None = None) -> None:
        self._jobs = jobs
        self._task = task
        self._queue = queue
        self._ended = TTLCache(self._read_ended, seconds=_CACHE_SECONDS)
        self._groups = TTLCache(self._read_groups, seconds=_CACHE_SECONDS)
        self._latencies = TTLCache(self._read_latencies, seconds=_CACHE_SECONDS)

    async def read(self, request: PageRequest, period: Period, marks: Sequence[Mark] = ()) -> ActivityCharts:
        """The charts of a period, their bars linked to the jobs; grouped as the field `by` of the query says."""
        group = chosen_group(request)
        if group is None or self._task is not None or self._queue is not None:
            only = {"task": self._task, "queue": self._queue}
            return activity_charts(request, await self._ended.get(period.key), period, only, marks)
        return grouped_charts(request, await self._groups.get((period.key, group)), period, group, marks)

    async def _read_groups(self, key: tuple[str, SeriesGroup]) -> Mapping[str, Sequence[SeriesPoint]]:
        period = PERIODS[key[0]]
        now = (await self._jobs.statistics()).as_of
        return await self._jobs.series_by(key[1], period.granularity, now - period.length + period.bar, until=now)

    async def latencies(self, period: Period) -> Sequence[SeriesPoint]:
        """The points of a period, with durations and latencies."""
        return await self._latencies.get(period.key)

    async def _read_ended(self, key: str) -> Sequence[SeriesPoint]:
        """Of the period and the one before it."""
        period = PERIODS[key]
        now = (await self._jobs.statistics()).as_of
        since = max(now - 2 * period.length, now - period.granularity.retention) + period.bar
        return await self._jobs.series(period.granularity, since, until=now, task=self._task, queue=self._queue)

    async def _read_latencies(self, key: str) -> Sequence[SeriesPoint]:
        period = PERIODS[key]
        now = (await self._jobs.statistics()).as_of
        since = now - period.length + period.granularity.step
        return await self._jobs.series(
            period.granularity, since, until=now, task=self._task, queue=self._queue, percentiles=True
        )


def chosen_group(request: PageRequest) -> SeriesGroup | None:
    """The grouping of the charts from the address."""
    name = request.query.choice("by", list(SeriesGroup), "")
    return SeriesGroup(name) if name else None


def group_tabs(request: PageRequest) -> list[tuple[str, str, bool]]:
    """Links to the groupings."""
    chosen = chosen_group(request)
    choices = (
        (None, t("All")),
        (SeriesGroup.TASK, t("By task")),
        (SeriesGroup.QUEUE, t("By queue")),
        (SeriesGroup.SERVER, t("By server")),
    )
    return [(label, request.here(by=None if one is None else one.value), one is chosen) for one, label in choices]


def grouped_charts(
    request: PageRequest,
    groups: Mapping[str, Sequence[SeriesPoint]],
    period: Period,
    group: SeriesGroup,
    marks: Sequence[Mark] = (),
) -> ActivityCharts:
    """The charts of a period as stacks of the largest tasks, queues or servers."""
    count = int(period.length / period.bar)
    by_name = {name: in_bars(points, period.bar)[-count:] for name, points in groups.items()}
    # A group has the same colour in both charts.
    totals = {name: sum(bar.totals.succeeded + bar.totals.failed for bar in found) for name, found in by_name.items()}
    ranked = sorted(totals, key=lambda name: -totals[name])
    tones = {name: f"s{place % _MAX_GROUPS + 1}" for place, name in enumerate(ranked)}

    def chart(state: str, height: int) -> BarChart:
        values = {name: [getattr(bar.totals, state) for bar in found] for name, found in by_name.items()}
        largest = sorted((name for name in values if sum(values[name])), key=lambda name: -sum(values[name]))
        series = [Series(name, values[name], tones[name]) for name in largest[:_MAX_GROUPS]]
        if len(largest) > _MAX_GROUPS:
            rest = [sum(column) for column in zip(*(values[name] for name in largest[_MAX_GROUPS:]), strict=True)]
            series.append(Series("others", rest, "s7"))
        shown = next(iter(by_name.values()), [])
        return bars(
            [period.name_of(bar.starts_at) for bar in shown],
            series,
            x_labels=_labels(shown, period),
            links=_links(request, shown, state, {}),
            marks=_places(marks, shown),
            height=height,
        )

    return ActivityCharts(chart("succeeded", HEIGHT), chart("failed", _FAILED_HEIGHT))


def activity_charts(
    request: PageRequest,
    points: Sequence[SeriesPoint],
    period: Period,
    only: Mapping[str, str | None],
    marks: Sequence[Mark] = (),
) -> ActivityCharts:
    """The charts of a period compared with the previous one; `only` filters the linked jobs."""
    all_bars = in_bars(points, period.bar)
    count = int(period.length / period.bar)
    shown, before = all_bars[-count:], all_bars[-2 * count : -count]
    names = [period.name_of(bar.starts_at) for bar in shown]
    labels = _labels(shown, period)
    previous = [bar.totals.succeeded for bar in before]
    previous_failed = [bar.totals.failed for bar in before]
    return ActivityCharts(
        bars(
            names,
            [Series("succeeded", [bar.totals.succeeded for bar in shown], "ok")],
            x_labels=labels,
            previous=_aligned(previous, len(shown)),
            links=_links(request, shown, "succeeded", only),
            marks=_places(marks, shown),
        ),
        bars(
            names,
            [Series("failed", [bar.totals.failed for bar in shown], "bad")],
            x_labels=labels,
            previous=_aligned(previous_failed, len(shown)),
            links=_links(request, shown, "failed", only),
            height=_FAILED_HEIGHT,
        ),
    )


def latency_chart(points: Sequence[SeriesPoint], period: Period, *, of_duration: bool = False) -> LineChart:
    """How long jobs waited, or ran: median and 99th percentile, in seconds."""
    found = [point.duration if of_duration else point.latency for point in points]

    def values(of: str) -> list[float | None]:
        return [None if one is None else _percentile(one, of) for one in found]

    labels = [
        (place, period.axis_label(point.starts_at))
        for place, point in enumerate(points)
        if period.is_labelled(point.starts_at)
    ]
    return lines(
        [period.name_of(point.starts_at) for point in points],
        [
            Series("p99", values("p99"), "warn", is_dashed=True),
            Series("p95", values("p95"), "muted", is_dashed=True),
            Series("median", values("p50")),
        ],
        x_labels=labels,
        least_top=_MIN_AXIS_SECONDS,
        ceiling=nice_duration_ceiling,
        show=axis_duration,
    )


def _labels(shown: Sequence[BarTotals], period: Period) -> list[tuple[int, str]]:
    return [
        (place, period.axis_label(bar.starts_at))
        for place, bar in enumerate(shown)
        if period.is_labelled(bar.starts_at)
    ]


def _places(marks: Sequence[Mark], shown: Sequence[BarTotals]) -> list[tuple[float, str]]:
    """Where marks are among the bars; those before the first one are left out."""
    if not shown:
        return []
    first, length = shown[0].starts_at, shown[0].ends_at - shown[0].starts_at
    places = [((mark.at - first) / length, mark.label) for mark in marks]
    return [(place, label) for place, label in places if 0 <= place <= len(shown)]


def _percentile(values: Percentiles, name: str) -> float:
    return {"p50": values.p50, "p95": values.p95, "p99": values.p99}[name]


def _aligned(values: Sequence[int], count: int) -> list[float | None]:
    """The previous period's values, empty if it was not recorded."""
    return [None] * (count - len(values)) + list(values)


def _links(
    request: PageRequest, shown: Sequence[BarTotals], state: str, only: Mapping[str, str | None]
) -> list[BarLink]:
    def link(bar: BarTotals) -> BarLink:
        since, until = f"{bar.starts_at:%Y-%m-%dT%H:%M}", f"{bar.ends_at:%Y-%m-%dT%H:%M}"
        return BarLink(request.link("jobs", None, state=state, since=since, until=until, **only), since, until)

    return [link(bar) for bar in shown]
