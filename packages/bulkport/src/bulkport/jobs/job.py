"""Background jobs and their states."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bulkport.identifiers import BackgroundJobId
from bulkport.sanitize import JSONValue

__all__ = ["DEFAULT_QUEUE", "BackgroundJob", "JSONValue", "JobState"]

DEFAULT_QUEUE = "default"


class JobState(StrEnum):
    """The state of a background job."""

    ENQUEUED = "enqueued"
    """Waiting in its queue; a free worker takes it at once."""
    SCHEDULED = "scheduled"
    """Waiting for its time."""
    AWAITING = "awaiting"
    """Waiting for other jobs to end."""
    RETRYING = "retrying"
    """An attempt ended in an error; waiting for the next one."""
    PROCESSING = "processing"
    """A worker runs it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The last allowed attempt ended in an error, or the job cannot be run at all."""
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the job will never run (again)."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


@dataclass(frozen=True, slots=True)
class BackgroundJob:
    """A snapshot of one background job."""

    id: BackgroundJobId
    task: str
    queue: str
    args: Mapping[str, JSONValue]
    state: JobState
    attempts: int
    """Attempts begun that count: those that ended in an error, and the present or successful one. Going back to
    the queue by `RetryLater`, by a shutdown or after the death of a worker counts as none."""
    priority: int
    scheduled_at: datetime | None
    """Not to be started before this time (aware, UTC); None: at once."""
    last_error: str | None
    """Type and message of the last attempt's error, if one failed."""
    user_id: str | None = None
    result: JSONValue = None
    """What the task returned, if it succeeded with a result that could be stored."""
