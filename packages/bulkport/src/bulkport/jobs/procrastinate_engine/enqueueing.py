"""New jobs as `background_enqueue_v1` takes them, and what it answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg.errors import ForeignKeyViolation, ObjectNotInPrerequisiteState

from bulkport.jobs.errors import BatchClosed, ParentNotFound
from bulkport.jobs.port.queueing import EnqueuedJob, NewJob, Parent
from bulkport.jobs.procrastinate_engine.job_numbers import job_id_of, number_of


def row_of(job: NewJob) -> dict[str, Any]:
    """The job as a JSON object; what it does not have is left out, so that a plain job is seen to be one."""
    row: dict[str, Any] = {"task": job.task, "args": job.args, "queue": job.queue, "priority": job.priority}
    for name in ("delay", "user_id", "unique_key", "batch_id", "recurring_id"):
        value = getattr(job, name)
        if value is not None:
            row[name] = value
    if job.at is not None:
        row["at"] = job.at.isoformat()
    if job.concurrency_key is not None:
        row |= {"concurrency_key": job.concurrency_key, "concurrency_limit": job.concurrency_limit or 1}
    if job.origin_id is not None:
        row["origin_id"] = int(job.origin_id)
    if job.parents:
        row["parents"] = [_parent_row(parent) for parent in job.parents]
    return row


def enqueued_jobs(rows: Sequence[tuple[int, int, bool]]) -> list[EnqueuedJob]:
    """The answer, in the order of the question."""
    return [EnqueuedJob(job_id_of(job_id), is_new) for _, job_id, is_new in sorted(rows)]


@contextmanager
def refusals() -> Iterator[None]:
    """Errors by which the database refuses a job, as the port's."""
    try:
        yield
    except ForeignKeyViolation as error:
        raise ParentNotFound(error.diag.message_primary) from error
    except ObjectNotInPrerequisiteState as error:
        raise BatchClosed(error.diag.message_primary) from error


def _parent_row(parent: Parent) -> dict[str, Any]:
    if parent.job_id is None:
        return {"batch_id": parent.batch_id, "on": parent.on.value}
    number = number_of(parent.job_id)
    if number is None:
        raise ParentNotFound(f"there is no job {parent.job_id} to wait for")
    return {"job_id": number, "on": parent.on.value}
