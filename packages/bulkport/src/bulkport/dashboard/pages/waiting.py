"""Explains why the jobs of a queue wait, for every page that shows waiting jobs."""

from collections.abc import Iterable
from dataclasses import replace

from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import joined, t
from bulkport.jobs.port.metrics import QueueStatus


def reason_for_waiting(queue: QueueStatus) -> str:
    """What keeps the queue's jobs from starting, in words; empty if nothing but their turn."""
    if queue.paused_at is not None:
        return paused_in_words(queue.paused_by, queue.paused_note)
    if not queue.servers:
        return t("no workers")
    if queue.concurrency_limit is not None and queue.running >= queue.concurrency_limit:
        return t("limit of {limit} reached", limit=number(queue.concurrency_limit))
    if queue.paused_tasks:
        return "; ".join(
            joined(" ", (t("task {task}", task=one.task), paused_in_words(one.paused_by, one.note)))
            for one in queue.paused_tasks
        )
    return ""


def paused_in_words(by: str | None, note: str | None) -> str:
    """Who paused a queue or a task, and why."""
    reason = t("paused by {user}", user=by) if by else t("paused")
    return f"{reason}: {note}" if note else reason


def reason_for_job(queues: Iterable[QueueStatus], queue: str, task: str) -> str:
    """What keeps a waiting job from starting, in words; empty if nothing but its turn."""
    status = next((each for each in queues if each.name == queue), None)
    if status is None:
        return ""
    reason = reason_for_waiting(replace(status, paused_tasks=()))
    if reason:
        return reason
    paused = next((each for each in status.paused_tasks if each.task == task), None)
    if paused is not None:
        return joined(" ", (t("task"), paused_in_words(paused.paused_by, paused.note)))
    return t("no worker knows its task") if task in status.unknown_tasks else ""
