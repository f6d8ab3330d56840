"""The engine port on Procrastinate."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from procrastinate.manager import QUEUEING_LOCK_CONSTRAINT
from psycopg import AsyncConnection, sql
from psycopg.errors import UniqueViolation
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from bulkport.background.errors import JobAlreadyQueued, TaskAlreadyDeclared
from bulkport.background.jobs import DEFAULT_QUEUE, BackgroundJob, JobState, JSONValue
from bulkport.background.port import WorkerOptions
from bulkport.background.procrastinate_engine import queries
from bulkport.background.procrastinate_engine.session import WorkerSession
from bulkport.background.tasks import TaskDefinition
from bulkport.identifiers import MAX_BIGINT, BackgroundJobId

_STATES: Final = {
    "doing": JobState.PROCESSING,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
    "aborted": JobState.CANCELLED,
}


class ProcrastinateEngine:
    """A `JobEngine` on Procrastinate's tables and functions.

    Parameters
    ----------
    pool
        For calls that are given no connection; its connections are autocommit ones. Not needed to enqueue.
    """

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]] | None = None) -> None:
        self._pool = pool
        self._tasks: dict[str, TaskDefinition] = {}

    def add_task(self, definition: TaskDefinition) -> None:
        """See `JobEngine.add_task`."""
        if definition.name in self._tasks:
            raise TaskAlreadyDeclared(f"the task {definition.name} is declared already")
        self._tasks[definition.name] = definition

    async def enqueue(
        self,
        connection: AsyncConnection[Any],
        task: str,
        args: Mapping[str, JSONValue],
        *,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        lock: str | None = None,
        queueing_lock: str | None = None,
    ) -> BackgroundJobId:
        """See `JobEngine.enqueue`."""
        return await self._insert(connection, (queue, task, priority, lock, queueing_lock, Jsonb(args), None))

    async def schedule(
        self,
        connection: AsyncConnection[Any],
        task: str,
        args: Mapping[str, JSONValue],
        *,
        at: datetime,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        lock: str | None = None,
        queueing_lock: str | None = None,
    ) -> BackgroundJobId:
        """See `JobEngine.schedule`."""
        if at.utcoffset() is None:
            raise ValueError("a job's time needs a time zone")
        return await self._insert(connection, (queue, task, priority, lock, queueing_lock, Jsonb(args), at))

    def enqueue_call(self, task: str, args: sql.Composable, *, queue: str = DEFAULT_QUEUE) -> sql.Composed:
        """See `JobEngine.enqueue_call`."""
        return queries.ENQUEUE_CALL.format(task=task, queue=queue, args=args)

    async def cancel(self, job_id: BackgroundJobId, connection: AsyncConnection[Any] | None = None) -> bool:
        """See `JobEngine.cancel`."""
        number = _number(job_id)
        if number is None:
            return False
        async with self._connection(connection) as used, used.cursor(row_factory=tuple_row) as cursor:
            row = await (await cursor.execute(queries.CANCEL, (number,))).fetchone()
        return row is not None and row[0] is not None

    async def look_up(
        self, job_id: BackgroundJobId, connection: AsyncConnection[Any] | None = None
    ) -> BackgroundJob | None:
        """See `JobEngine.look_up`."""
        number = _number(job_id)
        if number is None:
            return None
        async with self._connection(connection) as used, used.cursor(row_factory=tuple_row) as cursor:
            row = await (await cursor.execute(queries.LOOK_UP, (number,))).fetchone()
        if row is None:
            return None
        task, queue, args, status, scheduled_at, is_ahead, priority, failures, error = row
        state = _STATES.get(status) or _waiting_state(failures, is_ahead=bool(is_ahead))
        return BackgroundJob(
            id=BackgroundJobId(str(number)),
            task=task,
            queue=queue,
            args=args,
            state=state,
            attempts=failures + (state in {JobState.PROCESSING, JobState.SUCCEEDED}),
            priority=priority,
            scheduled_at=None if scheduled_at is None else scheduled_at.astimezone(UTC),
            last_error=error,
        )

    async def rescue(
        self, server_names: Sequence[str] | None = None, connection: AsyncConnection[Any] | None = None
    ) -> list[BackgroundJobId]:
        """See `JobEngine.rescue`."""
        names = None if server_names is None else list(server_names)
        async with (
            self._connection(connection) as used,
            # Together, or another server finds the jobs first and they are missing from the answer.
            used.transaction(),
            used.cursor(row_factory=tuple_row) as cursor,
        ):
            await cursor.execute(queries.EVICT_NAMED, {"names": names})
            rows = await (await cursor.execute(queries.REQUEUE_ORPHANS)).fetchall()
        return [BackgroundJobId(str(row[0])) for row in rows]

    async def run_worker(self, options: WorkerOptions, stop: asyncio.Event) -> None:
        """See `JobEngine.run_worker`."""
        await WorkerSession(self._tasks.values(), options, stop).run()

    async def _insert(self, connection: AsyncConnection[Any], job: tuple[object, ...]) -> BackgroundJobId:
        try:
            async with connection.cursor(row_factory=tuple_row) as cursor:
                row = await (await cursor.execute(queries.ENQUEUE, job)).fetchone()
        except UniqueViolation as error:
            if error.diag.constraint_name == QUEUEING_LOCK_CONSTRAINT:
                raise JobAlreadyQueued from error
            raise
        assert row is not None
        return BackgroundJobId(str(row[0]))

    @asynccontextmanager
    async def _connection(self, given: AsyncConnection[Any] | None) -> AsyncIterator[AsyncConnection[Any]]:
        if given is not None:
            yield given
            return
        if self._pool is None:
            raise RuntimeError("this engine has no pool: pass a connection")
        async with self._pool.connection() as connection:
            yield connection


def _waiting_state(failures: int, *, is_ahead: bool) -> JobState:
    if failures:
        return JobState.RETRYING
    return JobState.SCHEDULED if is_ahead else JobState.ENQUEUED


def _number(job_id: str) -> int | None:
    """The engine's number for an id that may come from outside; None when it cannot be one."""
    if not (job_id.isascii() and job_id.isdecimal()):
        return None
    number = int(job_id) if len(job_id) <= len(str(MAX_BIGINT)) else 0
    return number if 0 < number <= MAX_BIGINT else None
