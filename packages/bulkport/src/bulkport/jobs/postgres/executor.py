"""Runs of tasks: a single run from claim to outcome, and the concurrent runs of a worker."""

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal, TypeVar

from bulkport import telemetry
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.context import JobCancelled, JobContext, TaskDefinition
from bulkport.jobs.errors import ArgumentsDoNotFit, WorkerDied
from bulkport.jobs.job import JSONValue
from bulkport.jobs.postgres.completer import Completer, EndedRun, Ending, RunResult, describe, message_of, printable
from bulkport.jobs.postgres.producer import ClaimedJob
from bulkport.jobs.postgres.run_output import RunOutputStore
from bulkport.jobs.retry import RetryLater
from bulkport.jobs.run_output import RunOutput
from bulkport.jobs.threads import report_unended
from bulkport.logs import bind_log_values, get_logger
from bulkport.sanitize import NotStorable, storable_json

_log = get_logger(__name__)

T = TypeVar("T")

AbortReason = Literal["cancelled", "shutdown"]


class Run:
    """One run of one job.

    Parameters
    ----------
    definition
        The job's task, with its function's `signature`.
    job
        As it was claimed.
    output
        Where progress, log lines and checkpoints go.
    is_stopping
        Whether the worker is shutting down.
    """

    def __init__(
        self,
        definition: TaskDefinition,
        signature: inspect.Signature,
        job: ClaimedJob,
        output: RunOutputStore,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.job = job
        self.definition = definition
        self.abort_reason: AbortReason | None = None
        """Why it is to end, once it is."""
        self._signature = signature
        self._output = output
        self._is_stopping = is_stopping
        self._begun = time.monotonic()
        self._run_output = RunOutput()

    async def outcome(self) -> RunResult:
        """Run the task's function; its exceptions do not propagate."""
        # Every line logged during the run, even by the task's own code, names the job.
        bind_log_values(job_id=self.job.job_id, task=self.job.task)
        try:
            outcome = await self._attempt()
        except BaseException as error:
            # BaseException: neither SystemExit nor anything else that a task raises may end the worker.
            outcome = await _uninterrupted(self._outcome_of(error))
        if self._run_output.needs_finish:
            await _uninterrupted(self._run_output.finish())
        return outcome

    async def _attempt(self) -> RunResult:
        job, definition = self.job, self.definition
        self._run_output = await self._output.output_of(job.job_id, job.runs)
        most = definition.retry.max_lost_runs
        if most is not None and job.lost_runs >= most:
            raise WorkerDied(f"the worker died {job.lost_runs} times while it ran this job")
        context = self._context(job.failures)
        args = telemetry.without_carrier(job.args)
        try:
            self._signature.bind(context, **args)
        except TypeError as error:
            raise ArgumentsDoNotFit(f"the arguments do not fit {definition.name}: {error}") from None
        with telemetry.processing(job.task, job.queue, job.job_id, job.failures + 1, job.args):
            value = await definition.function(context, **args)
        seconds = self._seconds
        result, note = (None, None) if value is None else self._storable(value)
        return RunResult(Ending.SUCCEEDED, seconds, result, note)

    async def _outcome_of(self, error: BaseException) -> RunResult:
        """The outcome of an error."""
        seconds = self._seconds
        log = self._log()
        reason = self.abort_reason
        if reason == "cancelled" or isinstance(error, JobCancelled):
            log.info("job cancelled")
            said = message_of(error) if isinstance(error, JobCancelled) and reason is None else None
            return RunResult(Ending.CANCELLED, seconds, error=said)
        if reason == "shutdown":
            log.info("job returned to queue")
            return RunResult(Ending.HANDED_BACK, seconds)
        if isinstance(error, RetryLater):
            ending = Ending.HANDED_BACK if self._is_stopping() and not error.delay_seconds else Ending.AGAIN
            priority = max(self.job.priority - 1, -(2**31)) if error.lower_priority else None
            return RunResult(ending, seconds, delay=error.delay_seconds, priority=priority)
        return await self._failed_outcome(error, seconds, log)

    async def _failed_outcome(self, error: BaseException, seconds: float, log: Any) -> RunResult:
        """Decide what follows a failed attempt."""
        policy = self.definition.retry
        failures = self.job.failures + 1
        log = log.bind(attempt=failures, max_attempts=policy.max_attempts, error=describe(error))
        is_hopeless = isinstance(error, ArgumentsDoNotFit | WorkerDied)
        if not is_hopeless and policy.allows_attempt_after(failures, error):
            delay = policy.delay_after(failures)
            log.warning("attempt failed", retry_seconds=round(delay, 2), exc_info=self._shown(error))
            return RunResult.of_error(Ending.RETRY, error, seconds, delay)
        if self.definition.on_failure is not None:
            try:
                await self.definition.on_failure(self._context(failures - 1), error)
            except BaseException:
                log.exception("failure could not be recorded", retry_seconds=policy.max_seconds)
                return RunResult.of_error(Ending.RETRY, error, seconds, policy.max_seconds)
        log.error("job failed", exc_info=self._shown(error))
        return RunResult.of_error(Ending.FAILED, error, seconds)

    def _shown(self, error: BaseException) -> BaseException | None:
        """The error whose traceback the log shows."""
        return None if isinstance(error, self.definition.expected) else printable(error)

    def _storable(self, value: Any) -> tuple[JSONValue, str | None]:
        """The result as JSON that can be stored, or why it cannot be."""
        try:
            return storable_json(value, most_bytes=self.definition.max_result_bytes), None
        except Exception as error:
            # Any exception: a result's own conversion may raise, and the task has done its work.
            why = (
                f"its result was not stored: {message_of(error) if isinstance(error, NotStorable) else describe(error)}"
            )
            self._log().warning("result not stored", why=why)
            return None, why

    def _context(self, failures: int) -> JobContext:
        job = self.job
        return JobContext(
            job_id=BackgroundJobId(str(job.job_id)),
            task=job.task,
            args=telemetry.without_carrier(job.args),
            priority=job.priority,
            attempt=failures + 1,
            max_attempts=self.definition.retry.max_attempts,
            asks_cancel=self._asks_cancel,
            asks_stop=self._is_stopping,
            output=self._run_output,
        )

    def _asks_cancel(self) -> bool:
        return self.abort_reason == "cancelled"

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _log(self) -> Any:
        return _log.bind(job_id=self.job.job_id, task=self.job.task)


async def _uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even if cancelled, because its outcome must not be lost halfway."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
        except Exception:
            break
    return task.result()


class RunningJobs:
    """Runs jobs and passes on their outcomes.

    Parameters
    ----------
    tasks
        What jobs may run.
    completer
        Writes outcomes.
    output
        Stores the output of runs.
    is_stopping
        Whether the worker is shutting down.
    on_ended
        Called when a job has ended, and another may run.
    """

    def __init__(
        self,
        tasks: Iterable[TaskDefinition],
        completer: Completer,
        output: RunOutputStore,
        is_stopping: Callable[[], bool],
        on_ended: Callable[[], None],
    ) -> None:
        self._definitions = {task.name: (task, inspect.signature(task.function)) for task in tasks}
        self._completer = completer
        self._output = output
        self._is_stopping = is_stopping
        self._on_ended = on_ended
        self._runs: dict[asyncio.Task[None], Run] = {}
        self._by_id: dict[int, asyncio.Task[None]] = {}
        self._held: set[tuple[int, int]] = set()
        self._heavy: set[Run] = set()

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

    def holds(self, job_id: int, runs: int) -> bool:
        """Whether the job's run with this number is still running, or its outcome is not yet written."""
        return (job_id, runs) in self._held

    def forget(self, job_id: int, runs: int) -> None:
        """The outcome of that run is written, or cannot be."""
        self._held.discard((job_id, runs))

    def described(self) -> dict["asyncio.Task[object]", tuple[int, str]]:
        """Id and task of each running job, by the asyncio task it runs in."""
        return {task: (run.job.job_id, run.job.task) for task, run in self._runs.items()}

    def find(self, job_id: int) -> "asyncio.Task[None] | None":
        """The asyncio task of a job; None: it does not run here."""
        return self._by_id.get(job_id)

    def start(self, job: ClaimedJob) -> None:
        """Run a job.

        An earlier run that is still running here has lost its job: it is cancelled, and this one starts after it.
        """
        definition, signature = self._definitions[job.task]
        run = Run(definition, signature, job, self._output, self._is_stopping)
        self._held.add((job.job_id, job.runs))
        if definition.is_heavy:
            self._heavy.add(run)
        earlier = self._by_id.get(job.job_id)
        if earlier is not None:
            self._abort(earlier, self._runs[earlier], "shutdown", "its job was put back")
        task = asyncio.create_task(self._run(run, earlier), name=f"job {job.job_id}")
        self._runs[task] = run
        self._by_id[job.job_id] = task

    async def _run(self, run: Run, earlier: "asyncio.Task[None] | None") -> None:
        job = run.job
        try:
            if earlier is not None:
                await asyncio.wait({earlier})
            outcome = await run.outcome()
        finally:
            # A run cancelled before its first step has not begun; the rescuer finds its job.
            task = asyncio.current_task()
            assert task is not None
            del self._runs[task]
            if self._by_id.get(job.job_id) is task:
                del self._by_id[job.job_id]
            self._heavy.discard(run)
        self._completer.add(EndedRun(job.job_id, job.runs, job.task, outcome))
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
