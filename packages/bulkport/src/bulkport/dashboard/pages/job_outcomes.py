"""What came of an order for jobs, as an operator reads it: `12 requeued, 1 had already ended.`"""

from collections.abc import Sequence
from typing import Final

from bulkport.dashboard.core.formatting import number
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.port.control import Effect, OrderSummary

_NAMED: Final = 5

_WORDS: Final[dict[Effect, tuple[str, str]]] = {
    Effect.CANCELLED: ("cancelled", "cancelled"),
    Effect.DELETED: ("deleted", "deleted"),
    Effect.REQUEUED: ("requeued", "requeued"),
    Effect.REPEATED: ("queued again as a new job", "queued again as new jobs"),
    Effect.RELEASED: ("runs as soon as a worker is free", "run as soon as workers are free"),
    Effect.RESCHEDULED: ("rescheduled", "rescheduled"),
    Effect.CHANGED: ("changed", "changed"),
    Effect.ASKED_TO_STOP: ("asked to stop", "asked to stop"),
    Effect.ALREADY_ASKED_TO_STOP: ("had already been asked to stop", "had already been asked to stop"),
    Effect.ALREADY_WAITING: ("was already waiting for a worker", "were already waiting for workers"),
    Effect.ALREADY_RUNNING: ("was already running", "were already running"),
    Effect.ALREADY_ENDED: ("had already ended", "had already ended"),
    Effect.ALREADY_DELETED: ("had already been deleted", "had already been deleted"),
    Effect.WAITS_FOR_OTHERS: ("waits for other jobs", "wait for other jobs"),
    Effect.UNIQUE_KEY_TAKEN: (
        "left alone: another job waits under its unique key",
        "left alone: other jobs wait under their unique keys",
    ),
    Effect.UNKNOWN: ("is no longer there", "are no longer there"),
}


def outcome_in_words(summary: OrderSummary) -> str:
    """All that came of an order, what was done first."""
    order = list(Effect)
    parts = sorted(summary.effects.items(), key=lambda part: order.index(part[0]))
    words = ", ".join(f"{number(count)} {_WORDS[effect][count != 1]}" for effect, count in parts)
    return f"{words}." if words else "There was no such job any more."


def jobs_in_words(job_ids: Sequence[BackgroundJobId]) -> str:
    """Which jobs: `job 17`, `jobs 1, 2 and 3`, `jobs 1, 2, 3, 4, 5 and 7 more`."""
    if len(job_ids) == 1:
        return f"job {job_ids[0]}"
    if len(job_ids) <= _NAMED:
        return f"jobs {', '.join(job_ids[:-1])} and {job_ids[-1]}"
    return f"jobs {', '.join(job_ids[:_NAMED])} and {number(len(job_ids) - _NAMED)} more"
