"""One run of a task: from the claimed job to the outcome that Procrastinate's worker then writes."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import structlog
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import AbortReason
from procrastinate.job_context import JobContext as EngineContext
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.utils import utcnow

from bulkport.background.errors import ArgumentsDoNotFit
from bulkport.background.procrastinate_engine.error_text import describe, printable
from bulkport.background.procrastinate_engine.ledger import JobLedger
from bulkport.background.retries import RetryLater
from bulkport.background.tasks import JobContext, TaskDefinition
from bulkport.identifiers import BackgroundJobId

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class _RunAgain(Exception):
    def __init__(self, delay_seconds: float = 0.0, priority: int | None = None) -> None:
        self.delay_seconds = delay_seconds
        self.priority = priority
        super().__init__()


class _Failed(Exception):
    """The last attempt failed."""


class RunAgainStrategy(BaseRetryStrategy):
    """Carries out what `TaskRun` has decided; Procrastinate asks it after each run that raised."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When the job is to run again; None: never."""
        if not isinstance(exception, _RunAgain):
            return None
        # The time must lie in the past for "at once": a later one would only be found by polling.
        return RetryDecision(
            retry_at=utcnow() + timedelta(seconds=exception.delay_seconds), priority=exception.priority
        )


class TaskRunner:
    """Runs the jobs of one task.

    Parameters
    ----------
    definition
        The task.
    ledger
        Where failed attempts are counted.
    is_stopping
        Whether the worker is shutting down.
    """

    def __init__(self, definition: TaskDefinition, ledger: JobLedger, is_stopping: Callable[[], bool]) -> None:
        self._definition = definition
        self._ledger = ledger
        self._is_stopping = is_stopping
        self._signature = inspect.signature(definition.function)

    async def run(self, engine_context: EngineContext, /, **args: Any) -> None:
        """Run one job.

        Raises
        ------
        Exception
            Anything but success, as an exception that `RunAgainStrategy` or Procrastinate understands.
        """
        job = engine_context.job
        self._ledger.begin(job)
        log = _log.bind(job_id=job.id, task=job.task_name)
        failures = 0
        try:
            # A job that never left 'doing' for its queue again cannot have failed before.
            failures = await self._ledger.failures(job) if job.attempts else 0
            context = self._context(engine_context, failures)
            self._check(context, args)
            await self._definition.function(context, **args)
        except BaseException as error:
            # BaseException: neither SystemExit nor anything else that a task raises may end the worker.
            reason = engine_context.abort_reason()
            if reason is AbortReason.USER_REQUEST:
                log.info("job cancelled")
                raise JobAborted from None
            if reason is AbortReason.SHUTDOWN:
                log.info("job handed back")
                raise _RunAgain from None
            if isinstance(error, RetryLater):
                priority = job.priority - 1 if error.lower_priority else None
                raise _RunAgain(error.delay_seconds, priority) from None
            outcome = await _uninterrupted(self._judge(error, engine_context, failures + 1, log))
            raise outcome from None

    async def _judge(self, error: BaseException, engine_context: EngineContext, failures: int, log: Any) -> Exception:
        """Count a failed attempt and decide what comes after it."""
        policy = self._definition.retry
        log = log.bind(attempt=failures, max_attempts=policy.max_attempts, error=describe(error))
        try:
            await self._ledger.record_failure(engine_context.job, failures, describe(error))
        except psycopg.Error:
            log.exception("failed attempt could not be counted")
        if policy.allows_attempt_after(failures) and not isinstance(error, ArgumentsDoNotFit):
            delay = policy.delay_after(failures)
            log.warning("attempt failed", retry_seconds=round(delay, 2), exc_info=printable(error))
            return _RunAgain(delay)
        if self._definition.on_failure is not None:
            try:
                await self._definition.on_failure(self._context(engine_context, failures - 1), error)
            except BaseException:
                log.exception("failure could not be settled", retry_seconds=policy.max_seconds)
                return _RunAgain(policy.max_seconds)
        log.error("job failed", exc_info=printable(error))
        return _Failed()

    def _context(self, engine_context: EngineContext, failures: int) -> JobContext:
        job = engine_context.job
        return JobContext(
            job_id=BackgroundJobId(str(job.id)),
            task=job.task_name,
            args=job.task_kwargs,
            priority=job.priority,
            attempt=failures + 1,
            max_attempts=self._definition.retry.max_attempts,
            asks_cancel=lambda: engine_context.abort_reason() is AbortReason.USER_REQUEST,
            asks_stop=self._is_stopping,
        )

    def _check(self, context: JobContext, args: dict[str, Any]) -> None:
        try:
            self._signature.bind(context, **args)
        except TypeError as error:
            raise ArgumentsDoNotFit(f"the arguments do not fit {self._definition.name}: {error}") from None


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
