"""Recurring jobs in the engine's tables."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, LiteralString

import psycopg
from psycopg.errors import LockNotAvailable
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from bulkport.database import DEFAULT_SCHEMA, in_schema
from bulkport.database.tolerant import fetch_tolerantly
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection, borrow, psycopg_in
from bulkport.jobs.errors import RecurringJobAlreadyDeclared, UnknownRecurringJob
from bulkport.jobs.job import JobState
from bulkport.jobs.port.recurring import MissedRuns, RecurringDefinition, RecurringJob, RecurringRun, RecurringStore
from bulkport.jobs.postgres import recurring_queries as queries
from bulkport.jobs.postgres.rows import as_arguments, in_utc, job_id_of, utc_or_none
from bulkport.jobs.schedule import Schedule
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool
from bulkport.sanitize import storable_text

_log = get_logger(__name__)

Fetch = Callable[[LiteralString, Mapping[str, Any]], Awaitable[list[DictRow]]]
"""Runs one statement with arguments by name and gives its rows."""


class PostgresRecurringStore(RecurringStore):
    """A `RecurringStore` on the engine's tables.

    Parameters
    ----------
    pool
        For calls that are given no connection.
    schema
        Where the tables are, for connections of callers.
    """

    def __init__(self, pool: AsyncPool | None, *, schema: str = DEFAULT_SCHEMA) -> None:
        self._pool = pool
        self._schema = schema
        self._declared: dict[str, RecurringDefinition] = {}

    @property
    def declared(self) -> Mapping[str, RecurringDefinition]:
        return self._declared

    def declare(self, definition: RecurringDefinition) -> None:
        if definition.id in self._declared:
            raise RecurringJobAlreadyDeclared(f"the recurring job {definition.id} is already declared")
        Schedule(definition.cron, definition.timezone)  # refused here, and not when a worker starts
        self._declared[definition.id] = definition

    async def write_declared(self, connection: "AnyConnection | None" = None) -> None:
        await write_declared(partial(self._fetch, connection), self._declared)

    async def add_or_update(
        self, definition: RecurringDefinition, connection: "AnyConnection | None" = None
    ) -> RecurringJob:
        await _write(partial(self._fetch, connection), definition, in_code=False)
        return await self._existing(definition.id, connection)

    async def remove(self, recurring_id: str, connection: "AnyConnection | None" = None) -> bool:
        return bool(await self._fetch(connection, queries.REMOVE, {"id": recurring_id}))

    async def pause(self, recurring_id: str, connection: "AnyConnection | None" = None) -> RecurringJob:
        await self._fetch(connection, queries.PAUSE, {"id": recurring_id})
        return await self._existing(recurring_id, connection)

    async def resume(self, recurring_id: str, connection: "AnyConnection | None" = None) -> RecurringJob:
        while True:
            row = await self._row(recurring_id, connection)
            schedule = Schedule(row["cron"], row["timezone"])
            arguments = {
                "id": recurring_id,
                "updated_at": row["updated_at"],
                "next_at": schedule.next_after(row["read_at"]),
            }
            if await self._fetch(connection, queries.RESUME, arguments):
                return await self._existing(recurring_id, connection)

    async def trigger(self, recurring_id: str, connection: "AnyConnection | None" = None) -> BackgroundJobId:
        rows = await self._fetch(connection, queries.TRIGGER, {"id": recurring_id, "jobs": 1})
        if not rows:
            raise _unknown(recurring_id)
        return job_id_of(rows[0]["job_id"])

    async def get(self, recurring_id: str, connection: "AnyConnection | None" = None) -> RecurringJob | None:
        rows = await self._read(connection, queries.GET, {"id": recurring_id})
        return _recurring_job(rows[0]) if rows else None

    async def search(
        self,
        text: str | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        is_overdue: bool = False,
        connection: "AnyConnection | None" = None,
    ) -> Sequence[RecurringJob]:
        arguments = {"text": text, "after": after, "limit": limit, "is_overdue": is_overdue}
        rows = await self._read(connection, queries.SEARCH, arguments)
        return [_recurring_job(row) for row in rows]

    async def _existing(self, recurring_id: str, connection: "AnyConnection | None") -> RecurringJob:
        return _recurring_job(await self._row(recurring_id, connection))

    async def _row(self, recurring_id: str, connection: "AnyConnection | None") -> DictRow:
        rows = await self._fetch(connection, queries.GET, {"id": recurring_id})
        if not rows:
            raise _unknown(recurring_id)
        return rows[0]

    async def _fetch(
        self, given: "AnyConnection | None", query: LiteralString, arguments: Mapping[str, Any]
    ) -> list[DictRow]:
        # What cannot be stored is found nowhere.
        arguments = {name: storable_text(each) if isinstance(each, str) else each for name, each in arguments.items()}
        used = None if given is None else await psycopg_in(given, self._schema)
        if isinstance(used, psycopg.Connection):
            with in_schema(used, self._schema), used.cursor(row_factory=dict_row) as cursor:
                cursor.execute(query, arguments, prepare=False)
                return cursor.fetchall() if cursor.description else []
        async with borrow(self._pool, used) as connection:
            with in_schema(connection, self._schema):
                waiting = connection.cursor(row_factory=dict_row)
            async with waiting:
                await waiting.execute(query, arguments, prepare=False)
                rows = await waiting.fetchall() if waiting.description else []
        of_caller: Any = used
        if not isinstance(of_caller, psycopg.AsyncConnection | None):
            # Of other drivers JSON is text, unless the application had it otherwise.
            for row in rows:
                if isinstance(args := row.get("args"), str):
                    row["args"] = json.loads(args)
        return rows

    async def _read(
        self, given: "AnyConnection | None", query: LiteralString, arguments: Mapping[str, Any]
    ) -> list[DictRow]:
        """As `_fetch`, of a statement that only reads."""
        if given is not None:
            return await self._fetch(given, query, arguments)
        stored = {name: storable_text(each) if isinstance(each, str) else each for name, each in arguments.items()}
        async with borrow(self._pool, None) as connection:
            return await fetch_tolerantly(
                lambda: connection.cursor(row_factory=dict_row),
                lambda cursor: cursor.execute(query, stored, prepare=False),
            )


async def write_declared(
    fetch: Fetch, declared: Mapping[str, RecurringDefinition], patience: str | None = None
) -> bool:
    """Write what code declares where it is new or changed, and forget what no code has acted on for a week.

    Parameters
    ----------
    patience
        Longest wait for a row that somebody holds, as PostgreSQL's `lock_timeout`; None: as the session says.

    Returns
    -------
    False: not all is written, as somebody holds a row.
    """
    is_written = True
    # In order, so that two servers that start together do not wait for each other in a circle.
    for recurring_id in sorted(declared):
        try:
            await _write(fetch, declared[recurring_id], in_code=True, patience=patience)
        except LockNotAvailable:
            if patience is None:
                raise
            is_written = False
    for row in await fetch(queries.FORGET_UNDECLARED, {"declared": list(declared)}):
        _log.warning("recurring job removed: no code declares it any more", recurring_id=row["recurring_id"])
    return is_written


async def _write(fetch: Fetch, definition: RecurringDefinition, *, in_code: bool, patience: str | None = None) -> None:
    (row,) = await fetch(queries.NOW, {})
    arguments = {
        "id": definition.id,
        "task": definition.task,
        "args": Jsonb(definition.args),
        "queue": definition.queue,
        "priority": definition.priority,
        "user_id": definition.user_id,
        "concurrency_key": definition.concurrency_key,
        "concurrency_limit": None if definition.concurrency_key is None else definition.concurrency_limit,
        "cron": definition.cron,
        "timezone": definition.timezone,
        "missed": definition.missed,
        "overlap": definition.overlap,
        "in_code": in_code,
        "next_at": definition.schedule.next_after(row["now"]),
        "patience": patience,
    }
    await fetch(queries.ADD_OR_UPDATE, arguments)


def _unknown(recurring_id: str) -> UnknownRecurringJob:
    return UnknownRecurringJob(f"there is no recurring job {recurring_id!r}")


def _recurring_job(row: DictRow) -> RecurringJob:
    return RecurringJob(
        definition=RecurringDefinition(
            id=row["recurring_id"],
            task=row["task"],
            cron=row["cron"],
            timezone=row["timezone"],
            args=as_arguments(row["args"]),
            queue=row["queue"],
            priority=row["priority"],
            user_id=row["user_id"],
            concurrency_key=row["concurrency_key"],
            concurrency_limit=row["concurrency_limit"] or 1,
            missed=MissedRuns(row["missed"]),
            overlap=row["overlap"],
            is_stored=True,
        ),
        in_code=row["in_code"],
        paused_at=utc_or_none(row["paused_at"]),
        next_at=utc_or_none(row["next_at"]),
        is_overdue=row["is_overdue"],
        last_at=utc_or_none(row["last_at"]),
        last_note=row["last_note"],
        last_job_id=None if row["last_job_id"] is None else job_id_of(row["last_job_id"]),
        last_job_state=None if row["last_job_state"] is None else JobState(row["last_job_state"]),
        last_job_at=utc_or_none(row["last_job_at"]),
        average_seconds=row["average_seconds"],
        runs=tuple(
            RecurringRun(job_id_of(job_id), JobState(state))
            for job_id, state in zip(row["run_ids"], row["run_states"], strict=True)
        ),
        created_at=in_utc(row["created_at"]),
        updated_at=in_utc(row["updated_at"]),
    )
