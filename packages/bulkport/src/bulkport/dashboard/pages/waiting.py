"""Why jobs of a queue wait, for every place that shows waiting jobs."""

from collections.abc import Iterable

from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import t
from bulkport.jobs.port.metrics import QueueStatus


def reason_for_waiting(queue: QueueStatus) -> str:
    """What keeps the queue's jobs from starting, in words; empty if nothing but their turn."""
    if queue.paused_at is not None:
        reason = t("paused by {user}", user=queue.paused_by) if queue.paused_by else t("paused")
        return f"{reason}: {queue.paused_note}" if queue.paused_note else reason
    if not queue.servers:
        return t("no workers")
    if queue.concurrency_limit is not None and queue.running >= queue.concurrency_limit:
        return t("limit of {limit} reached", limit=number(queue.concurrency_limit))
    return ""


def reason_for_job(queues: Iterable[QueueStatus], queue: str, task: str) -> str:
    """What keeps a waiting job from starting, in words; empty if nothing but its turn."""
    status = next((each for each in queues if each.name == queue), None)
    if status is None:
        return ""
    reason = reason_for_waiting(status)
    return t("no worker knows its task") if not reason and task in status.unknown_tasks else reason
