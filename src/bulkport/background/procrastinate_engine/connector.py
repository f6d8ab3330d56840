"""What Procrastinate's worker uses to talk to PostgreSQL, over connections that survive a restart of it."""

import asyncio
from collections.abc import Iterable
from typing import Any, LiteralString

import psycopg
import structlog
from procrastinate.connector import BaseAsyncConnector, Notify
from procrastinate.exceptions import NoResult
from psycopg import sql

from bulkport.background.procrastinate_engine.link import Backoff, DatabaseLink, patient_conninfo

_log = structlog.get_logger(__name__)

_WAKE = '{"type": "job_inserted", "job_id": 0}'
"""A notification as Procrastinate's trigger sends it; the worker looks for jobs, whatever the id."""

_LISTEN_CHECK_SECONDS = 15.0


class LinkConnector(BaseAsyncConnector):
    """A Procrastinate connector on a `DatabaseLink`, with a listener that comes back after a lost connection.

    Procrastinate's own listener ends for good, unnoticed, when it cannot reconnect at once.
    """

    def __init__(self, database_url: str, link: DatabaseLink) -> None:
        self._conninfo = patient_conninfo(database_url)
        self._link = link
        self._wake: Notify | None = None
        self._channel = ""

    async def open_async(self, pool: Any | None = None) -> None:
        """Nothing to open: the link connects when first used."""

    async def close_async(self) -> None:
        """Nothing to close: the link belongs to whoever made it."""

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Run a statement."""
        await self._link.fetch_all(query, arguments)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        """Run a statement and return its first row."""
        rows = await self._link.fetch_all(query, arguments)
        if not rows:
            raise NoResult
        return rows[0]

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        return await self._link.fetch_all(query, arguments)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Pass notifications on until cancelled. After each (re)connect the worker is woken, as it may have missed
        some."""
        self._wake = on_notification
        names = list(channels)
        self._channel = names[0]
        backoff = Backoff()
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                    for name in names:
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
                    backoff.reset()
                    await self.wake()
                    await self._pass_on(connection, on_notification)
            except psycopg.OperationalError as error:
                delay = backoff.next_delay()
                _log.info("listening connection lost", error=str(error).strip(), retry_seconds=round(delay, 2))
                await asyncio.sleep(delay)

    async def wake(self) -> None:
        """Have the worker look for jobs now."""
        if self._wake is not None:
            await self._wake(channel=self._channel, payload=_WAKE)

    @staticmethod
    async def _pass_on(connection: psycopg.AsyncConnection[Any], on_notification: Notify) -> None:
        while True:
            async for notification in connection.notifies(timeout=_LISTEN_CHECK_SECONDS):
                await on_notification(channel=notification.channel, payload=notification.payload)
            await connection.execute("SELECT 1")
