"""Converts between database values and Python: job ids, times in the session's zone, rows of jobs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs.job import JobState, JSONValue
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.run_output import Progress
from bulkport.telemetry import without_carrier


def utc_or_none(time: datetime | None) -> datetime | None:
    """The same moment in UTC, of a time that may be missing."""
    return None if time is None else time.astimezone(UTC)


def number_of(job_id: str) -> int | None:
    """The number for an id that may come from outside; None when no job can have it.

    Raises
    ------
    TypeError
        It is not text.
    """
    if not isinstance(job_id, str):
        raise TypeError(f"the id of a job is text: {job_id!r}")
    if not (job_id.isascii() and job_id.isdecimal()):
        return None
    number = int(job_id) if len(job_id) <= len(str(MAX_BIGINT)) else 0
    return number if 0 < number <= MAX_BIGINT else None


def job_id_of(number: int) -> BackgroundJobId:
    """The id for a number of the engine's."""
    return BackgroundJobId(str(number))


SUMMARIES: Final[LiteralString] = """
SELECT job.job_id, job.task, job.queue, job.priority, job.state::text, job.user_id, job.created_at, job.ready_at,
       job.due_at, job.started_at, job.finished_at, job.runs, job.failures, job.error_type, job.error, job.unique_key,
       job.concurrency_key, job.batch_id, job.recurring_id, job.origin_id,
       -- Also before a claim has met it.
       job.parked OR job.state = 'enqueued' AND job.concurrency_key IS NOT NULL
           AND bulkport.free_slots(job.concurrency_key) <= 0 AS is_held_back,
       CASE WHEN %(most_args_bytes)s::integer IS NULL OR pg_column_size(job.args) <= %(most_args_bytes)s
            THEN job.args END AS args,
       CASE WHEN job.state = 'processing'
            THEN (SELECT name FROM bulkport.servers WHERE worker_id = job.worker_id) ELSE job.server END AS server,
       ARRAY(SELECT tag FROM bulkport.job_tags tagged WHERE tagged.job_id = job.job_id ORDER BY tag) AS tags,
       progress.done, progress.total, progress.message
FROM bulkport.all_jobs job LEFT JOIN bulkport.job_progress progress ON progress.job_id = job.job_id
WHERE job.job_id = ANY(%(job_ids)s)
"""


def summary_of(row: Mapping[str, Any]) -> JobSummary:
    """The job of a row that `SUMMARIES` reads."""
    fields = dict(row)
    fields |= {
        "id": job_id_of(fields.pop("job_id")),
        "state": JobState(row["state"]),
        "args": None if row["args"] is None else without_carrier(as_arguments(row["args"])),
        "origin_id": None if row["origin_id"] is None else job_id_of(row["origin_id"]),
        "tags": tuple(row["tags"]),
        "progress": take_progress(fields),
    }
    return JobSummary(**fields)


def as_arguments(value: JSONValue) -> Mapping[str, JSONValue]:
    """Stored arguments by name. What is not a JSON object, which no job of Bulkport's has, is shown as one argument."""
    return value if isinstance(value, Mapping) else {"*": value}


def take_progress(fields: dict[str, Any]) -> Progress | None:
    """Remove and return the progress of a row; None if there is none, as in a row with just a checkpoint."""
    done, total, message = (fields.pop(name) for name in ("done", "total", "message"))
    return None if done is None else Progress(done, total, message)
