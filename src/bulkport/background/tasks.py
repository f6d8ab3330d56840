"""Tasks: the functions that background jobs run, and what they learn about the run they are in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bulkport.background.jobs import JSONValue
from bulkport.background.retries import DEFAULT_RETRY, RetryPolicy
from bulkport.identifiers import BackgroundJobId


@dataclass(frozen=True, slots=True)
class JobContext:
    """The run of a background job, as its task sees it."""

    job_id: BackgroundJobId
    task: str
    args: Mapping[str, JSONValue]
    priority: int
    attempt: int
    """1 for the first attempt; one more after each attempt that ended in an error."""
    max_attempts: int
    asks_cancel: Callable[[], bool] = field(repr=False)
    asks_stop: Callable[[], bool] = field(repr=False)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody cancelled this job while it runs.

        The task's coroutine is cancelled too (`asyncio.CancelledError` at its next `await`).
        """
        return self.asks_cancel()

    @property
    def stopping(self) -> bool:
        """Whether the worker is shutting down.

        A long task that looks at this between two steps and raises `RetryLater` makes the shutdown quick and
        clean; one that does not is cancelled when the grace period ends, and runs again elsewhere.
        """
        return self.asks_stop()

    @property
    def is_last_attempt(self) -> bool:
        """Whether an error in this attempt is final."""
        return self.attempt >= self.max_attempts


TaskFunction = Callable[..., Awaitable[Any]]
"""`async def function(context: JobContext, **args)`."""

FailureHook = Callable[[JobContext, BaseException], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A task by its name, as background jobs refer to it.

    Examples
    --------
    >>> async def send_report(context: JobContext, recipient: str) -> None: ...
    >>> TaskDefinition("send_report", send_report).name
    'send_report'
    """

    name: str
    function: TaskFunction
    retry: RetryPolicy = DEFAULT_RETRY
    is_heavy: bool = False
    """Whether a run keeps its whole process busy. A server that runs such a job leaves the next one to an idler
    server for a moment before it claims it itself, so that work spreads over all processes."""
    on_failure: FailureHook | None = None
    """Called with the last error once no attempt is left, before the job is marked as failed. When it raises, the
    job does not fail yet: it comes back after `retry.max_seconds` and the hook gets another chance, so what it
    settles cannot be left unsettled. It may be called more than once."""
