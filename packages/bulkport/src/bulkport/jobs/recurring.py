"""Recurring jobs in an application."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeAlias, TypedDict, TypeVar, Unpack

from bulkport.jobs.connections import AnyConnection
from bulkport.jobs.errors import RecurringJobAlreadyDeclared
from bulkport.jobs.forwarding import forwarded
from bulkport.jobs.port.recurring import MissedRuns, RecurringDefinition, RecurringJob, RecurringStore
from bulkport.jobs.schedule import Schedule
from bulkport.jobs.task import JobCall, Task
from bulkport.keywords import require_known

P = ParamSpec("P")
R = TypeVar("R")
Missed: TypeAlias = MissedRuns | Literal["skip", "once", "all"]


class RecurringOptions(TypedDict, total=False):
    """How a recurring job is set up."""

    timezone: str
    """IANA name; UTC by default."""
    args: Mapping[str, Any]
    """Arguments by name, if a task is given and no call."""
    queue: str
    """By default the task's."""
    priority: int
    """By default the task's."""
    missed: Missed
    """The policy for missed ticks; by default one job is made for all of them."""
    overlap: bool
    """Whether a tick makes a job although an earlier one has not ended; by default it does."""


def _store(jobs: "RecurringJobs") -> RecurringStore:
    return jobs.store()


class RecurringJobs:
    """Declares, controls and lists recurring jobs; from any process, also from one that runs no jobs.

    Each method takes a `connection` of the caller's, to take effect with its transaction; see
    `bulkport.jobs.connections`.

    Parameters
    ----------
    store
        Gives the store, once it is known.

    Examples
    --------
    In code, next to the task; written when a worker starts::

        @jobs.recurring("clean-up", cron="0 3 * * *", timezone="Europe/Berlin")
        @jobs.task
        async def clean_up() -> None: ...

    At run time::

        await jobs.recurring.add_or_update("report-7", send_report.call("ada@example.org"), cron="0 8 * * MON")
    """

    def __init__(self, store: Callable[[], RecurringStore]) -> None:
        self.store = store
        self._declared: dict[str, RecurringDefinition] = {}

    @property
    def declared(self) -> Sequence[RecurringDefinition]:
        """Those declared in code."""
        return tuple(self._declared.values())

    def __call__(
        self, recurring_id: str, *, cron: str, **options: Unpack[RecurringOptions]
    ) -> Callable[[Task[P, R]], Task[P, R]]:
        """Declare a recurring job in code; a decorator above the task's own.

        It is written to the database when a worker starts, and changed there when the declaration has changed; a
        pause stays. Only workers that declare it make its jobs. Removed from the code, it makes none any more, and
        it is forgotten when it has been overdue for a week. For parameters see `add_or_update`.

        Raises
        ------
        InvalidSchedule, ArgumentsDoNotFit, ValueError
            As `add_or_update`.
        RecurringJobAlreadyDeclared
            The id is taken.
        """

        def declare(task: Task[P, R]) -> Task[P, R]:
            definition = _definition(recurring_id, task, cron, options)
            if recurring_id in self._declared:
                raise RecurringJobAlreadyDeclared(f"the recurring job {recurring_id!r} is already declared")
            self._declared[recurring_id] = definition
            return task

        return declare

    async def add_or_update(
        self,
        recurring_id: str,
        work: Task[..., Any] | JobCall,
        *,
        cron: str,
        connection: "AnyConnection | None" = None,
        **options: Unpack[RecurringOptions],
    ) -> RecurringJob:
        """Add a recurring job, or change the one of this id.

        A new cron expression or zone resets the next tick; anything else keeps it.

        Parameters
        ----------
        work
            A call of a task, or a task and its `args` by name.
        cron
            See `bulkport.jobs.schedule`.
        options
            See `RecurringOptions`.

        Raises
        ------
        InvalidSchedule
            The cron expression or the time zone cannot be used; with the reason.
        ArgumentsDoNotFit
            The arguments do not fit the task.
        ValueError
            The id cannot be used, or the task's options hold what a recurring job does not take.
        """
        definition = _definition(recurring_id, work, cron, options)
        return await self.store().add_or_update(definition, connection)

    remove = forwarded(_store, RecurringStore.remove)
    pause = forwarded(_store, RecurringStore.pause)
    resume = forwarded(_store, RecurringStore.resume)
    trigger = forwarded(_store, RecurringStore.trigger)
    get = forwarded(_store, RecurringStore.get)
    list = forwarded(_store, RecurringStore.search)


def _definition(
    recurring_id: str, work: Task[..., Any] | JobCall, cron: str, options: RecurringOptions
) -> RecurringDefinition:
    require_known(options, RecurringOptions.__optional_keys__, "a recurring job")
    args = options.get("args")
    if isinstance(work, Task):
        call = work.call(**(args or {}))
    elif args is None:
        call = work
    else:
        raise ValueError("the arguments are in the call already: args= goes with a task")
    of_call = call.options
    if of_call.unique_key is not None:
        raise ValueError("a recurring job has no unique key: overlap=False makes no second one while one has not ended")
    definition = RecurringDefinition(
        id=recurring_id,
        task=call.task,
        cron=cron,
        timezone=options.get("timezone", "UTC"),
        args=call.args,
        queue=options.get("queue", of_call.queue),
        priority=options.get("priority", of_call.priority),
        user_id=of_call.user_id,
        concurrency_key=of_call.concurrency_key,
        concurrency_limit=of_call.concurrency_limit,
        missed=MissedRuns(options.get("missed", MissedRuns.ONCE)),
        overlap=options.get("overlap", True),
    )
    Schedule(definition.cron, definition.timezone)  # refused here, and not when a worker starts
    return definition
