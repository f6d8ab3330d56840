"""Fetching the body of an import that was accepted without one, and the errors of fetching."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from bulkport.imports.worker.attempt import Attempt
from bulkport.jobs.port import JobContext

FetchBody: TypeAlias = Callable[[Attempt, JobContext], Awaitable[None]]
"""Fills an import with its body; raises BodyRefused, BodyUnavailable or RetryLater."""


class BodyRefused(Exception):
    """The body cannot be fetched or imported: the import fails with this message."""


class BodyUnavailable(Exception):
    """The body cannot be fetched now; the worker retries.

    Parameters
    ----------
    retry_after
        Seconds until the next attempt, if its server said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)
