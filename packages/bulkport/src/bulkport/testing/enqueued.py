"""What was enqueued and has not run."""

from typing import Any, Final

from bulkport.app import Bulkport
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.port.query import JobQuery
from bulkport.jobs.task import Task

_WAITING: Final = (JobState.ENQUEUED, JobState.SCHEDULED, JobState.AWAITING, JobState.RETRYING)


async def enqueued(bulkport: Bulkport, task: Task[..., Any]) -> list[JobSummary]:
    """Jobs of a task that wait, oldest first, at most 500."""
    page = await bulkport.search(JobQuery(states=_WAITING, task=task.name, descending=False), limit=500)
    return list(page.items)


async def assert_enqueued(bulkport: Bulkport, task: Task[..., Any], /, *args: Any, **kwargs: Any) -> JobSummary:
    """A waiting job of a task with these arguments; without any, of whatever arguments.

    The first one that was enqueued is returned: its queue, priority or time can be looked at.

    Raises
    ------
    AssertionError
        None waits; the message has those of the task that do.
    ArgumentsDoNotFit
        The task takes no such arguments.
    """
    wanted = dict(task.call(*args, **kwargs).args) if args or kwargs else None
    waiting = await enqueued(bulkport, task)
    for job in waiting:
        if wanted is None or job.args == wanted:
            return job
    others = ", ".join(str(job.args) for job in waiting) or "none of it waits"
    with_ = "" if wanted is None else f" with {wanted}"
    raise AssertionError(f"no job of {task.name} waits{with_}: {others}")


async def assert_not_enqueued(bulkport: Bulkport, task: Task[..., Any], /, *args: Any, **kwargs: Any) -> None:
    """No job of a task waits with these arguments; without any, with whatever arguments.

    Raises
    ------
    AssertionError
        One waits.
    """
    wanted = dict(task.call(*args, **kwargs).args) if args or kwargs else None
    for job in await enqueued(bulkport, task):
        if wanted is None or job.args == wanted:
            raise AssertionError(f"a job of {task.name} waits: {job.args}")
