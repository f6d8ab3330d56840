"""The result of an operation on jobs, as an operator reads it: `12 jobs requeued, 1 already finished.`"""

from collections.abc import Sequence
from typing import Final

from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import joined, n, t
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.port.control import Effect, OrderSummary

_NAMED: Final = 5

_WORDS: Final[dict[Effect, tuple[str, str]]] = {
    Effect.CANCELLED: ("{count} job cancelled", "{count} jobs cancelled"),
    Effect.DELETED: ("{count} job deleted", "{count} jobs deleted"),
    Effect.REQUEUED: ("{count} job requeued", "{count} jobs requeued"),
    Effect.REPEATED: ("{count} job enqueued again", "{count} jobs enqueued again"),
    Effect.RELEASED: ("{count} job queued to run now", "{count} jobs queued to run now"),
    Effect.RESCHEDULED: ("{count} job rescheduled", "{count} jobs rescheduled"),
    Effect.CHANGED: ("{count} job changed", "{count} jobs changed"),
    Effect.ASKED_TO_STOP: ("{count} job asked to stop", "{count} jobs asked to stop"),
    Effect.ALREADY_ASKED_TO_STOP: ("{count} already asked to stop", "{count} already asked to stop"),
    Effect.ALREADY_WAITING: ("{count} already waiting", "{count} already waiting"),
    Effect.ALREADY_RUNNING: ("{count} already running", "{count} already running"),
    Effect.ALREADY_ENDED: ("{count} already finished", "{count} already finished"),
    Effect.ALREADY_DELETED: ("{count} already deleted", "{count} already deleted"),
    Effect.WAITS_FOR_OTHERS: ("{count} awaiting other jobs", "{count} awaiting other jobs"),
    Effect.UNIQUE_KEY_TAKEN: (
        "{count} skipped: its unique key is taken",
        "{count} skipped: their unique keys are taken",
    ),
    Effect.UNKNOWN: ("{count} no longer exists", "{count} no longer exist"),
}
_OF_ONE: Final[dict[Effect, str]] = {
    Effect.CANCELLED: "Cancelled job {job}.",
    Effect.DELETED: "Deleted job {job}.",
    Effect.REQUEUED: "Requeued job {job}.",
    Effect.REPEATED: "Enqueued a copy of job {job}.",
    Effect.RELEASED: "Job {job} starts as soon as a worker is free.",
    Effect.RESCHEDULED: "Rescheduled job {job}.",
    Effect.CHANGED: "Changed job {job}.",
    Effect.ASKED_TO_STOP: "Asked job {job} to stop.",
    Effect.ALREADY_ASKED_TO_STOP: "Job {job} was already asked to stop.",
    Effect.ALREADY_WAITING: "Job {job} is already waiting for a worker.",
    Effect.ALREADY_RUNNING: "Job {job} is already running.",
    Effect.ALREADY_ENDED: "Job {job} has already finished.",
    Effect.ALREADY_DELETED: "Job {job} was already deleted.",
    Effect.WAITS_FOR_OTHERS: "Job {job} awaits other jobs.",
    Effect.UNIQUE_KEY_TAKEN: "Job {job} was skipped: another job waits under its unique key.",
    Effect.UNKNOWN: "Job {job} no longer exists.",
}


def outcome_in_words(summary: OrderSummary) -> str:
    """The result for many jobs, with completed actions first."""
    order = list(Effect)
    parts = sorted(summary.effects.items(), key=lambda part: order.index(part[0]))
    words = joined(", ", (n(count, *_WORDS[effect]) for effect, count in parts))
    return joined("", (words, ".")) if words else t("No matching jobs.")


def outcome_of_one(job_id: BackgroundJobId, effect: Effect) -> str:
    """The result for one job."""
    return t(_OF_ONE[effect], job=job_id)


def jobs_in_words(job_ids: Sequence[BackgroundJobId]) -> str:
    """Which jobs: `job 17`, `jobs 1, 2, 3`, `jobs 1, 2, 3, 4, 5 and 7 more`."""
    if len(job_ids) == 1:
        return t("job {job}", job=job_ids[0])
    shown = ", ".join(job_ids[:_NAMED])
    if len(job_ids) <= _NAMED:
        return t("jobs {jobs}", jobs=shown)
    return t("jobs {jobs} and {count} more", jobs=shown, count=number(len(job_ids) - _NAMED))
