"""The engine port on PostgreSQL."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from psycopg import sql
from psycopg.rows import DictRow, dict_row, tuple_row

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.context import TaskDefinition
from bulkport.jobs.errors import JobAlreadyQueued, NotConnected, TaskAlreadyDeclared
from bulkport.jobs.job import DEFAULT_QUEUE, BackgroundJob, JobState
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.port.queueing import Connection, EnqueuedJob, NewJob, SyncConnection
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.borrowing import borrow
from bulkport.jobs.postgres.control import JobController
from bulkport.jobs.postgres.cron import CronScheduler
from bulkport.jobs.postgres.enqueueing import Enqueueing, refusals
from bulkport.jobs.postgres.error_text import join_error
from bulkport.jobs.postgres.ids import job_id_of, number_of
from bulkport.jobs.postgres.maintenance import prune_chore, rollup_chore
from bulkport.jobs.postgres.reading import PostgresJobReader
from bulkport.jobs.postgres.recurring import PostgresRecurringStore
from bulkport.jobs.postgres.times import utc_or_none
from bulkport.jobs.postgres.worker import ChoreFactory, Worker
from bulkport.pools import AsyncPool, prepares
from bulkport.telemetry import sending, without_carrier


class PostgresEngine:
    """A `JobEngine` on PostgreSQL.

    Parameters
    ----------
    pool
        For calls that are given no connection; its connections are autocommit ones. Not needed to enqueue.
    """

    def __init__(self, pool: AsyncPool | None = None) -> None:
        self._pool = pool
        self._tasks: dict[str, TaskDefinition] = {}
        self._reader = None if pool is None else PostgresJobReader(pool)
        self._control = JobController(pool, self._reader)
        self._recurring = PostgresRecurringStore(partial(borrow, pool))

    @property
    def reader(self) -> PostgresJobReader:
        """See `JobEngine.reader`."""
        if self._reader is None:
            raise NotConnected("this engine has no pool to read with")
        return self._reader

    @property
    def control(self) -> JobController:
        """See `JobEngine.control`."""
        return self._control

    @property
    def recurring(self) -> PostgresRecurringStore:
        """See `JobEngine.recurring`."""
        return self._recurring

    def add_task(self, definition: TaskDefinition) -> None:
        """See `JobEngine.add_task`."""
        if definition.name in self._tasks:
            raise TaskAlreadyDeclared(f"the task {definition.name} is declared already")
        self._tasks[definition.name] = definition

    async def enqueue(self, connection: Connection, job: NewJob) -> BackgroundJobId:
        """See `JobQueue.enqueue`."""
        (enqueued,) = await self.enqueue_many(connection, (job,))
        if not enqueued.is_new:
            raise JobAlreadyQueued(enqueued.id)
        return enqueued.id

    async def enqueue_many(self, connection: Connection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """See `JobQueue.enqueue_many`."""
        wanted = list(jobs)
        if not wanted:
            return []
        with refusals(), sending(wanted[0].queue, len(wanted)):
            statement = Enqueueing.of(wanted)
            assert statement is not None
            async with connection.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(statement.query, statement.arguments, prepare=prepares(connection))
                return statement.enqueued(await cursor.fetchall())

    def enqueue_many_sync(self, connection: SyncConnection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        """See `JobQueue.enqueue_many_sync`."""
        wanted = list(jobs)
        if not wanted:
            return []
        with (
            refusals(),
            sending(wanted[0].queue, len(wanted)),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            statement = Enqueueing.of(wanted)
            assert statement is not None
            cursor.execute(statement.query, statement.arguments, prepare=False)
            return statement.enqueued(cursor.fetchall())

    async def open_batch(
        self, connection: Connection, description: str | None = None, user_id: str | None = None
    ) -> int:
        """See `JobQueue.open_batch`."""
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(queries.OPEN_BATCH, (description, user_id), prepare=False)
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def seal_batch(self, connection: Connection, batch_id: int) -> bool:
        """See `JobQueue.seal_batch`."""
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(queries.SEAL_BATCH, (batch_id,), prepare=False)
            row = await cursor.fetchone()
        return row is not None and bool(row[0])

    def enqueue_call(
        self,
        task: str,
        args: sql.Composable,
        *,
        queue: str = DEFAULT_QUEUE,
        user_id: sql.Composable | None = None,
    ) -> sql.Composed:
        """See `JobQueue.enqueue_call`."""
        return queries.ENQUEUE_CALL.format(task=task, queue=queue, args=args, user_id=user_id or sql.NULL)

    async def look_up(self, job_id: BackgroundJobId, connection: Connection | None = None) -> BackgroundJob | None:
        """See `JobEngine.look_up`."""
        number = number_of(job_id)
        if number is None:
            return None
        async with borrow(self._pool, connection) as used, used.cursor(row_factory=dict_row) as cursor:
            row = await (await cursor.execute(queries.LOOK_UP, (number,), prepare=False)).fetchone()
        return None if row is None else _snapshot(number, row)

    async def unfinished_among(
        self, job_ids: Iterable[BackgroundJobId], connection: Connection | None = None
    ) -> set[BackgroundJobId]:
        """See `JobEngine.unfinished_among`."""
        numbers = [number for job_id in job_ids if (number := number_of(job_id)) is not None]
        async with borrow(self._pool, connection) as used, used.cursor(row_factory=tuple_row) as cursor:
            rows = await (await cursor.execute(queries.UNFINISHED_AMONG, (numbers,), prepare=False)).fetchall()
        return {job_id_of(row[0]) for row in rows}

    async def rescue(
        self, server_names: Sequence[str] | None = None, connection: Connection | None = None
    ) -> list[BackgroundJobId]:
        """See `JobEngine.rescue`."""
        names = None if server_names is None else list(server_names)
        async with (
            borrow(self._pool, connection) as used,
            # Together, or another server finds the jobs first and they are missing from the answer.
            used.transaction(),
            used.cursor(row_factory=tuple_row) as cursor,
        ):
            await cursor.execute(queries.EVICT_NAMED, {"names": names}, prepare=False)
            rows = await (await cursor.execute(queries.RESCUE, prepare=False)).fetchall()
        return [job_id_of(row[0]) for row in rows]

    async def run_worker(self, options: WorkerOptions, stop: asyncio.Event) -> None:
        """See `JobEngine.run_worker`."""
        chores: list[ChoreFactory] = [
            lambda connection: CronScheduler(connection, self._recurring.declared).chore(),
            rollup_chore,
            lambda connection: prune_chore(connection, options.retention),
        ]
        await Worker(self._tasks.values(), options, stop, chores).run()


def _snapshot(number: int, row: DictRow) -> BackgroundJob:
    last_error = row["error_type"] and join_error(row["error_type"], row["error"])
    state = JobState(row["state"])
    return BackgroundJob(
        id=job_id_of(number),
        task=row["task"],
        queue=row["queue"],
        args=without_carrier(row["args"]),
        state=state,
        attempts=row["failures"] + (state in {JobState.PROCESSING, JobState.SUCCEEDED}),
        priority=row["priority"],
        scheduled_at=utc_or_none(row["due_at"]),
        last_error=last_error,
        user_id=row["user_id"],
        result=row["result"],
    )
