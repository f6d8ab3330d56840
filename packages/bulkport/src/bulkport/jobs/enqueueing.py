"""From a task, or a call of one, to the job that an engine queues."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.errors import JobAlreadyQueued
from bulkport.jobs.port import EnqueuedJob, NewJob, Outcome, Parent
from bulkport.jobs.task import JobCall, Task

On: TypeAlias = Outcome | Literal["succeeded", "failed", "finished"]
"""How a job or a batch must have ended for a job that waits for it to run."""


def call_of(what: JobCall | Task[..., Any], args: Sequence[object], kwargs: Mapping[str, object]) -> JobCall:
    """The call that is meant by a call, or by a task and its arguments.

    Raises
    ------
    ArgumentsDoNotFit
        See `Task.call`.
    TypeError
        It is neither, or a call with further arguments.
    """
    if isinstance(what, Task):
        return what.call(*args, **kwargs)
    if not isinstance(what, JobCall):
        raise TypeError(f"{what!r} is no task, nor a call of one: declare the function with @bulkport.task")
    if args or kwargs:
        raise TypeError("a call has its arguments already")
    return what


def new_job(
    call: JobCall,
    *,
    at: datetime | None = None,
    in_: float | timedelta | None = None,
    parents: Iterable[Parent] = (),
    batch_id: int | None = None,
) -> NewJob:
    """The job of a call.

    Parameters
    ----------
    at, in_
        When it may start at the earliest: an aware time, or seconds from now by the database's clock.

    Raises
    ------
    ValueError
        See `require_start`; or both are given.
    """
    delay = in_.total_seconds() if isinstance(in_, timedelta) else in_
    options = call.options
    return NewJob(
        call.task,
        call.args,
        queue=options.queue,
        priority=options.priority,
        at=at,
        delay=delay,
        user_id=options.user_id,
        unique_key=options.unique_key,
        unique_for=None if options.unique_key is None else options.unique_for,
        concurrency_key=options.concurrency_key,
        concurrency_limit=None if options.concurrency_key is None else options.concurrency_limit,
        rate_key=None if options.rate_limit is None else options.rate_key or call.task,
        rate_limit=options.rate_limit,
        rate_seconds=options.rate_seconds,
        batch_id=batch_id,
        parents=tuple(parents),
        tags=tuple(options.tags),
    )


def scheduled_job(call: JobCall, at: datetime | None, in_: float | timedelta | None) -> NewJob:
    """The job of a call that is for later; otherwise as `new_job`.

    Raises
    ------
    ValueError
        Not exactly one of `at` and `in_` is given.
    """
    if (at is None) == (in_ is None):
        raise ValueError("give either at= or in_=")
    return new_job(call, at=at, in_=in_)


def parents_of(parents: BackgroundJobId | Iterable[BackgroundJobId], on: On) -> list[Parent]:
    """What a job waits for that waits for these jobs.

    Raises
    ------
    ValueError
        There is no job to wait for, or no such outcome.
    TypeError
        What is given is no id, and no ids.
    """
    if not isinstance(parents, Iterable):
        raise TypeError(f"the id of a job is text: {parents!r}")
    ids = [parents] if isinstance(parents, str) else list(parents)
    if not ids:
        raise ValueError("a continuation needs a job to wait for")
    return [Parent(job_id=parent, on=Outcome(on)) for parent in ids]


def only_new(enqueued: Sequence[EnqueuedJob]) -> BackgroundJobId:
    """The id of the one job.

    Raises
    ------
    JobAlreadyQueued
        It was waiting already.
    """
    require_new(enqueued)
    (job,) = enqueued
    return job.id


def require_new(enqueued: Iterable[EnqueuedJob]) -> None:
    """Refuse jobs that were waiting already.

    Raises
    ------
    JobAlreadyQueued
        One was, under its unique key.
    """
    for job in enqueued:
        if not job.is_new:
            raise JobAlreadyQueued(job.id)
