"""Conditions that need an operator's attention because they do not resolve themselves."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bulkport.dashboard.core.formatting import elapsed, number, percent, size
from bulkport.dashboard.core.language import n, t
from bulkport.dashboard.core.several import exactly
from bulkport.imports.admin import UNFINISHED, ImportFilter, OperatedImport, OperatedImports
from bulkport.jobs.port.metrics import PausedTask, QueueStatus, SeriesPoint, ServerStatus
from bulkport.jobs.port.recurring import RecurringJob
from bulkport.limits import ImportLimits

_LIMITED_FOR: Final = 60.0
"""Seconds that the oldest job of a queue at its limit waits before it is worth telling."""
_MOST_TASKS: Final = 3
"""Tasks of a queue that are reported one by one."""
_RECENT_MINUTES: Final = 10
_MIN_RECENT_FAILURES: Final = 5
_RATE_FACTOR: Final = 3
_MIN_RATE: Final = 0.05
"""Failures that retries take care of are not news below this part of the jobs."""
_MAX_IMPORTS: Final = 100
_DISK_FACTOR: Final = 4
"""A disk with less than so many times the space below which uploads are refused is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One condition."""

    code: str
    """For programs: `queue_paused`, `queue_unserved`, `task_unknown`, `task_paused`, `queue_at_limit`,
    `server_silent`, `recurring_overdue`, `failure_rate`, `import_stalled` or `disk_low`."""
    subject: str
    """What it is about: the name of a queue, task, server or recurring job, or an import's id. Where no worker knows
    more than three tasks of a queue, it is the queue."""
    text: str
    detail: str = ""
    path: str = ""
    """Of the page that shows it, relative to the dashboard."""
    fields: tuple[tuple[str, str], ...] = ()
    is_bad: bool = False
    action: tuple[str, str, tuple[tuple[str, str], ...]] | None = None
    """Name, label and fields of the action that ends it."""


def attention_to_queues(queues: Sequence[QueueStatus], now: datetime) -> list[Attention]:
    """Queues with waiting jobs that do not start."""
    found: list[Attention] = []
    for queue in queues:
        if not queue.waiting:
            continue
        waiting = n(queue.waiting, "{count} job waiting", "{count} jobs waiting")
        if queue.latency_seconds is not None:
            waiting = t("{waiting}, oldest {age}", waiting=waiting, age=elapsed(queue.latency_seconds))
        path, fields = "jobs", (("state", "enqueued"), ("queue", exactly(queue.name)))
        if queue.paused_at is not None:
            age = elapsed((now - queue.paused_at).total_seconds())
            by = t("paused by {user} for {age}", user=queue.paused_by, age=age) if queue.paused_by else ""
            found.append(
                Attention(
                    code="queue_paused",
                    subject=queue.name,
                    text=t("Queue {queue} is paused", queue=queue.name),
                    detail=" · ".join(part for part in (waiting, by or t("paused for {age}", age=age)) if part),
                    path=path,
                    fields=fields,
                    action=("queues/resume", t("Resume queue"), (("queue", queue.name),)),
                )
            )
        elif not queue.servers:
            text = t("No workers for queue {queue}", queue=queue.name)
            found.append(
                Attention(
                    code="queue_unserved",
                    subject=queue.name,
                    text=text,
                    detail=waiting,
                    path=path,
                    fields=fields,
                    is_bad=True,
                )
            )
        elif len(queue.unknown_tasks) > _MOST_TASKS:
            found.append(
                Attention(
                    code="task_unknown",
                    subject=queue.name,
                    text=n(
                        len(queue.unknown_tasks),
                        "No worker of queue {queue} knows {count} of its tasks",
                        "No worker of queue {queue} knows {count} of its tasks",
                        queue=queue.name,
                    ),
                    detail=", ".join((*queue.unknown_tasks[:_MOST_TASKS], "…")),
                    path=path,
                    fields=fields,
                    is_bad=True,
                )
            )
        elif queue.unknown_tasks:
            found += [
                Attention(
                    code="task_unknown",
                    subject=task,
                    text=t("No worker of queue {queue} knows the task {task}", queue=queue.name, task=task),
                    detail=t("its jobs wait until one does"),
                    path=path,
                    fields=(*fields, ("task", exactly(task))),
                    is_bad=True,
                )
                for task in queue.unknown_tasks
            ]
        elif (
            queue.concurrency_limit is not None
            and queue.running >= queue.concurrency_limit
            and (queue.latency_seconds or 0) > _LIMITED_FOR
        ):
            text = t(
                "Queue {queue} is at its limit of {limit}", queue=queue.name, limit=number(queue.concurrency_limit)
            )
            found.append(
                Attention(
                    code="queue_at_limit",
                    subject=queue.name,
                    text=text,
                    detail=waiting,
                    path="queues",
                )
            )
        if queue.paused_at is None:
            found += [_attention_to_paused_task(queue, one, now) for one in queue.paused_tasks]
    return found


def _attention_to_paused_task(queue: QueueStatus, paused: PausedTask, now: datetime) -> Attention:
    age = elapsed((now - paused.paused_at).total_seconds())
    by = t("paused by {user} for {age}", user=paused.paused_by, age=age) if paused.paused_by else ""
    return Attention(
        code="task_paused",
        subject=paused.task,
        text=t("Task {task} is paused", task=paused.task),
        detail=" · ".join(part for part in (by or t("paused for {age}", age=age), paused.note) if part),
        path="jobs",
        fields=(("state", "enqueued"), ("queue", exactly(queue.name)), ("task", exactly(paused.task))),
        action=("tasks/resume", t("Resume task"), (("task", paused.task),)),
    )


def attention_to_servers(servers: Sequence[ServerStatus]) -> list[Attention]:
    """Servers that stopped responding."""
    return [
        Attention(
            code="server_silent",
            subject=server.name,
            text=t("Server {server} is not responding", server=server.name),
            detail=t("last heartbeat {age} ago", age=elapsed(server.heartbeat_age_seconds)),
            path="servers",
            is_bad=True,
        )
        for server in servers
        if server.is_silent
    ]


def attention_to_recurring(recurring: Sequence[RecurringJob], now: datetime) -> list[Attention]:
    """Overdue recurring jobs."""
    return [
        Attention(
            code="recurring_overdue",
            subject=job.id,
            text=t("Recurring job {job} is overdue", job=job.id),
            detail=t("due {age} ago; no worker runs it", age=elapsed((now - job.next_at).total_seconds())),
            path="recurring",
            fields=(("text", job.id),),
            is_bad=True,
        )
        for job in recurring
        if job.is_overdue and job.paused_at is None and job.next_at is not None
    ]


def attention_to_failures(minutes: Sequence[SeriesPoint]) -> list[Attention]:
    """A failure rate of the last minutes that is far above that of the time before.

    Parameters
    ----------
    minutes
        One point a minute, the latest last.
    """
    recent, before = minutes[-_RECENT_MINUTES:], minutes[:-_RECENT_MINUTES]
    failed = sum(point.totals.failed for point in recent)
    ended = failed + sum(point.totals.succeeded for point in recent)
    failed_before = sum(point.totals.failed for point in before)
    ended_before = failed_before + sum(point.totals.succeeded for point in before)
    usual = failed_before / ended_before if ended_before else 0.0
    if failed < _MIN_RECENT_FAILURES or not ended_before or failed / ended <= max(_MIN_RATE, _RATE_FACTOR * usual):
        return []
    detail = t(
        "{rate} of jobs failed in the last 10 minutes, {usual} in the hour before",
        rate=percent(failed, ended),
        usual=percent(failed_before, ended_before) if failed_before else "0%",
    )
    return [
        Attention(
            code="failure_rate",
            subject="",
            text=t("Failure rate is up"),
            detail=detail,
            path="failures",
            is_bad=True,
        )
    ]


def attention_to_imports(imports: Sequence[OperatedImport]) -> list[Attention]:
    """Imports whose last attempt failed and that made no progress since."""
    return [
        Attention(
            code="import_stalled",
            subject=str(job.id),
            text=t("Import #{number} is stalled", number=job.id),
            detail=job.last_fault or "",
            path=f"imports/{job.id}",
            is_bad=True,
        )
        for job in imports
        if job.last_fault and not job.completed_at
    ]


def attention_to_disks(limits: ImportLimits) -> list[Attention]:
    """Disks on which uploads and the database run out of space. Looks at the file system: call it in a thread."""
    found: list[Attention] = []
    for folder in dict.fromkeys((limits.spool_folder or tempfile.gettempdir(), *limits.watched_folders)):
        try:
            free = shutil.disk_usage(folder).free
        except OSError:
            continue
        if free < _DISK_FACTOR * limits.disk_watermark_bytes:
            is_full = free < limits.disk_watermark_bytes
            detail = t("{free} left in {folder}", free=size(free), folder=folder)
            if is_full:
                detail = t("{detail}; uploads are refused", detail=detail)
            found.append(
                Attention(
                    code="disk_low",
                    subject=str(folder),
                    text=t("Disk space is low"),
                    detail=detail,
                    path="imports",
                    is_bad=is_full,
                )
            )
    return found


async def unfinished_imports(imports: OperatedImports | None) -> Sequence[OperatedImport]:
    """The newest imports that have not ended."""
    if imports is None:
        return ()
    return (await imports.find(ImportFilter(statuses=UNFINISHED), limit=_MAX_IMPORTS)).items
