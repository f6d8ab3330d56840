"""The tasks: how many jobs each had lately, how many failed, how long they ran; one task over time; pausing one."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Section
from bulkport.dashboard.core.table import Column, Sorting, page_of
from bulkport.dashboard.pages.activity import ActivityReader, latency_chart
from bulkport.dashboard.pages.periods import PERIODS, chosen_period, period_tabs
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.port.metrics import TaskStatistics
from bulkport.jobs.port.queueing import MOST_NAME_LENGTH

_CACHE_SECONDS: Final = 3.0
_MAX_READERS: Final = 200
_MAX_NOTE: Final = 200
_COLUMNS: Final = (
    Column("Task", "task"),
    Column("Active", "unfinished", is_number=True, is_minor=True),
    Column("Succeeded", "succeeded", is_number=True),
    Column("Failed", "failed", is_number=True),
    Column("Failure rate", "rate", is_number=True, is_minor=True),
    Column("Duration (median)", "p50", is_number=True, is_minor=True),
    Column("p95", "p95", is_number=True),
    Column("p99", "p99", is_number=True, is_minor=True),
    Column(""),
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


def tasks_component(jobs: JobCalls) -> Component:
    """The list of tasks, the page of one, and the actions `tasks/pause` and `tasks/resume` with the field `task`."""

    async def read_statistics(period: str) -> list[TaskStatistics]:
        return await jobs.task_statistics(PERIODS[period].length)

    statistics = TTLCache(read_statistics, seconds=_CACHE_SECONDS)
    readers: dict[str, ActivityReader] = {}

    async def load(request: PageRequest) -> Mapping[str, Any]:
        period = chosen_period(request)
        sorting = Sorting.of(request, list(_SORTED_BY), "task", rising=("task",))
        text = request.query.get("text").lower()
        found = [one for one in await statistics.get(period.key) if text in one.task.lower()]
        shown, paging = page_of(request, sorted(found, key=_SORTED_BY[sorting.key], reverse=sorting.descending))
        return {
            "tasks": shown,
            "paused": {one.task: one for one in await jobs.paused_tasks()},
            "count": len(found),
            "paging": paging,
            "columns": _COLUMNS,
            "sorting": sorting,
            "windows": period_tabs(request, period),
        }

    async def load_one(request: PageRequest) -> Mapping[str, Any]:
        task: str = request.params["task"]
        period = chosen_period(request)
        totals = next((one for one in await statistics.get(period.key) if one.task == task), None)
        # A task without jobs in a shorter period may well have had some in the longest.
        paused = next((one for one in await jobs.paused_tasks() if one.task == task), None)
        if totals is None and paused is None and all(one.task != task for one in await statistics.get("30d")):
            raise PageNotFound(t("Task {task} had no jobs in the last 30 days.", task=task))
        if len(readers) >= _MAX_READERS:
            readers.clear()
        reader = readers.setdefault(task, ActivityReader(jobs, task))
        points = await reader.latencies(period)
        return {
            "task": task,
            "paused": paused,
            "totals": totals,
            "windows": period_tabs(request, period),
            "activity": await reader.read(request, period),
            "durations": latency_chart(points, period, of_duration=True),
            "latencies": latency_chart(points, period),
        }

    return Component(
        section=Section("tasks", "Tasks", "tasks"),
        pages=[
            Page("tasks", "tasks.html", load, section="tasks"),
            Page("tasks/{task:path}", "task.html", load_one, section="tasks", every=3.0),
        ],
        actions=[
            Action("tasks/pause", "Pause task", _pause(jobs), _pause_question, asks_for_note=True),
            Action("tasks/resume", "Resume task", _resume(jobs)),
        ],
    )


def _pause(jobs: JobCalls) -> Callable[[ActionRequest], Awaitable[Done]]:
    async def pause(request: ActionRequest) -> Done:
        task = _task(request)
        note = request.form.get("note", "").strip()[:_MAX_NOTE] or None
        await jobs.pause_task(task, actor=request.viewer.name, note=note)
        return Done(t("Paused {task}. Running jobs will finish.", task=task), target=f"task {task}")

    return pause


async def _pause_question(request: ActionRequest) -> str:
    return t("Pause task {task}? Running jobs will finish; no new ones start, in any queue.", task=_task(request))


def _resume(jobs: JobCalls) -> Callable[[ActionRequest], Awaitable[Done]]:
    async def resume(request: ActionRequest) -> Done:
        task = _task(request)
        await jobs.resume_task(task, actor=request.viewer.name)
        return Done(t("Resumed {task}.", task=task), target=f"task {task}")

    return resume


def _task(request: ActionRequest) -> str:
    task = request.form.get("task", "")
    if not 0 < len(task) <= MOST_NAME_LENGTH or "\0" in task:
        raise ActionRefused(t("No task selected."))
    return task
