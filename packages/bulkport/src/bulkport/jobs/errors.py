"""Errors of background jobs."""

from typing import Final

from bulkport.errors import BadRequest, BulkportError, Conflict
from bulkport.identifiers import BackgroundJobId


class JobAlreadyQueued(Conflict):
    """A background job with this unique key is already waiting."""

    title = "Already queued"

    def __init__(self, job_id: BackgroundJobId) -> None:
        super().__init__()
        self.job_id = job_id
        """The job that waits."""


class ParentNotFound(BulkportError):
    """The parent job or batch does not exist."""


class BatchClosed(Conflict):
    """The batch takes no more jobs."""

    title = "Batch closed"


class UnknownTask(BulkportError):
    """No task with this name is declared in this process."""


class TaskAlreadyDeclared(BulkportError):
    """A task with this name is already declared."""


class ArgumentsDoNotFit(BulkportError):
    """The stored arguments do not fit the task's function."""


class WorkerDied(BulkportError):
    """The worker died too often while it ran this job."""


class WorkerLost(BulkportError):
    """This worker's lease has expired: it was silent for too long, and its jobs may run elsewhere."""


class TaskDeclarationError(BulkportError):
    """A task is declared in a way that cannot work."""


class InvalidJobQuery(BadRequest, ValueError):
    """The search for background jobs is invalid."""

    title = "Invalid job query"


class InvalidCursor(BadRequest, ValueError):
    """The cursor does not belong to this search."""

    title = "Invalid cursor"


class SearchTookTooLong(BulkportError):
    """The search took too long; narrow it by state, task or time."""

    title = "Search took too long"


WITHOUT_LOOP: Final = (
    "Bulkport is not connected to its database: put with bulkport.sync.connect() around the call, or pass connection="
)


class NotConnected(RuntimeError):
    """Bulkport was used while it was not connected to its database."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message
            or "Bulkport is not connected to its database: give the application its lifespan, "
            "FastAPI(lifespan=bulkport.lifespan), or enter it in your own: async with bulkport.lifespan(app). In a "
            "script, put async with bulkport.connect() around the call"
        )


class InvalidSchedule(BulkportError):
    """The schedule cannot be used: its cron expression or its time zone is wrong."""

    title = "Invalid schedule"


class UnknownRecurringJob(BulkportError):
    """The recurring job does not exist."""

    title = "Unknown recurring job"


class RecurringJobAlreadyDeclared(BulkportError):
    """A recurring job with this id is already declared."""
