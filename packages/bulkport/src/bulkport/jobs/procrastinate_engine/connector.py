"""What Procrastinate's worker uses to talk to PostgreSQL, over connections that survive a restart of it."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, LiteralString

import psycopg
from procrastinate.connector import BaseAsyncConnector, Notify
from procrastinate.exceptions import NoResult
from psycopg import sql

from bulkport.jobs.procrastinate_engine.link import Backoff, DatabaseLink
from bulkport.logs import get_logger
from bulkport.pools import patient_conninfo

_log = get_logger(__name__)

_WAKE = '{"type": "job_inserted", "job_id": 0}'
"""A notification as Procrastinate's trigger sends it; the worker looks for jobs, whatever the id."""

_CHORES: Final = "background_chores_v1"
"""Where `background_hurry_v1` says that a chore is to be done."""

_LISTEN_CHECK_SECONDS = 15.0


class LinkConnector(BaseAsyncConnector):
    """A Procrastinate connector on a `DatabaseLink`, with a listener that comes back after a lost connection.

    Procrastinate's own listener ends for good, unnoticed, when it cannot reconnect at once.

    Parameters
    ----------
    hurry
        Called with the name of a chore and the seconds in which it is to be done.
    """

    def __init__(
        self, database_url: str, link: DatabaseLink, hurry: Callable[[str, float], None] = lambda *_: None
    ) -> None:
        self._conninfo = patient_conninfo(database_url)
        self._link = link
        self._hurry = hurry
        self._notified = 0

    @property
    def notified(self) -> int:
        """Notifications passed on so far; a count that moved says that there may be new jobs."""
        return self._notified

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
        names = list(channels)

        async def pass_on(channel: str, payload: str) -> None:
            if channel == _CHORES:
                wish = json.loads(payload)
                self._hurry(wish["chore"], wish["seconds"])
                return
            self._notified += 1
            await on_notification(channel=channel, payload=payload)

        backoff = Backoff()
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                    for name in (*names, _CHORES):
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
                    backoff.reset()
                    await pass_on(names[0], _WAKE)
                    await self._listen(connection, pass_on)
            except psycopg.OperationalError as error:
                delay = backoff.next_delay()
                _log.info("listening connection lost", error=str(error).strip(), retry_seconds=round(delay, 2))
                await asyncio.sleep(delay)

    @staticmethod
    async def _listen(
        connection: psycopg.AsyncConnection[Any], pass_on: Callable[[str, str], Coroutine[Any, Any, None]]
    ) -> None:
        while True:
            async for notification in connection.notifies(timeout=_LISTEN_CHECK_SECONDS):
                await pass_on(notification.channel, notification.payload)
            await connection.execute("SELECT 1")
