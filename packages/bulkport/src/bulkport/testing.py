"""For tests of applications: run what is queued, and look what was enqueued.

::

    async with bulkport.connect():
        await sign_up(client)
        await assert_enqueued(bulkport, welcome, "Acme")
        await drain(bulkport)
"""

import asyncio
from dataclasses import replace
from typing import Any, Final

from bulkport.app import Bulkport
from bulkport.jobs.job import JobState
from bulkport.jobs.reading.details import JobSummary
from bulkport.jobs.reading.query import JobQuery
from bulkport.jobs.task import Task

_WAITING: Final = (JobState.ENQUEUED, JobState.SCHEDULED, JobState.AWAITING, JobState.RETRYING)
_RUNNABLE: Final = (JobState.ENQUEUED, JobState.PROCESSING)
_LOOK_SECONDS: Final = 0.02


async def enqueued(bulkport: Bulkport, task: Task[..., Any]) -> list[JobSummary]:
    """Jobs of a task that wait, oldest first, at most 500."""
    page = await bulkport.search(JobQuery(states=_WAITING, task=task.name, descending=False), limit=500)
    return list(page.items)


async def assert_enqueued(bulkport: Bulkport, task: Task[..., Any], *args: Any, **kwargs: Any) -> JobSummary:
    """A waiting job of a task with these arguments.

    Raises
    ------
    AssertionError
        None waits; the message has those of the task that do.
    """
    wanted = dict(task.call(*args, **kwargs).args)
    waiting = await enqueued(bulkport, task)
    for job in waiting:
        if job.args == wanted:
            return job
    others = ", ".join(str(job.args) for job in waiting) or "none of it waits"
    raise AssertionError(f"no job of {task.name} waits with {wanted}: {others}")


async def drain(bulkport: Bulkport, *, timeout_seconds: float = 30.0) -> None:
    """Run all jobs and imports that may run now, and those that they enqueue, until none is left.

    Raises
    ------
    TimeoutError
        Some still run after `timeout_seconds`.
    """
    stop = asyncio.Event()
    settings = replace(bulkport.worker_settings, poll_seconds=0.1)
    worker = asyncio.create_task(bulkport.run_worker(stop, settings=settings))
    try:
        async with bulkport.connect(), asyncio.timeout(timeout_seconds):
            while not worker.done() and (await bulkport.count(JobQuery(states=_RUNNABLE), most=1)).jobs:  # noqa: ASYNC110 # the database tells
                await asyncio.sleep(_LOOK_SECONDS)
    finally:
        stop.set()
        await worker
