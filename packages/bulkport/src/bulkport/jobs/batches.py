"""Batches: jobs that are queued together, and jobs that run when all of them have ended."""

from typing import Any, Final, ParamSpec, overload

from bulkport.identifiers import AnyUserId, with_text_id
from bulkport.jobs.enqueueing import On, call_of, new_job, require_new
from bulkport.jobs.port import JobQueue, Outcome, Parent
from bulkport.jobs.port.queueing import CallerlessQueue
from bulkport.jobs.task import JobCall, Task, require_key
from bulkport.sanitize import storable_text

P = ParamSpec("P")

_JOBS_A_STATEMENT: Final = 1_000
_MOST_DESCRIPTION_LENGTH: Final = 500


class Batch:
    """Jobs to be queued together; made by `BackgroundJobs.batch`, which queues them at the end of its block.

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
