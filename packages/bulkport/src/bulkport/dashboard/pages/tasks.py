"""The tasks: how many jobs each had lately, how many failed, and how long they took; and one task over time."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.charts import LineChart, Series, bars, lines
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Section
from bulkport.dashboard.core.table import Column, Sorting
from bulkport.jobs.inspect import Looking
from bulkport.jobs.reading.metrics import Granularity, Percentiles, SeriesPoint, TaskStatistics

_WINDOWS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
_LABELS: Final = {"hour": "Hour", "day": "Day", "week": "Week"}
_STEPS: Final = {"hour": Granularity.MINUTE, "day": Granularity.HOUR, "week": Granularity.HOUR}
_KEPT_SECONDS: Final = 3.0
_COLUMNS: Final = (
    Column("Task", "task"),
    Column("Unfinished", "unfinished", is_number=True, is_minor=True),
    Column("Succeeded", "succeeded", is_number=True),
    Column("Failed", "failed", is_number=True),
    Column("Failure rate", "rate", is_number=True, is_minor=True),
    Column("p50", "p50", is_number=True, is_minor=True),
    Column("p95", "p95", is_number=True),
    Column("p99", "p99", is_number=True, is_minor=True),
)
_SORTED_BY: Final[Mapping[str, Callable[[TaskStatistics], float | str]]] = {
    "task": lambda one: one.task,
    "unfinished": lambda one: one.unfinished,
    "succeeded": lambda one: one.totals.succeeded,
    "failed": lambda one: one.totals.failed,
    "rate": lambda one: one.totals.failure_rate or 0,
    "p50": lambda one: one.duration.p50 if one.duration else 0,
    "p95": lambda one: one.duration.p95 if one.duration else 0,
    "p99": lambda one: one.duration.p99 if one.duration else 0,
}


def tasks_component(jobs: Looking) -> Component:
    """The list of tasks, and the page of one."""

    async def read_statistics(window: str) -> list[TaskStatistics]:
        return await jobs.task_statistics(_WINDOWS[window])

    statistics = TTLCache(read_statistics, seconds=_KEPT_SECONDS)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        window = _window(request)
        sorting = Sorting.of(request, list(_SORTED_BY), "task", rising=("task",))
        text = request.query.get("text").lower()
        found = [one for one in await statistics.get(window) if text in one.task.lower()]
        return {
            "tasks": sorted(found, key=_SORTED_BY[sorting.key], reverse=sorting.descending),
            "columns": _COLUMNS,
            "sorting": sorting,
            "windows": _windows(request, window),
        }

    async def load_one(request: PageRequest) -> Mapping[str, Any]:
        task: str = request.params["task"]
        window = _window(request)
        totals = next((one for one in await statistics.get(window) if one.task == task), None)
        # A task without jobs in the shorter window may well have had some in the longest.
        if totals is None and all(one.task != task for one in await statistics.get("week")):
            raise PageNotFound(f"No job of the task {task} was there in the last week.")
        now = (await jobs.statistics()).as_of
        step = _STEPS[window]
        since = now - _WINDOWS[window] + step.step
        points = await jobs.series(step, since, until=now, task=task, percentiles=True)
        positions, labels = _positions(points, window)
        return {
            "task": task,
            "totals": totals,
            "windows": _windows(request, window),
            "ended": bars(
                positions,
                [
                    Series("succeeded", [point.totals.succeeded for point in points], "ok"),
                    Series("failed", [point.totals.failed for point in points], "bad"),
                ],
                x_labels=labels,
            ),
            "durations": _percentiles(positions, [point.duration for point in points], labels),
            "latencies": _percentiles(positions, [point.latency for point in points], labels),
        }

    return Component(
        section=Section("tasks", "Tasks", "tasks"),
        pages=[
            Page("tasks", "tasks.html", load, section="tasks"),
            Page("tasks/{task:path}", "task.html", load_one, section="tasks", every=3.0),
        ],
    )


def _window(request: PageRequest) -> str:
    return request.query.choice("window", list(_WINDOWS), "day")


def _windows(request: PageRequest, window: str) -> list[tuple[str, str, bool]]:
    return [
        (label, request.here(window=None if name == "day" else name), name == window) for name, label in _LABELS.items()
    ]


def _positions(points: Sequence[SeriesPoint], window: str) -> tuple[list[str], list[tuple[int, str]]]:
    starts = [point.starts_at for point in points]
    match window:
        case "hour":
            return [f"{at:%H:%M}" for at in starts], [
                (index, f"{at:%H:%M}") for index, at in enumerate(starts) if at.minute % 10 == 0
            ]
        case "day":
            return [f"{at:%a %H:%M}" for at in starts], [
                (index, f"{at:%H:%M}") for index, at in enumerate(starts) if at.hour % 4 == 0
            ]
        case _:
            return [f"{at:%a %d %b %H:%M}" for at in starts], [
                (index, f"{at:%a}") for index, at in enumerate(starts) if at.hour == 0
            ]


def _percentiles(
    positions: Sequence[str], values: Sequence[Percentiles | None], labels: Sequence[tuple[int, str]]
) -> LineChart:
    """In milliseconds."""

    def series(label: str, of: Callable[[Percentiles], float], tone: str, *, is_dashed: bool = False) -> Series:
        return Series(
            label, [None if one is None else round(of(one) * 1000, 2) for one in values], tone, is_dashed=is_dashed
        )

    return lines(
        positions,
        [
            series("p99", lambda one: one.p99, "bad", is_dashed=True),
            series("p95", lambda one: one.p95, "warn", is_dashed=True),
            series("p50", lambda one: one.p50, "accent"),
        ],
        x_labels=labels,
    )
