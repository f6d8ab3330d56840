"""Imports that are accepted before their body is here, and how fetching it ends."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from bulkport.imports.worker.attempt import Attempt
from bulkport.jobs.port import JobContext

FetchBody: TypeAlias = Callable[[Attempt, JobContext], Awaitable[None]]
"""Fills an import with its body; raises BodyRefused, BodyUnavailable or RetryLater."""


class BodyRefused(Exception):
    """The body cannot be fetched, or cannot be imported: the import fails, and the message says why."""


class BodyUnavailable(Exception):
    """The body cannot be fetched now; it is tried again.

    Parameters
    ----------
    retry_after
        Seconds until then, if its server said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)
