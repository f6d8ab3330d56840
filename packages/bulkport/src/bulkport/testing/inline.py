"""Jobs that run when they are enqueued, in the process of the test and without a database."""

import asyncio
import heapq
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.errors import ParentNotFound, UnknownTask
from bulkport.jobs.job import BackgroundJob, JobState, JSONValue
from bulkport.jobs.port.queueing import EnqueuedJob, NewJob, Outcome
from bulkport.jobs.retry import RetryLater
from bulkport.jobs.threads import TaskThreads
from bulkport.sanitize import storable_json
from bulkport.testing.context import RecordedContext, job_context

_THREADS = 4


@dataclass(slots=True, eq=False)
class InlineJob:
    """A job that was enqueued while `inline` was in force."""

    id: BackgroundJobId
    new: NewJob
    """As it was enqueued: queue, priority, keys, times."""
    state: JobState = JobState.ENQUEUED
    result: JSONValue = None
    error: BaseException | None = None
    """Of the last attempt."""
    failures: int = 0
    runs: int = 0
    due_at: datetime | None = None
    """By the clock of `InlineJobs`; None: it does not wait for a time."""
    context: RecordedContext | None = None
    """Of the last run: its progress and log lines."""
    checkpoint: JSONValue = None

    @property
    def task(self) -> str:
        """Name of its task."""
        return self.new.task

    @property
    def args(self) -> dict[str, JSONValue]:
        """As they are stored."""
        return dict(self.new.args)


@dataclass(slots=True)
class _Batch:
    jobs: list[InlineJob] = field(default_factory=list)
    is_sealed: bool = False


class InlineJobs:
    """Runs jobs when they are enqueued; made by `inline`.

    A job for later, a retry and `RetryLater` wait for `advance`, a continuation for its parents. Keys and limits are
    not looked at.
    """

    def __init__(self, calls: JobCalls, *, raise_errors: bool) -> None:
        self._calls = calls
        self._raise_errors = raise_errors
        self._threads = TaskThreads(_THREADS)
        self._ids = itertools.count(1)
        self._order = itertools.count()
        self._batches: dict[int, _Batch] = {}
        self._due: list[tuple[datetime, int, InlineJob]] = []
        self.now = datetime.now(UTC)
        """What time it is for jobs; only `advance` moves it."""
        self.jobs: list[InlineJob] = []
        """All jobs, in the order in which they were enqueued."""

    def of(self, task: Any) -> list[InlineJob]:
        """The jobs of a task."""
        return [job for job in self.jobs if job.task == task.name]

    async def advance(self, by: timedelta | None = None, /, **units: float) -> None:
        """Move the clock, and run what becomes due on the way, each at its time: `await jobs.advance(hours=2)`."""
        until = self.now + (by if by is not None else timedelta(**units))
        while self._due and self._due[0][0] <= until:
            due_at, _, job = heapq.heappop(self._due)
            self.now = max(self.now, due_at)
            if job.state in (JobState.SCHEDULED, JobState.RETRYING):
                await self._run(job)
        self.now = until

    # What `Bulkport` asks of a queue

    async def enqueue_many(self, connection: object, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """Take jobs, and run those that wait for nothing."""
        added = [self._add(new) for new in jobs]
        for job in added:
            if job.due_at is not None:
                job.state = JobState.SCHEDULED
                heapq.heappush(self._due, (job.due_at, next(self._order), job))
            elif job.new.parents:
                job.state = JobState.AWAITING
                await self._continue(job)
            else:
                await self._run(job)
        return [EnqueuedJob(job.id, is_new=True) for job in added]

    def enqueue_many_sync(self, connection: object, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """As `enqueue_many`, for code without an event loop: the jobs run on one in a thread of their own."""
        given = list(jobs)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="inline jobs") as thread:
            return thread.submit(lambda: asyncio.run(self.enqueue_many(None, given))).result()

    async def open_batch(self, connection: object, description: str | None = None, user_id: str | None = None) -> int:
        """Begin a batch."""
        self._batches[len(self._batches) + 1] = _Batch()
        return len(self._batches)

    async def seal_batch(self, connection: object, batch_id: int) -> bool:
        """End a batch and run its continuations."""
        self._batches[batch_id].is_sealed = True
        await self._continue_all()
        return True

    def get(self, job_id: BackgroundJobId) -> BackgroundJob | None:
        """The current state of a job."""
        job = self._find(job_id)
        if job is None:
            return None
        return BackgroundJob(
            id=job.id,
            task=job.task,
            queue=job.new.queue,
            args=job.args,
            state=job.state,
            attempts=job.failures + (job.state is JobState.SUCCEEDED),
            priority=job.new.priority,
            scheduled_at=job.due_at,
            last_error=None if job.error is None else f"{type(job.error).__name__}: {job.error}",
            user_id=job.new.user_id,
            result=job.result,
        )

    def close(self) -> None:
        """Let the threads of sync tasks end."""
        self._threads.close()

    def _add(self, new: NewJob) -> InlineJob:
        job = InlineJob(BackgroundJobId(str(next(self._ids))), new)
        if new.task not in self._calls.tasks:
            raise UnknownTask(f"no task of this process is called {new.task}")
        for parent in new.parents:
            if parent.job_id is not None and self._find(parent.job_id) is None:
                raise ParentNotFound
        if new.at is not None and new.at > self.now:
            job.due_at = new.at
        elif new.delay:
            job.due_at = self.now + timedelta(seconds=new.delay)
        if new.batch_id is not None:
            self._batches[new.batch_id].jobs.append(job)
        self.jobs.append(job)
        return job

    def _find(self, job_id: BackgroundJobId) -> InlineJob | None:
        return next((job for job in self.jobs if job.id == job_id), None)

    async def _run(self, job: InlineJob) -> None:
        task = self._calls.tasks[job.task]
        definition = task.definition(self._threads)
        job.state, job.due_at = JobState.PROCESSING, None
        job.context = job_context(
            job.args,
            task=job.task,
            job_id=job.id,
            priority=job.new.priority,
            attempt=job.failures + 1,
            max_attempts=definition.retry.max_attempts,
            checkpoint=job.checkpoint,
        )
        try:
            result = await definition.function(job.context, **job.args)
            job.result = storable_json(result, most_bytes=definition.max_result_bytes)
        except RetryLater as later:
            self._wait(job, JobState.SCHEDULED, later.delay_seconds)
        except Exception as error:
            job.error = error
            job.failures += 1
            if self._raise_errors:
                job.state = JobState.FAILED
                raise
            if definition.retry.allows_attempt_after(job.failures, error):
                self._wait(job, JobState.RETRYING, definition.retry.delay_after(job.failures))
            else:
                if definition.on_failure is not None:
                    await definition.on_failure(job.context, error)
                job.state = JobState.FAILED
        else:
            job.state = JobState.SUCCEEDED
        finally:
            job.runs += 1
            job.checkpoint = job.context.checkpoint
        if job.state.is_final:
            await self._continue_all()

    def _wait(self, job: InlineJob, state: JobState, seconds: float) -> None:
        job.state, job.due_at = state, self.now + timedelta(seconds=seconds)
        heapq.heappush(self._due, (job.due_at, next(self._order), job))

    async def _continue_all(self) -> None:
        for job in [job for job in self.jobs if job.state is JobState.AWAITING]:
            await self._continue(job)

    async def _continue(self, job: InlineJob) -> None:
        wishes = [self._wish(parent.job_id, parent.batch_id, parent.on) for parent in job.new.parents]
        if False in wishes:
            job.state = JobState.CANCELLED
            await self._continue_all()
        elif None not in wishes and job.state is JobState.AWAITING:
            await self._run(job)

    def _wish(self, job_id: BackgroundJobId | None, batch_id: int | None, on: Outcome) -> bool | None:
        """Whether a parent has ended as a continuation wants it; None: it has not ended."""
        if job_id is not None:
            parent = self._find(job_id)
            parents = [] if parent is None else [parent]
        else:
            assert batch_id is not None
            batch = self._batches[batch_id]
            parents = batch.jobs
            if not batch.is_sealed:
                return None
        if not all(parent.state.is_final for parent in parents):
            return None
        all_succeeded = all(parent.state is JobState.SUCCEEDED for parent in parents)
        return on is Outcome.FINISHED or all_succeeded is (on is Outcome.SUCCEEDED)


@contextmanager
def inline(calls: JobCalls, *, raise_errors: bool = True) -> Iterator[InlineJobs]:
    """Run the jobs of a `Bulkport` when they are enqueued, for as long as the context lasts; needs no database.

    A job runs before `enqueue` returns, also where `connection=` is given: whether a rolled-back transaction leaves no
    job is for a test with `drain` to show.

    Parameters
    ----------
    raise_errors
        Whether an error of a task is raised by `enqueue`; otherwise it is kept, and the job retried as it would be.

    Examples
    --------
    >>> with inline(bulkport) as jobs:
    ...     await bulkport.enqueue(send_report, "ada@example.org", 2026)
    ...     assert jobs.jobs[0].result == 12
    """
    jobs = InlineJobs(calls, raise_errors=raise_errors)
    with calls.enqueueing_to(jobs):
        try:
            yield jobs
        finally:
            jobs.close()
