"""The queues pages: waiting jobs and why they wait, charts, and the actions pause, resume and limit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.language import n, t
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Section
from bulkport.dashboard.core.table import Column, Sorting, page_of
from bulkport.dashboard.pages.activity import ActivityReader, latency_chart
from bulkport.dashboard.pages.periods import chosen_period, period_tabs
from bulkport.dashboard.pages.waiting import reason_for_waiting
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.port.metrics import Granularity, QueueActivity, QueueStatus, SeriesGroup, SeriesPoint

_COLUMNS: Final = (
    Column("Queue", "name"),
    Column("State"),
    Column("Waiting", "waiting", is_number=True),
    Column("Running", "running", is_number=True),
    Column("Scheduled", "scheduled", is_number=True, is_minor=True, is_lesser=True),
    Column("Retrying", "retrying", is_number=True, is_minor=True, is_lesser=True),
    Column("Oldest job", "oldest", is_number=True),
    Column("p95 wait", "p95", is_number=True, is_minor=True, is_lesser=True),
    Column("Throughput", "throughput", is_number=True, is_minor=True, is_lesser=True),
    Column("Time to drain", "drain", is_number=True),
    Column("Limit"),
    Column(""),
)
_SPARK_MINUTES: Final = 30
_SPARK_SECONDS: Final = 10.0
_MOST_SPARKS: Final = 500
"""Queues beyond which their throughput over time is not read: it is a row for each queue and minute."""
_LEAST_FILTERED: Final = 12
"""Queues from which on a field narrows them down by name."""
_MAX_LIMIT: Final = 100_000
_LATELY: Final = timedelta(minutes=5)
_CACHE_SECONDS: Final = 3.0
_MAX_NOTE: Final = 200
_MAX_READERS: Final = 200


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue with its recent activity."""

    status: QueueStatus
    reason: str
    """Why its jobs wait, beyond their turn; empty if nothing keeps them."""
    per_minute: float
    """Jobs that ended a minute, lately."""
    p95_seconds: float | None
    """What 95 % of the jobs that started lately waited at most."""
    drained_seconds: float | None
    """How long the waiting jobs take at that rate; None: nothing waits, or nothing ends."""
    minutes: Sequence[int] = ()
    """Jobs that ended in each of the last minutes, the latest last; empty: none did, or it is not known."""


_SORTED_BY: Final[Mapping[str, Callable[[QueueRow], float | str]]] = {
    "name": lambda row: row.status.name,
    "waiting": lambda row: row.status.waiting,
    "running": lambda row: row.status.running,
    "scheduled": lambda row: row.status.scheduled,
    "retrying": lambda row: row.status.retrying,
    "oldest": lambda row: row.status.latency_seconds or 0,
    "p95": lambda row: row.p95_seconds or 0,
    "throughput": lambda row: row.per_minute,
    "drain": lambda row: row.drained_seconds or 0,
}


def queues_component(jobs: JobCalls) -> Component:
    """The list, the page of one, and the actions `queues/pause`, `queues/resume` and `queues/limit`.

    Their forms have the field `queue`; that of the limit has a field `limit-` with the queue's name, which is a number
    or empty for no limit.
    """

    async def read_activity(_: None) -> Sequence[QueueActivity]:
        return await jobs.queue_activity(_LATELY)

    async def read_minutes(_: None) -> Mapping[str, Sequence[SeriesPoint]]:
        now = datetime.now(UTC)
        since = now - timedelta(minutes=_SPARK_MINUTES - 1)
        return await jobs.series_by(SeriesGroup.QUEUE, Granularity.MINUTE, since, until=now)

    lately = TTLCache(read_activity, seconds=_CACHE_SECONDS)
    minutes = TTLCache(read_minutes, seconds=_SPARK_SECONDS)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        queues: Sequence[QueueStatus] = await jobs.queues()
        activity = {one.queue: one for one in await lately.get(None)}
        ended = await minutes.get(None) if len(queues) <= _MOST_SPARKS else {}
        text = request.query.get("text").lower()
        sorting = Sorting.of(request, list(_SORTED_BY), "name", rising=("name",))
        rows = [
            _row(queue, activity.get(queue.name), ended.get(queue.name, ()))
            for queue in queues
            if text in queue.name.lower()
        ]
        rows.sort(key=_SORTED_BY[sorting.key], reverse=sorting.descending)
        shown, paging = page_of(request, rows)
        return {
            "queues": shown,
            "count": len(rows),
            "columns": _COLUMNS,
            "sorting": sorting,
            "paging": paging,
            "is_filtered": bool(text) or len(queues) >= _LEAST_FILTERED,
        }

    readers: dict[str, ActivityReader] = {}

    async def load_one(request: PageRequest) -> Mapping[str, Any]:
        name: str = request.params["queue"]
        queue = next((one for one in await jobs.queues() if one.name == name), None)
        if queue is None:
            raise PageNotFound(t("Queue {queue} has no jobs and no worker.", queue=name))
        activity = {one.queue: one for one in await lately.get(None)}
        period = chosen_period(request)
        if len(readers) >= _MAX_READERS:
            readers.clear()
        reader = readers.setdefault(name, ActivityReader(jobs, queue=name))
        points = await reader.latencies(period)
        return {
            "row": _row(queue, activity.get(name)),
            "servers": [one for one in await jobs.servers() if one.queues is None or name in one.queues],
            "windows": period_tabs(request, period),
            "activity": await reader.read(request, period),
            "latencies": latency_chart(points, period),
            "durations": latency_chart(points, period, of_duration=True),
        }

    return Component(
        section=Section("queues", "Queues", "queues"),
        pages=[
            Page("queues", "queues.html", load, section="queues"),
            Page("queues/{queue:path}", "queue.html", load_one, section="queues", every=3.0),
        ],
        actions=[
            _action("pause", "Pause queue", _pause(jobs), _pause_question),
            _action("resume", "Resume queue", _resume(jobs)),
            _action("limit", "Set limit", _limit(jobs)),
        ],
    )


def _row(queue: QueueStatus, activity: QueueActivity | None, minutes: Sequence[SeriesPoint] = ()) -> QueueRow:
    ended = 0 if activity is None else activity.totals.succeeded + activity.totals.failed
    rate = ended / _LATELY.total_seconds()
    latency = None if activity is None else activity.latency
    return QueueRow(
        queue,
        reason_for_waiting(queue),
        per_minute=60 * rate,
        p95_seconds=None if latency is None else latency.p95,
        drained_seconds=queue.waiting / rate if rate and queue.waiting and queue.paused_at is None else None,
        minutes=[point.totals.succeeded + point.totals.failed for point in minutes],
    )


Control = Callable[[str, ActionRequest], Awaitable[str]]
"""Does something to the queue of a name; gives the message about it."""


def _action(
    name: str,
    label: str,
    control: Control,
    question: Callable[[ActionRequest], Awaitable[str]] | None = None,
) -> Action:
    async def run(request: ActionRequest) -> Done:
        queue = _queue(request)
        try:
            return Done(await control(queue, request), target=f"queue {queue}")
        except ValueError as error:
            raise ActionRefused(t("Not possible: {reason}.", reason=error)) from None

    return Action(f"queues/{name}", label, run, question, asks_for_note=name == "pause")


def _pause(jobs: JobCalls) -> Control:
    async def pause(queue: str, request: ActionRequest) -> str:
        note = request.form.get("note", "").strip()[:_MAX_NOTE] or None
        await jobs.pause_queue(queue, actor=request.viewer.name, note=note)
        return t("Paused {queue}. Running jobs will finish.", queue=queue)

    return pause


async def _pause_question(request: ActionRequest) -> str:
    return t("Pause queue {queue}? Running jobs will finish; no new ones start.", queue=_queue(request))


def _resume(jobs: JobCalls) -> Control:
    async def resume(queue: str, request: ActionRequest) -> str:
        await jobs.resume_queue(queue, actor=request.viewer.name)
        return t("Resumed {queue}.", queue=queue)

    return resume


def _limit(jobs: JobCalls) -> Control:
    async def limit(queue: str, request: ActionRequest) -> str:
        text = request.form.get(f"limit-{queue}", "").strip()
        if not text:
            await jobs.limit_queue(queue, None, actor=request.viewer.name)
            return t("Removed the limit on {queue}.", queue=queue)
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= _MAX_LIMIT):
            raise ActionRefused(t("Enter a number from 1 to 100,000. To run no jobs, pause the queue."))
        await jobs.limit_queue(queue, int(text), actor=request.viewer.name)
        return n(
            int(text),
            "Limited {queue} to {count} concurrent job.",
            "Limited {queue} to {count} concurrent jobs.",
            queue=queue,
        )

    return limit


def _queue(request: ActionRequest) -> str:
    queue = request.form.get("queue", "")
    if not queue or "\0" in queue:
        raise ActionRefused(t("No queue selected."))
    return queue
