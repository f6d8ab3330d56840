"""From a task, or a call of one, to the jobs that an engine queues: alone, and together in a batch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, ParamSpec, TypeAlias, overload

from bulkport.identifiers import AnyUserId, BackgroundJobId, with_text_id
from bulkport.jobs.errors import JobAlreadyQueued
from bulkport.jobs.port import EnqueuedJob, JobQueue, NewJob, Outcome, Parent
from bulkport.jobs.port.queueing import CallerlessQueue
from bulkport.jobs.task import JobCall, Task, require_key
from bulkport.sanitize import storable_text

P = ParamSpec("P")

_JOBS_A_STATEMENT: Final = 1_000
_MOST_DESCRIPTION_LENGTH: Final = 500

On: TypeAlias = Outcome | Literal["succeeded", "failed", "finished"]
"""How a job or a batch must have ended for a job that waits for it to run."""


def call_of(what: JobCall | Task[..., Any], args: Sequence[object], kwargs: Mapping[str, object]) -> JobCall:
    """The call given by a call, or by a task and its arguments.

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
        raise TypeError(f"{what!r} is neither a task nor a call of one: declare the function with @bulkport.task")
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
        What is given is not an id, and no ids.
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


class Batch:
    """Jobs to be queued together; made by `Bulkport.batch`, which queues them at the end of its block.

    Raises
    ------
    ValueError
        No job can have the user id.

    Examples
    --------
    >>> async with jobs.batch("reports of July") as batch:
    ...     for user in users:
    ...         batch.add(send_report.call(user))
    ...     batch.then(tell_everybody.call())
    >>> batch.id
    """

    def __init__(self, description: str | None, user_id: AnyUserId | None) -> None:
        self.description = None if description is None else storable_text(description, _MOST_DESCRIPTION_LENGTH)
        self.user_id = with_text_id(user_id)
        if self.user_id is not None:
            require_key("user_id", self.user_id)
        self._id: int | None = None
        self._calls: list[JobCall] = []
        self._continuations: list[tuple[JobCall, Outcome]] = []

    @property
    def id(self) -> int:
        """Id of the batch, once it is queued.

        Raises
        ------
        RuntimeError
            It is not queued yet.
        """
        if self._id is None:
            raise RuntimeError("a batch has no id before the end of its block")
        return self._id

    def __len__(self) -> int:
        return len(self._calls)

    @overload
    def add(self, call: JobCall, /) -> None: ...

    @overload
    def add(self, task: Task[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    def add(self, call: JobCall | Task[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Add a job.

        Raises
        ------
        ArgumentsDoNotFit
            See `Task.call`.
        RuntimeError
            The batch is queued already.
        """
        self._require_open()
        self._calls.append(call_of(call, args, kwargs))

    def then(self, call: JobCall, *, on: On = Outcome.SUCCEEDED) -> None:
        """Add a job that runs when all of the batch have ended.

        Parameters
        ----------
        on
            `succeeded`: if all did; `failed`: if one did not; `finished`: in any case. Otherwise it is cancelled.

        Raises
        ------
        RuntimeError
            The batch is queued already.
        """
        self._require_open()
        self._continuations.append((call_of(call, (), {}), Outcome(on)))

    def _require_open(self) -> None:
        if self._id is not None:
            raise RuntimeError("a batch takes no more jobs after the end of its block")

    async def queue(self, queue: JobQueue | CallerlessQueue, connection: Any) -> None:
        """Queue the batch in a transaction of the caller's.

        Raises
        ------
        JobAlreadyQueued
            A job with the unique key of one of its jobs is waiting.
        """
        batch_id = await queue.open_batch(connection, self.description, self.user_id)
        for begin in range(0, len(self._calls), _JOBS_A_STATEMENT):
            calls = self._calls[begin : begin + _JOBS_A_STATEMENT]
            require_new(await queue.enqueue_many(connection, [new_job(call, batch_id=batch_id) for call in calls]))
        waiting = [new_job(call, parents=[Parent(batch_id=batch_id, on=on)]) for call, on in self._continuations]
        require_new(await queue.enqueue_many(connection, waiting))
        await queue.seal_batch(connection, batch_id)
        self._id = batch_id
