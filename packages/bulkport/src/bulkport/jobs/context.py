"""The functions that background jobs run, and the context of a run."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.job import JSONValue
from bulkport.jobs.retry import DEFAULT_RETRY, RetryLater, RetryPolicy
from bulkport.jobs.run_output import Progress, RunOutput


class JobCancelled(Exception):
    """This job was cancelled while it runs. Do not catch it; the job then ends as cancelled."""


class StopRequested(RetryLater):
    """The worker is shutting down. Do not catch it; the job then returns to its queue without a failed attempt.

    Another worker starts it again at once, with the last checkpoint that it saved.
    """


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
    is_overdue: Callable[[], bool] = field(default=lambda: False, repr=False)
    """Whether the run has exceeded its task's timeout."""
    output: RunOutput = field(default_factory=RunOutput, repr=False, compare=False)
    """Where progress, log lines and checkpoints go."""

    @property
    def cancel_requested(self) -> bool:
        """Whether this job was cancelled while it runs.

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

    def check(self) -> None:
        """Raise if the job should stop now. Call it between the steps of long tasks, especially in threads.

        Raises
        ------
        JobCancelled
            Somebody cancelled the job.
        StopRequested
            The worker is shutting down; the job goes back to its queue.
        TimeoutError
            The run has taken longer than the task's `timeout_seconds`.
        """
        if self.asks_cancel():
            raise JobCancelled(f"job {self.job_id} was cancelled")
        if self.is_overdue():
            raise TimeoutError(f"job {self.job_id} has run longer than its task allows")
        if self.asks_stop():
            raise StopRequested

    def progress(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Report the progress of the run. Never waits; written at most twice a second.

        Parameters
        ----------
        done, total
            In whatever unit the task counts; `total` None: not known.
        message
            What is being done, at most 500 characters.
        """
        self.output.set_progress(Progress(done, total, message))

    def log(self, message: str, level: str = "info") -> None:
        """Store a log line with the job: debug, info, warning or error. Never waits.

        At most 2,000 characters of a line and 1,000 lines of a job are stored.

        Raises
        ------
        ValueError
            There is no such level.
        """
        self.output.add_line(message, level)

    @property
    def checkpoint(self) -> JSONValue:
        """The last checkpoint of this job, from this or an earlier run; None if none was saved."""
        return self.output.checkpoint

    def save_checkpoint(self, value: JSONValue) -> None:
        """Store where a later run of this job can continue. Never waits.

        It is written within half a second and when the run ends; after the death of the worker the job goes on from
        the last one written.

        Raises
        ------
        ValueError
            It is not JSON, or more than 1 MiB of it.
        """
        self.output.set_checkpoint(value)


TaskFunction = Callable[..., Awaitable[Any]]
"""`async def function(context: JobContext, **args)`."""

FailureHook = Callable[[JobContext, BaseException], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How the jobs of a task run. Times are in seconds."""

    retry: RetryPolicy = DEFAULT_RETRY
    expected: tuple[type[BaseException], ...] = ()
    """Errors that the task's work brings with it, such as a receiver that is away: a line of the log without their
    traceback, which the attempt keeps."""
    is_heavy: bool = False
    """Whether a run keeps its whole process busy. A server that runs such a job leaves the next one to a less busy
    server for a moment before it claims it itself, so that work spreads over all processes."""
    max_result_bytes: int = 65_536
    """A result with longer JSON is not stored; the job still succeeds."""
    cancel_grace_seconds: float = 30.0
    """A run that has not ended so long after its cancellation is reported in the log."""
    on_failure: FailureHook | None = None
    """Called with the last error once no attempt is left, before the job is marked as failed. When it raises, the
    job does not fail yet: it comes back after `retry.max_seconds` and the hook gets another chance, so what it
    settles cannot be left unsettled. It may be called more than once."""


@dataclass(frozen=True, slots=True)
class TaskDefinition(RunSettings):
    """A task by its name, as background jobs refer to it.

    Examples
    --------
    >>> async def send_report(context: JobContext, recipient: str) -> None: ...
    >>> TaskDefinition("send_report", send_report).name
    'send_report'
    """

    name: str
    function: TaskFunction
