"""The engine port on PostgreSQL."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString, Self

from psycopg import sql
from psycopg.errors import ForeignKeyViolation, ObjectNotInPrerequisiteState
from psycopg.rows import DictRow, tuple_row

from bulkport.database import DEFAULT_SCHEMA
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection, Statements, borrow
from bulkport.jobs.context import TaskDefinition
from bulkport.jobs.errors import BatchClosed, JobAlreadyQueued, NotConnected, ParentNotFound, TaskAlreadyDeclared
from bulkport.jobs.job import DEFAULT_QUEUE, BackgroundJob, JobState
from bulkport.jobs.port import JobEngine, WorkerOptions
from bulkport.jobs.port.queueing import Connection, EnqueuedJob, NewJob, Parent, SyncConnection
from bulkport.jobs.postgres import queries
from bulkport.jobs.postgres.completer import join_error
from bulkport.jobs.postgres.control import JobController
from bulkport.jobs.postgres.cron import CronScheduler
from bulkport.jobs.postgres.maintenance import prune_chore, rollup_chore
from bulkport.jobs.postgres.reading import PostgresJobReader
from bulkport.jobs.postgres.recurring import PostgresRecurringStore
from bulkport.jobs.postgres.rows import job_id_of, number_of, utc_or_none
from bulkport.jobs.postgres.worker import ChoreFactory, Worker
from bulkport.pools import AsyncPool, prepares
from bulkport.telemetry import carried, sending, without_carrier

_OPTIONS: Final = ("delay", "unique_key", "unique_for", "batch_id")


@dataclass(frozen=True, slots=True)
class Enqueueing:
    """A statement that enqueues jobs."""

    query: LiteralString
    arguments: Sequence[Any]
    is_plain: bool
    """It enqueues jobs that may run at once, and answers with their ids alone, in their order."""

    @classmethod
    def of(cls, wanted: Sequence[NewJob]) -> Self:
        """The statement for these jobs.

        Raises
        ------
        ParentNotFound
            What one is to wait for can be no job.
        """
        trace = carried()
        is_plain = all(map(_is_plain, wanted))
        if is_plain and len(wanted) == 1:
            (job,) = wanted
            origin = None if job.origin_id is None else int(job.origin_id)
            args = json.dumps({**job.args, **trace})
            arguments = (job.task, job.queue, job.priority, args, job.user_id, job.recurring_id, origin)
            return cls(queries.ENQUEUE_ONE, arguments, is_plain)
        query, row = (queries.ENQUEUE_ALL_NOW, _plain_row) if is_plain else (queries.ENQUEUE, _row)
        return cls(query, (json.dumps([row(job, trace) for job in wanted]),), is_plain)

    def enqueued(self, rows: Sequence[tuple[Any, ...]]) -> list[EnqueuedJob]:
        """The answer, in the order of the jobs."""
        if self.is_plain:
            return [EnqueuedJob(job_id_of(job_id), is_new=True) for (job_id,) in rows]
        return [EnqueuedJob(job_id_of(job_id), is_new) for _, job_id, is_new in sorted(rows)]


@contextmanager
def refusals() -> Iterator[None]:
    """Errors by which the database refuses a job, as the port's."""
    try:
        yield
    except ForeignKeyViolation as error:
        raise ParentNotFound(error.diag.message_primary) from error
    except ObjectNotInPrerequisiteState as error:
        raise BatchClosed(error.diag.message_primary) from error


def _is_plain(job: NewJob) -> bool:
    return not (
        job.delay is not None
        or job.at is not None
        or job.unique_key is not None
        or job.concurrency_key is not None
        or job.rate_key is not None
        or job.batch_id is not None
        or job.parents
        or job.tags
    )


def _plain_row(job: NewJob, trace: Mapping[str, str]) -> dict[str, Any]:
    """The job as a JSON object without absent members."""
    row: dict[str, Any] = {
        "task": job.task,
        "args": {**job.args, **trace} if trace else job.args,
        "queue": job.queue,
        "priority": job.priority,
    }
    if job.user_id is not None:
        row["user_id"] = job.user_id
    if job.recurring_id is not None:
        row["recurring_id"] = job.recurring_id
    if job.origin_id is not None:
        row["origin_id"] = int(job.origin_id)
    return row


def _row(job: NewJob, trace: Mapping[str, str]) -> dict[str, Any]:
    """Like `_plain_row`, with the members that a plain job does not have."""
    row = _plain_row(job, trace)
    for name in _OPTIONS:
        value = getattr(job, name)
        if value is not None:
            row[name] = value
    if job.at is not None:
        row["at"] = job.at.isoformat()
    if job.concurrency_key is not None:
        row |= {"concurrency_key": job.concurrency_key, "concurrency_limit": job.concurrency_limit or 1}
    if job.rate_key is not None:
        row |= {"rate_key": job.rate_key, "rate_limit": job.rate_limit or 1, "rate_seconds": job.rate_seconds}
    if job.tags:
        row["tags"] = list(job.tags)
    if job.parents:
        row["parents"] = [_parent(parent) for parent in job.parents]
    return row


def _parent(parent: Parent) -> dict[str, Any]:
    if parent.job_id is None:
        return {"batch_id": parent.batch_id, "on": parent.on.value}
    number = number_of(parent.job_id)
    if number is None:
        raise ParentNotFound(f"there is no job {parent.job_id} to wait for")
    return {"job_id": number, "on": parent.on.value}


class PostgresEngine(JobEngine):
    """A `JobEngine` on PostgreSQL.

    Parameters
    ----------
    pool
        For calls that are given no connection; its connections are autocommit ones. Not needed to enqueue.
    schema
        Where the tables are, for orders and recurring jobs on connections of callers.
    """

    def __init__(self, pool: AsyncPool | None = None, *, schema: str = DEFAULT_SCHEMA) -> None:
        self._pool = pool
        self._statements = Statements(pool, schema)
        self._tasks: dict[str, TaskDefinition] = {}
        self._reader = None if pool is None else PostgresJobReader(pool)
        self._control = JobController(pool, self._reader, schema=schema)
        self._recurring = PostgresRecurringStore(pool, schema=schema)

    @property
    def reader(self) -> PostgresJobReader:
        if self._reader is None:
            raise NotConnected("this engine has no pool to read with")
        return self._reader

    @property
    def control(self) -> JobController:
        return self._control

    @property
    def recurring(self) -> PostgresRecurringStore:
        return self._recurring

    def add_task(self, definition: TaskDefinition) -> None:
        if definition.name in self._tasks:
            raise TaskAlreadyDeclared(f"the task {definition.name} is already declared")
        self._tasks[definition.name] = definition

    async def enqueue(self, connection: Connection, job: NewJob) -> BackgroundJobId:
        (enqueued,) = await self.enqueue_many(connection, (job,))
        if not enqueued.is_new:
            raise JobAlreadyQueued(enqueued.id)
        return enqueued.id

    async def enqueue_many(self, connection: Connection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        wanted = list(jobs)
        if not wanted:
            return []
        with refusals(), sending(wanted[0].queue, len(wanted)):
            statement = Enqueueing.of(wanted)
            async with connection.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(statement.query, statement.arguments, prepare=prepares(connection))
                return statement.enqueued(await cursor.fetchall())

    def enqueue_many_sync(self, connection: SyncConnection, jobs: Iterable[NewJob]) -> list[EnqueuedJob]:
        wanted = list(jobs)
        if not wanted:
            return []
        with (
            refusals(),
            sending(wanted[0].queue, len(wanted)),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            statement = Enqueueing.of(wanted)
            cursor.execute(statement.query, statement.arguments, prepare=False)
            return statement.enqueued(cursor.fetchall())

    async def open_batch(
        self, connection: Connection, description: str | None = None, user_id: str | None = None
    ) -> int:
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(queries.OPEN_BATCH, (description, user_id), prepare=False)
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def seal_batch(self, connection: Connection, batch_id: int) -> bool:
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
        return queries.ENQUEUE_CALL.format(task=task, queue=queue, args=args, user_id=user_id or sql.NULL)

    async def look_up(self, job_id: BackgroundJobId, connection: "AnyConnection | None" = None) -> BackgroundJob | None:
        number = number_of(job_id)
        if number is None:
            return None
        rows = await self._statements.fetch(queries.LOOK_UP, {"job_id": number}, connection)
        return _snapshot(number, rows[0]) if rows else None

    async def unfinished_among(
        self, job_ids: Iterable[BackgroundJobId], connection: "AnyConnection | None" = None
    ) -> set[BackgroundJobId]:
        numbers = [number for job_id in job_ids if (number := number_of(job_id)) is not None]
        rows = await self._statements.fetch(queries.UNFINISHED_AMONG, {"job_ids": numbers}, connection)
        return {job_id_of(row["job_id"]) for row in rows}

    async def rescue(
        self, server_names: Sequence[str] | None = None, connection: Connection | None = None
    ) -> list[BackgroundJobId]:
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
        chores: list[ChoreFactory] = [
            lambda connection: CronScheduler(connection, self._recurring.declared).chore(),
            rollup_chore,
            lambda connection: prune_chore(connection, options.retention),
        ]
        tasks = [task for task in self._tasks.values() if options.heavy or not task.is_heavy]
        await Worker(tasks, options, stop, chores).run()


def _snapshot(number: int, row: DictRow) -> BackgroundJob:
    last_error = row["error_type"] and join_error(row["error_type"], row["error"])
    state = JobState(row["state"])
    return BackgroundJob(
        id=job_id_of(number),
        task=row["task"],
        queue=row["queue"],
        args=without_carrier(json.loads(row["args"])),
        state=state,
        attempts=row["failures"] + (state in {JobState.PROCESSING, JobState.SUCCEEDED}),
        priority=row["priority"],
        scheduled_at=utc_or_none(row["due_at"]),
        last_error=last_error,
        user_id=row["user_id"],
        result=None if row["result"] is None else json.loads(row["result"]),
    )
