"""The jobs that a worker runs at one time."""

import asyncio
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from bulkport.jobs.context import TaskDefinition
from bulkport.jobs.executor import report_unended
from bulkport.jobs.postgres.claims import ClaimedJob
from bulkport.jobs.postgres.executor import AbortReason, Run
from bulkport.jobs.postgres.outcomes import EndedRun, OutcomeWriter
from bulkport.jobs.postgres.run_output import RunOutputStore


class RunningJobs:
    """Runs jobs, and has their outcomes written.

    Parameters
    ----------
    tasks
        What jobs may run.
    writer
        Writes outcomes.
    output
        Keeps what runs say about themselves.
    is_stopping
        Whether the worker is shutting down.
    on_ended
        Called when a job has ended, and another may run.
    """

    def __init__(
        self,
        tasks: Iterable[TaskDefinition],
        writer: OutcomeWriter,
        output: RunOutputStore,
        is_stopping: Callable[[], bool],
        on_ended: Callable[[], None],
    ) -> None:
        self._definitions = {task.name: (task, inspect.signature(task.function)) for task in tasks}
        self._writer = writer
        self._output = output
        self._is_stopping = is_stopping
        self._on_ended = on_ended
        self._runs: dict[asyncio.Task[None], Run] = {}
        self._by_id: dict[int, asyncio.Task[None]] = {}
        self._held: set[int] = set()
        self._heavy: set[int] = set()

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that can be run."""
        return list(self._definitions)

    @property
    def heavy_tasks(self) -> list[str]:
        """Names of those that keep the process busy."""
        return [name for name, (task, _) in self._definitions.items() if task.is_heavy]

    @property
    def has_heavy(self) -> bool:
        """Whether a job runs that keeps the process busy."""
        return bool(self._heavy)

    def __len__(self) -> int:
        return len(self._runs)

    def holds(self, job_id: int) -> bool:
        """Whether the job runs, or its outcome is to be written."""
        return job_id in self._held

    def forget(self, job_id: int) -> None:
        """The job's outcome is written, or cannot be."""
        self._held.discard(job_id)

    def described(self) -> dict["asyncio.Task[object]", tuple[int, str]]:
        """Id and task of each running job, by the asyncio task it runs in."""
        return {task: (run.job.job_id, run.job.task) for task, run in self._runs.items()}

    def start(self, job: ClaimedJob) -> None:
        """Run a job."""
        definition, signature = self._definitions[job.task]
        run = Run(definition, signature, job, self._output, self._is_stopping)
        self._held.add(job.job_id)
        if definition.is_heavy:
            self._heavy.add(job.job_id)
        task = asyncio.create_task(self._run(run), name=f"job {job.job_id}")
        self._runs[task] = run
        self._by_id[job.job_id] = task

    async def _run(self, run: Run) -> None:
        job = run.job
        try:
            outcome = await run.outcome()
        finally:
            # Cancelled before its first step, nothing of it has begun: what it held is found by the rescuer.
            task = asyncio.current_task()
            assert task is not None
            del self._runs[task]
            del self._by_id[job.job_id]
            self._heavy.discard(job.job_id)
        self._writer.add(EndedRun(job.job_id, job.runs, job.task, outcome))
        self._on_ended()

    def cancel(self, job_id: int) -> None:
        """Cancel a job because somebody wants it to end; one that does not run here is ignored."""
        if (task := self._by_id.get(job_id)) is not None:
            self._abort(task, self._runs[task], "cancelled", "it was cancelled")

    def cancel_all(self) -> None:
        """Cancel all jobs because the worker ends."""
        for task, run in list(self._runs.items()):
            self._abort(task, run, "shutdown", "its worker shuts down")

    async def ended(self) -> None:
        """Wait until no job runs."""
        while self._runs:
            await asyncio.wait(set(self._runs))

    def _abort(self, task: "asyncio.Task[None]", run: Run, reason: AbortReason, why: str) -> None:
        # Once: a second cancellation would interrupt what the first one led to.
        if run.abort_reason is not None:
            return
        run.abort_reason = reason
        task.get_loop().call_soon(task.cancel)
        seconds = run.definition.cancel_grace_seconds
        report: Any = task.get_loop().call_later(
            seconds, report_unended, run.job.job_id, run.job.task, task, why, seconds
        )
        task.add_done_callback(lambda _: report.cancel())
