"""Recurring jobs in the engine's tables."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Final, LiteralString

from psycopg.errors import LockNotAvailable
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from bulkport.database import DEFAULT_SCHEMA
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection, Statements
from bulkport.jobs.errors import RecurringJobAlreadyDeclared, UnknownRecurringJob
from bulkport.jobs.job import JobState
from bulkport.jobs.port.recurring import MissedRuns, RecurringDefinition, RecurringJob, RecurringRun, RecurringStore
from bulkport.jobs.postgres import recurring_queries as queries
from bulkport.jobs.postgres.rows import as_arguments, job_id_of, utc_or_none
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
        self._statements = Statements(pool, schema)
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
        rows = await self._fetch(connection, queries.GET, {"id": recurring_id}, only_reads=True)
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
        rows = await self._fetch(connection, queries.SEARCH, arguments, only_reads=True)
        return [_recurring_job(row) for row in rows]

    async def _existing(self, recurring_id: str, connection: "AnyConnection | None") -> RecurringJob:
        return _recurring_job(await self._row(recurring_id, connection))

    async def _row(self, recurring_id: str, connection: "AnyConnection | None") -> DictRow:
        rows = await self._fetch(connection, queries.GET, {"id": recurring_id})
        if not rows:
            raise _unknown(recurring_id)
        return rows[0]

    async def _fetch(
        self,
        given: "AnyConnection | None",
        query: LiteralString,
        arguments: Mapping[str, Any],
        *,
        only_reads: bool = False,
    ) -> list[DictRow]:
        # What cannot be stored is found nowhere.
        storable = {name: storable_text(each) if isinstance(each, str) else each for name, each in arguments.items()}
        run = self._statements.read if only_reads else self._statements.fetch
        return await run(query, storable, given)


async def write_declared(
    fetch: Fetch, declared: Mapping[str, RecurringDefinition], patience: str | None = None
) -> bool:
    """Write new and changed declarations, and remove those that no code has used for a week.

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
    arguments = {name: getattr(definition, name) for name in _DEFINED} | {
        "args": Jsonb(definition.args),
        "concurrency_limit": None if definition.concurrency_key is None else definition.concurrency_limit,
        "in_code": in_code,
        "next_at": definition.schedule.next_after(row["now"]),
        "patience": patience,
    }
    await fetch(queries.ADD_OR_UPDATE, arguments)


def _unknown(recurring_id: str) -> UnknownRecurringJob:
    return UnknownRecurringJob(f"there is no recurring job {recurring_id!r}")


_DEFINED: Final = tuple(each.name for each in fields(RecurringDefinition))
_SHOWN: Final = tuple(each.name for each in fields(RecurringJob) if each.name != "definition")
_TIMES: Final = ("paused_at", "next_at", "last_at", "last_job_at", "created_at", "updated_at")


def _recurring_job(row: DictRow) -> RecurringJob:
    known = row | {
        "id": row["recurring_id"],
        "args": as_arguments(_read_json(row["args"])),
        "concurrency_limit": row["concurrency_limit"] or 1,
        "missed": MissedRuns(row["missed"]),
        "last_job_id": None if row["last_job_id"] is None else job_id_of(row["last_job_id"]),
        "last_job_state": None if row["last_job_state"] is None else JobState(row["last_job_state"]),
        "runs": tuple(
            RecurringRun(job_id_of(job_id), JobState(state))
            for job_id, state in zip(row["run_ids"], row["run_states"], strict=True)
        ),
        **{name: utc_or_none(row[name]) for name in _TIMES},
    }
    definition = RecurringDefinition(**{name: known[name] for name in _DEFINED}, is_stored=True)
    return RecurringJob(definition, **{name: known[name] for name in _SHOWN})


def _read_json(value: Any) -> Any:
    """JSON as a driver gave it: of other drivers than psycopg it is text, unless the application had it otherwise."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        # It was read already, and is a JSON string.
        return value
