"""One run of a task: from the claimed job to its outcome."""

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from procrastinate.job_context import AbortReason
from procrastinate.job_context import JobContext as EngineContext

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.context import JobContext, TaskDefinition
from bulkport.jobs.errors import ArgumentsDoNotFit, WorkerDied
from bulkport.jobs.exceptions import JobCancelled
from bulkport.jobs.job import JSONValue
from bulkport.jobs.procrastinate_engine.error_text import describe, message_of, printable
from bulkport.jobs.procrastinate_engine.ledger import JobLedger
from bulkport.jobs.procrastinate_engine.outcomes import Ending, RunOutcome
from bulkport.jobs.retry import RetryLater
from bulkport.jobs.run_output import RunNotes
from bulkport.jobs.sanitize import NotStorable, storable_json
from bulkport.logs import get_logger

_log = get_logger(__name__)

T = TypeVar("T")


class TaskRunner:
    """Runs the jobs of one task.

    Parameters
    ----------
    definition
        The task.
    ledger
        Where outcomes go.
    is_stopping
        Whether the worker is shutting down.
    """

    def __init__(self, definition: TaskDefinition, ledger: JobLedger, is_stopping: Callable[[], bool]) -> None:
        self._definition = definition
        self._ledger = ledger
        self._is_stopping = is_stopping
        self._signature = inspect.signature(definition.function)

    async def run(self, engine_context: EngineContext, /, **args: Any) -> None:
        """Run one job, and leave its outcome with the ledger, which Procrastinate's worker then has it write.

        Nothing that a task raises comes out of here: the worker would only log it once more.
        """
        run = _Run(self._definition, self._ledger, self._is_stopping, engine_context)
        self._ledger.begin(engine_context.job)
        try:
            outcome = await run.outcome(args, self._signature)
        except BaseException as error:
            # BaseException: neither SystemExit nor anything else that a task raises may end the worker.
            outcome = await _uninterrupted(run.outcome_of(error))
        if run.notes.needs_finish:
            await _uninterrupted(run.notes.finish())
        self._ledger.decide(engine_context.job, outcome)


class _Run:
    """One run of one job."""

    notes: RunNotes

    def __init__(
        self,
        definition: TaskDefinition,
        ledger: JobLedger,
        is_stopping: Callable[[], bool],
        engine_context: EngineContext,
    ) -> None:
        self._definition = definition
        self._ledger = ledger
        self._engine_context = engine_context
        self._job = engine_context.job
        self._is_stopping = is_stopping
        self._begun = time.monotonic()
        self._claim = ledger.claim_of(engine_context.job)
        self.notes = RunNotes()

    async def outcome(self, args: dict[str, Any], signature: inspect.Signature) -> RunOutcome:
        """Run the task's function; its errors pass."""
        self.notes = await self._ledger.notes_of(self._job)
        most = self._definition.retry.max_lost_runs
        if most is not None and self._claim.lost_runs >= most:
            raise WorkerDied(f"the worker died {self._claim.lost_runs} times while it ran this job")
        context = self._context(self._claim.failures)
        try:
            signature.bind(context, **args)
        except TypeError as error:
            raise ArgumentsDoNotFit(f"the arguments do not fit {self._definition.name}: {error}") from None
        value = await self._definition.function(context, **args)
        seconds = self._seconds
        result, note = (None, None) if value is None else self._storable(value)
        return RunOutcome(Ending.SUCCEEDED, seconds, result, note)

    async def outcome_of(self, error: BaseException) -> RunOutcome:
        """What an error comes to."""
        seconds = self._seconds
        log = self._log()
        reason = self._engine_context.abort_reason()
        if reason is AbortReason.USER_REQUEST or isinstance(error, JobCancelled):
            log.info("job cancelled")
            said = message_of(error) if isinstance(error, JobCancelled) and reason is None else None
            return RunOutcome(Ending.CANCELLED, seconds, error=said)
        if reason is AbortReason.SHUTDOWN:
            log.info("job handed back")
            return RunOutcome(Ending.HANDED_BACK, seconds)
        if isinstance(error, RetryLater):
            ending = Ending.HANDED_BACK if self._is_stopping() and not error.delay_seconds else Ending.AGAIN
            priority = self._job.priority - 1 if error.lower_priority else None
            return RunOutcome(ending, seconds, delay_seconds=error.delay_seconds, priority=priority)
        return await self._judge(error, seconds, log)

    async def _judge(self, error: BaseException, seconds: float, log: Any) -> RunOutcome:
        """Decide what comes after a failed attempt."""
        policy = self._definition.retry
        failures = self._claim.failures + 1
        log = log.bind(attempt=failures, max_attempts=policy.max_attempts, error=describe(error))
        is_hopeless = isinstance(error, ArgumentsDoNotFit | WorkerDied)
        if not is_hopeless and policy.allows_attempt_after(failures, error):
            delay = policy.delay_after(failures)
            log.warning("attempt failed", retry_seconds=round(delay, 2), exc_info=printable(error))
            return RunOutcome.of_error(Ending.RETRY, error, seconds, delay)
        if self._definition.on_failure is not None:
            try:
                await self._definition.on_failure(self._context(failures - 1), error)
            except BaseException:
                log.exception("failure could not be settled", retry_seconds=policy.max_seconds)
                return RunOutcome.of_error(Ending.RETRY, error, seconds, policy.max_seconds)
        log.error("job failed", exc_info=printable(error))
        return RunOutcome.of_error(Ending.FAILED, error, seconds)

    def _storable(self, value: Any) -> tuple[JSONValue, str | None]:
        """The result as it can be kept, or why it cannot."""
        try:
            return storable_json(value, most_bytes=self._definition.max_result_bytes), None
        except Exception as error:
            # Whatever: a result may be of a class whose own conversion raises, and the task has done its work.
            why = f"its result was not kept: {message_of(error) if isinstance(error, NotStorable) else describe(error)}"
            self._log().warning("result not kept", why=why)
            return None, why

    def _context(self, failures: int) -> JobContext:
        job, engine_context = self._job, self._engine_context
        return JobContext(
            job_id=BackgroundJobId(str(job.id)),
            task=job.task_name,
            args=job.task_kwargs,
            priority=job.priority,
            attempt=failures + 1,
            max_attempts=self._definition.retry.max_attempts,
            asks_cancel=lambda: engine_context.abort_reason() is AbortReason.USER_REQUEST,
            asks_stop=self._is_stopping,
            notes=self.notes,
        )

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _log(self) -> Any:
        return _log.bind(job_id=self._job.id, task=self._job.task_name)


async def _uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end, cancelled or not: what it decides must not be lost half-way."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
        except Exception:
            break
    return task.result()
