"""What can go wrong when background work is asked for or carried out."""

from bulkport.errors import BulkportError, Conflict


class JobAlreadyQueued(Conflict):
    """A background job with this queueing lock is already waiting."""

    title = "Already queued"


class UnknownTask(BulkportError):
    """No task of this name is declared in this process."""


class TaskAlreadyDeclared(BulkportError):
    """A task of this name is declared already."""


class ArgumentsDoNotFit(BulkportError):
    """The stored arguments do not fit the task's function."""


class WorkerLost(BulkportError):
    """This worker's claim on its jobs has ended: it was silent for too long and may have been replaced."""


class TaskDeclarationError(BulkportError):
    """A task is declared in a way that cannot work."""
