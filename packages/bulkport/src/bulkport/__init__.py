"""Bulkport: durable bulk imports and background jobs for FastAPI and PostgreSQL.

An application declares what can be imported and what runs in the background, and gets endpoints that take any number of
records, workers that store them exactly once, a queue, and a dashboard over it all::

    bulkport = Bulkport(DATABASE_URL, resources=[BOOKS])

    @bulkport.task(queue="mail")
    async def send_report(recipient: str, year: int) -> int: ...

    app = FastAPI(lifespan=bulkport.lifespan)
    app.include_router(bulkport.router(user=current_user))
    app.mount("/jobs", bulkport.dashboard(access=operators_only))

All public names are here, but for those of documented subpackages: `bulkport.dashboard` (who may see it),
`bulkport.client` (for programs that send imports), `bulkport.migrations`, `bulkport.testing` and `bulkport.embedded` (a
PostgreSQL for development). Everything else is private and may change with any version.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bulkport import migrations
    from bulkport.app import Bulkport
    from bulkport.database import DatabaseRefused, UnusableDatabaseUrl
    from bulkport.egress import EgressPolicy
    from bulkport.errors import BulkportError, ResourceDeclarationError, ValidationFailed
    from bulkport.extras import MissingExtra
    from bulkport.imports.calls import RowError
    from bulkport.imports.cancel import CancelEffect
    from bulkport.imports.declaration.mistakes import Mistake
    from bulkport.imports.options import ReadingOptions
    from bulkport.imports.process import AttemptPolicy
    from bulkport.imports.read import ImportJob
    from bulkport.imports.resource import ConflictPolicy, Reference, Resource
    from bulkport.imports.states import ImportStatus
    from bulkport.imports.validation import NotBlank
    from bulkport.imports.write_options import WriteMode
    from bulkport.jobs.context import JobCancelled, JobContext, StopRequested
    from bulkport.jobs.enqueue import Batch
    from bulkport.jobs.errors import (
        ArgumentsDoNotFit,
        BatchClosed,
        InvalidCursor,
        InvalidJobQuery,
        InvalidSchedule,
        JobAlreadyQueued,
        NotConnected,
        ParentNotFound,
        RecurringJobAlreadyDeclared,
        SearchTookTooLong,
        TaskAlreadyDeclared,
        TaskDeclarationError,
        UnknownRecurringJob,
        UnknownTask,
        WorkerDied,
    )
    from bulkport.jobs.job import BackgroundJob, JobState, JSONValue
    from bulkport.jobs.port.control import Effect, OrderResult, OrderSummary
    from bulkport.jobs.port.details import JobDetails, JobLogLine, JobSummary
    from bulkport.jobs.port.engine import RetentionPolicy
    from bulkport.jobs.port.metrics import Granularity
    from bulkport.jobs.port.query import JobCount, JobPage, JobQuery, JobSort
    from bulkport.jobs.port.queueing import EnqueuedJob, Outcome
    from bulkport.jobs.port.recurring import MissedRuns
    from bulkport.jobs.retry import NO_RETRY, FinalError, RetryLater, RetryPolicy
    from bulkport.jobs.task import JobCall, JobOptions, Task
    from bulkport.jobs.worker import run_until_signal
    from bulkport.limits import ImportLimits
    from bulkport.pulls.stores import ObjectStore
    from bulkport.worker_settings import WorkerSettings

    __version__: str

_MODULES: Final = {
    "bulkport.app": ("Bulkport",),
    "bulkport.database": (
        "DatabaseRefused",
        "UnusableDatabaseUrl",
    ),
    "bulkport.egress": ("EgressPolicy",),
    "bulkport.errors": (
        "BulkportError",
        "ResourceDeclarationError",
        "ValidationFailed",
    ),
    "bulkport.extras": ("MissingExtra",),
    "bulkport.imports.calls": ("RowError",),
    "bulkport.imports.cancel": ("CancelEffect",),
    "bulkport.imports.declaration.mistakes": ("Mistake",),
    "bulkport.imports.options": ("ReadingOptions",),
    "bulkport.imports.process": ("AttemptPolicy",),
    "bulkport.imports.read": ("ImportJob",),
    "bulkport.imports.resource": (
        "ConflictPolicy",
        "Reference",
        "Resource",
    ),
    "bulkport.imports.states": ("ImportStatus",),
    "bulkport.imports.validation": ("NotBlank",),
    "bulkport.imports.write_options": ("WriteMode",),
    "bulkport.jobs.enqueue": ("Batch",),
    "bulkport.jobs.context": (
        "JobCancelled",
        "JobContext",
        "StopRequested",
    ),
    "bulkport.jobs.errors": (
        "ArgumentsDoNotFit",
        "BatchClosed",
        "InvalidCursor",
        "InvalidJobQuery",
        "InvalidSchedule",
        "JobAlreadyQueued",
        "NotConnected",
        "ParentNotFound",
        "RecurringJobAlreadyDeclared",
        "SearchTookTooLong",
        "TaskAlreadyDeclared",
        "TaskDeclarationError",
        "UnknownRecurringJob",
        "UnknownTask",
        "WorkerDied",
    ),
    "bulkport.jobs.job": (
        "BackgroundJob",
        "JSONValue",
        "JobState",
    ),
    "bulkport.jobs.port.control": (
        "Effect",
        "OrderResult",
        "OrderSummary",
    ),
    "bulkport.jobs.port.queueing": (
        "EnqueuedJob",
        "Outcome",
    ),
    "bulkport.jobs.port.recurring": ("MissedRuns",),
    "bulkport.jobs.port.details": (
        "JobDetails",
        "JobLogLine",
        "JobSummary",
    ),
    "bulkport.jobs.port.metrics": ("Granularity",),
    "bulkport.jobs.port.query": (
        "JobCount",
        "JobPage",
        "JobQuery",
        "JobSort",
    ),
    "bulkport.jobs.port.engine": ("RetentionPolicy",),
    "bulkport.jobs.retry": (
        "NO_RETRY",
        "FinalError",
        "RetryLater",
        "RetryPolicy",
    ),
    "bulkport.jobs.task": (
        "JobCall",
        "JobOptions",
        "Task",
    ),
    "bulkport.jobs.worker": ("run_until_signal",),
    "bulkport.limits": ("ImportLimits",),
    "bulkport.pulls.stores": ("ObjectStore",),
    "bulkport.worker_settings": ("WorkerSettings",),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "NO_RETRY",
    "ArgumentsDoNotFit",
    "AttemptPolicy",
    "BackgroundJob",
    "Batch",
    "BatchClosed",
    "Bulkport",
    "BulkportError",
    "CancelEffect",
    "ConflictPolicy",
    "DatabaseRefused",
    "Effect",
    "EgressPolicy",
    "EnqueuedJob",
    "FinalError",
    "Granularity",
    "ImportJob",
    "ImportLimits",
    "ImportStatus",
    "InvalidCursor",
    "InvalidJobQuery",
    "InvalidSchedule",
    "JSONValue",
    "JobAlreadyQueued",
    "JobCall",
    "JobCancelled",
    "JobContext",
    "JobCount",
    "JobDetails",
    "JobLogLine",
    "JobOptions",
    "JobPage",
    "JobQuery",
    "JobSort",
    "JobState",
    "JobSummary",
    "MissedRuns",
    "MissingExtra",
    "Mistake",
    "NotBlank",
    "NotConnected",
    "ObjectStore",
    "OrderResult",
    "OrderSummary",
    "Outcome",
    "ParentNotFound",
    "ReadingOptions",
    "RecurringJobAlreadyDeclared",
    "Reference",
    "Resource",
    "ResourceDeclarationError",
    "RetentionPolicy",
    "RetryLater",
    "RetryPolicy",
    "RowError",
    "SearchTookTooLong",
    "StopRequested",
    "Task",
    "TaskAlreadyDeclared",
    "TaskDeclarationError",
    "UnknownRecurringJob",
    "UnknownTask",
    "UnusableDatabaseUrl",
    "ValidationFailed",
    "WorkerDied",
    "WorkerSettings",
    "WriteMode",
    "__version__",
    "migrations",
    "run_until_signal",
]


def __getattr__(name: str) -> Any:
    # On first use: a command line that only sends imports need not load a web framework.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "migrations":
        return import_module("bulkport.migrations")
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("bulkport")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
