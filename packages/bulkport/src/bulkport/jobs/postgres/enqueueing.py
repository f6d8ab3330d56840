"""The statement that enqueues jobs, and what it answers."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString, Self

from psycopg.errors import ForeignKeyViolation, ObjectNotInPrerequisiteState

from bulkport.jobs.errors import BatchClosed, ParentNotFound
from bulkport.jobs.port.queueing import EnqueuedJob, NewJob, Parent
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.ids import job_id_of, number_of
from bulkport.telemetry import carried

_OPTIONS: Final = ("delay", "unique_key", "unique_for", "batch_id")


@dataclass(frozen=True, slots=True)
class Enqueueing:
    """A statement that enqueues jobs."""

    query: LiteralString
    arguments: Sequence[Any]
    is_plain: bool
    """It enqueues jobs that may run at once, and answers with their ids alone, in their order."""

    @classmethod
    def of(cls, jobs: Iterable[NewJob]) -> Self | None:
        """The statement for these jobs; None: there are none.

        Raises
        ------
        ParentNotFound
            What one is to wait for can be no job.
        """
        wanted = list(jobs)
        if not wanted:
            return None
        trace = carried()
        is_plain = all(map(_is_plain, wanted))
        if is_plain and len(wanted) == 1:
            (job,) = wanted
            origin = None if job.origin_id is None else int(job.origin_id)
            args = json.dumps({**job.args, **trace})
            arguments = (job.task, job.queue, job.priority, args, job.user_id, job.recurring_id, origin)
            return cls(queries.ENQUEUE_ONE, arguments, is_plain)
        query, row = (queries.ENQUEUE_ALL_NOW, _plain_row) if is_plain else (queries.ENQUEUE, _row)
        return cls(query, (json.dumps([row(job, trace) for job in wanted]),), is_plain)

    def enqueued(self, rows: Sequence[tuple[Any, ...]]) -> list[EnqueuedJob]:
        """The answer, in the order of the jobs."""
        if self.is_plain:
            return [EnqueuedJob(job_id_of(job_id), is_new=True) for (job_id,) in rows]
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


def _is_plain(job: NewJob) -> bool:
    return not (
        job.delay is not None
        or job.at is not None
        or job.unique_key is not None
        or job.concurrency_key is not None
        or job.rate_key is not None
        or job.batch_id is not None
        or job.parents
        or job.tags
    )


def _plain_row(job: NewJob, trace: Mapping[str, str]) -> dict[str, Any]:
    """The job as a JSON object; what it does not have is left out."""
    row: dict[str, Any] = {
        "task": job.task,
        "args": {**job.args, **trace} if trace else job.args,
        "queue": job.queue,
        "priority": job.priority,
    }
    if job.user_id is not None:
        row["user_id"] = job.user_id
    if job.recurring_id is not None:
        row["recurring_id"] = job.recurring_id
    if job.origin_id is not None:
        row["origin_id"] = int(job.origin_id)
    return row


def _row(job: NewJob, trace: Mapping[str, str]) -> dict[str, Any]:
    """As `_plain_row`, with what a plain job has not."""
    row = _plain_row(job, trace)
    for name in _OPTIONS:
        value = getattr(job, name)
        if value is not None:
            row[name] = value
    if job.at is not None:
        row["at"] = job.at.isoformat()
    if job.concurrency_key is not None:
        row |= {"concurrency_key": job.concurrency_key, "concurrency_limit": job.concurrency_limit or 1}
    if job.rate_key is not None:
        row |= {"rate_key": job.rate_key, "rate_limit": job.rate_limit or 1, "rate_seconds": job.rate_seconds}
    if job.tags:
        row["tags"] = list(job.tags)
    if job.parents:
        row["parents"] = [_parent(parent) for parent in job.parents]
    return row


def _parent(parent: Parent) -> dict[str, Any]:
    if parent.job_id is None:
        return {"batch_id": parent.batch_id, "on": parent.on.value}
    number = number_of(parent.job_id)
    if number is None:
        raise ParentNotFound(f"there is no job {parent.job_id} to wait for")
    return {"job_id": number, "on": parent.on.value}
