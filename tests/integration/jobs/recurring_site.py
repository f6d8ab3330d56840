"""A database with recurring jobs, as tests see it: stores and tickers of several servers, time moved in SQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from bulkport.jobs.port.recurring import RecurringDefinition, RecurringJob
from bulkport.jobs.postgres.connection import WorkerConnection
from bulkport.jobs.postgres.cron import CronScheduler
from bulkport.jobs.postgres.recurring import PostgresRecurringStore

HOURLY = RecurringDefinition(id="hourly", task="note", cron="0 * * * *", args={"text": "tick"})


class OneConnection:
    """A pool of one connection, which all have."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        yield self._connection


class RecurringSite:
    """One database shared by several processes."""

    def __init__(self, url: str, connection: psycopg.AsyncConnection[Any]) -> None:
        self.url = url
        self.connection = connection
        self.store = self.other_store()

    def other_store(self) -> PostgresRecurringStore:
        pool: Any = OneConnection(self.connection)
        return PostgresRecurringStore(pool)

    @asynccontextmanager
    async def ticker(
        self, *declared: RecurringDefinition, horizon_seconds: float = 1.0
    ) -> AsyncIterator[CronScheduler]:
        """What one server does about ticks."""
        link = WorkerConnection(self.url, asyncio.Event())
        try:
            yield CronScheduler(link, {one.id: one for one in declared}, horizon_seconds)
        finally:
            await link.close()

    async def found(self, recurring_id: str = "hourly") -> RecurringJob:
        found = await self.store.get(recurring_id)
        assert found is not None
        return found

    async def value(self, query: str, *arguments: object) -> Any:
        row = await (await self.connection.execute(query, arguments)).fetchone()  # type: ignore[call-overload]
        return None if row is None else row[0]

    async def set(self, assignments: str, recurring_id: str = "hourly") -> None:
        query = f"UPDATE bulkport.recurring_jobs SET {assignments} WHERE recurring_id = %s"
        await self.connection.execute(query, (recurring_id,))  # type: ignore[call-overload]

    async def jobs(self, recurring_id: str = "hourly") -> list[int]:
        cursor = await self.connection.execute(
            "SELECT job_id FROM bulkport.all_jobs WHERE recurring_id = %s ORDER BY job_id", (recurring_id,)
        )
        return [row[0] for row in await cursor.fetchall()]


def changed(**changes: Any) -> RecurringDefinition:
    """The hourly job, otherwise."""
    fields = {name: getattr(HOURLY, name) for name in RecurringDefinition.__dataclass_fields__}
    return RecurringDefinition(**fields | changes)
