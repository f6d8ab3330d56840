"""A `JobContext` for unit tests of a task's function."""

from collections.abc import Mapping
from typing import Final

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.context import JobContext
from bulkport.jobs.job import JSONValue
from bulkport.jobs.run_output import LogLine, Progress, RunOutput, StoredOutput

_JOB_ID: Final = BackgroundJobId("1")


class _Recorded(RunOutput):
    """Records the output of a run."""

    def __init__(self, checkpoint: JSONValue = None) -> None:
        super().__init__(stored=StoredOutput(checkpoint))
        self.asks_cancel = False
        self.asks_stop = False
        self.progress: list[Progress] = []

    @property
    def lines(self) -> list[LogLine]:
        return self._pending.lines

    def set_progress(self, progress: Progress) -> None:
        super().set_progress(progress)
        self.progress.append(progress)


class RecordedContext(JobContext):
    """The run of a job that a test plays; made by `job_context`."""

    __slots__ = ()

    @property
    def _recorded(self) -> _Recorded:
        assert isinstance(self.output, _Recorded)
        return self.output

    @property
    def progress_reports(self) -> list[Progress]:
        """The progress that the task reported, in its order."""
        return list(self._recorded.progress)

    @property
    def lines(self) -> list[LogLine]:
        """What the task logged."""
        return list(self._recorded.lines)

    def request_cancel(self) -> None:
        """As if somebody cancelled the job: `check` raises `JobCancelled`."""
        self._recorded.asks_cancel = True

    def request_stop(self) -> None:
        """As if the worker shut down: `check` raises `StopRequested`."""
        self._recorded.asks_stop = True


def job_context(
    args: Mapping[str, JSONValue] | None = None,
    *,
    task: str = "task",
    job_id: str = _JOB_ID,
    priority: int = 0,
    attempt: int = 1,
    max_attempts: int = 10,
    checkpoint: JSONValue = None,
) -> RecordedContext:
    """What the function of a task takes as its `JobContext`; it stores nothing.

    Parameters
    ----------
    checkpoint
        What an earlier run saved.

    Examples
    --------
    >>> context = job_context(attempt=3, max_attempts=3)
    >>> await sync_orders.function(context, "acme")
    >>> context.progress_reports[-1].done
    """
    output = _Recorded(checkpoint)
    return RecordedContext(
        job_id=BackgroundJobId(job_id),
        task=task,
        args=args or {},
        priority=priority,
        attempt=attempt,
        max_attempts=max_attempts,
        asks_cancel=lambda: output.asks_cancel,
        asks_stop=lambda: output.asks_stop,
        output=output,
    )
