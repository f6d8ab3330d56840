"""Run what is queued, and move the clock that it waits for."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from bulkport.app import Bulkport
from bulkport.database import cursor_classes
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.port.query import JobQuery, JobSort

_POLL_SECONDS: Final = 0.02
_PAGE: Final = 500

_ADVANCE: Final[LiteralString] = """
    WITH jobs AS (
        UPDATE bulkport.jobs SET due_at = due_at - %(by)s WHERE state IN ('scheduled', 'retrying')
    ), keys AS (
        UPDATE bulkport.unique_keys SET taken_at = taken_at - %(by)s, expires_at = expires_at - %(by)s
    ), rates AS (
        UPDATE bulkport.rate_limits SET taken_at = taken_at - %(by)s, full_at = full_at - %(by)s
    )
    UPDATE bulkport.bulk_import_jobs SET start_at = start_at - %(by)s
    WHERE start_at IS NOT NULL AND completed_at IS NULL
"""
"""Every time that is waited for comes `by` (an interval) sooner."""

_RUNNABLE: Final[LiteralString] = """
    SELECT EXISTS (
        SELECT FROM bulkport.jobs job
        WHERE (state IN ('enqueued', 'processing')
               OR (state IN ('scheduled', 'retrying') AND due_at <= clock_timestamp()))
          AND (state = 'processing'
               OR ((task = ANY (%(tasks)s) OR starts_with(task, 'bulkport.'))
                   AND NOT EXISTS (SELECT FROM bulkport.paused_tasks paused WHERE paused.task = job.task)
                   AND NOT EXISTS (SELECT FROM bulkport.queues WHERE name = job.queue AND paused_at IS NOT NULL)))
    )
"""
"""Whether a job runs, or may run now in a process that knows these tasks."""

_NEXT_DUE: Final[LiteralString] = """
    SELECT min(due_at) - clock_timestamp() FROM bulkport.jobs WHERE state IN ('scheduled', 'retrying')
"""
"""How long until the next job is due; NULL: none waits for its time."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The outcomes of the jobs that ran."""

    jobs: tuple[JobSummary, ...]
    """Those that have ended, in the order of their ends."""
    retrying: tuple[JobSummary, ...]
    """Those that wait for their next attempt, with the error of the last one."""

    @property
    def succeeded(self) -> int:
        """Jobs that succeeded."""
        return self._count(JobState.SUCCEEDED)

    @property
    def failed(self) -> int:
        """Jobs that permanently failed; see also `retrying`."""
        return self._count(JobState.FAILED)

    @property
    def cancelled(self) -> int:
        """Jobs that were cancelled."""
        return self._count(JobState.CANCELLED)

    def raise_errors(self) -> None:
        """Raise if an attempt failed.

        Raises
        ------
        AssertionError
            Naming task, arguments and error of each.
        """
        wrong = [job for job in (*self.jobs, *self.retrying) if job.error_type and job.state is not JobState.SUCCEEDED]
        if wrong:
            lines = (f"{job.task}({job.args}): {job.error_type}: {job.error}" for job in wrong)
            raise AssertionError("jobs failed:\n" + "\n".join(lines))

    def _count(self, state: JobState) -> int:
        return sum(job.state is state for job in self.jobs)


async def advance(bulkport: Bulkport, by: timedelta | None = None, /, **units: float) -> None:
    """Move the clock that jobs wait for: `await advance(bulkport, hours=2)`; `drain` then runs those that are due.

    Scheduled jobs, next attempts, unique keys that are taken for a time, rate limits and imports with a start time come
    so much sooner. Times that are kept of the past stay, and so do the ticks of recurring jobs.

    Raises
    ------
    ValueError
        A clock does not go back.
    """
    step = by if by is not None else timedelta(**units)
    if step < timedelta():
        raise ValueError(f"the clock cannot go back: {step}")
    async with await _connect(bulkport) as connection:
        await connection.execute(_ADVANCE, {"by": step})


async def drain(
    bulkport: Bulkport, *, with_scheduled: bool = False, raise_errors: bool = False, timeout_seconds: float = 30.0
) -> Drained:
    """Run all jobs and imports that may run now, and those that they enqueue, until none is left.

    They run as in a worker process, each in transactions of its own. Jobs of paused queues and of tasks that this
    process does not know stay.

    Parameters
    ----------
    with_scheduled
        Run those that wait for a time too, and next attempts: the clock moves from one to the next (see `advance`).
    raise_errors
        Raise `AssertionError` if an attempt failed.

    Raises
    ------
    TimeoutError
        Some still run after `timeout_seconds`.
    """
    stop = asyncio.Event()
    settings = replace(bulkport.worker_settings, poll_seconds=0.1)
    async with await _connect(bulkport) as connection:
        since = await _value(connection, "SELECT clock_timestamp()")
        worker = asyncio.create_task(bulkport.run_worker(stop, settings=settings))
        try:
            async with asyncio.timeout(timeout_seconds):
                while not worker.done():
                    if await _value(connection, _RUNNABLE, {"tasks": list(bulkport.tasks)}):
                        await asyncio.sleep(_POLL_SECONDS)
                        continue
                    due_in = await _value(connection, _NEXT_DUE) if with_scheduled else None
                    if due_in is None:
                        break
                    await connection.execute(_ADVANCE, {"by": max(due_in, timedelta())})
        finally:
            stop.set()
            await worker
    async with bulkport.connect(check=False):
        drained = Drained(await _ended(bulkport, since), await _retrying(bulkport))
    if raise_errors:
        drained.raise_errors()
    return drained


async def _connect(bulkport: Bulkport) -> AsyncConnection[Any]:
    return await AsyncConnection.connect(
        bulkport.database_url, autocommit=True, cursor_factory=cursor_classes(bulkport.schema)[1]
    )


async def _value(connection: AsyncConnection[Any], query: Any, arguments: dict[str, Any] | None = None) -> Any:
    row = await (await connection.execute(query, arguments)).fetchone()
    assert row is not None
    return row[0]


async def _ended(bulkport: Bulkport, since: datetime) -> tuple[JobSummary, ...]:
    query = JobQuery(finished_since=since, sort=JobSort.FINISHED, descending=False)
    return await _all(bulkport, query)


async def _retrying(bulkport: Bulkport) -> tuple[JobSummary, ...]:
    return await _all(bulkport, JobQuery(states=[JobState.RETRYING], descending=False))


async def _all(bulkport: Bulkport, query: JobQuery) -> tuple[JobSummary, ...]:
    found: list[JobSummary] = []
    cursor = None
    while True:
        page = await bulkport.search(query, cursor=cursor, limit=_PAGE)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return tuple(found)
