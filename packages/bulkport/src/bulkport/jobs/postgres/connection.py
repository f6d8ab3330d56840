"""A database connection that outlives the database: lost, it is made anew and the statement is sent again.

Only statements that may be sent twice go through it: reads, and writes that are fenced (see `queries.py`).
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row

from bulkport.backoff import Backoff
from bulkport.database import DEFAULT_SCHEMA, cursor_classes
from bulkport.logs import get_logger
from bulkport.pools import is_pooled, patient_conninfo, write_iso_dates

_log = get_logger(__name__)

RECONNECT_FIRST_SECONDS = 0.05
RECONNECT_MAX_SECONDS = 1.0
_PREPARE_AFTER: Final = 5
"""Runs of a statement after which it is prepared; psycopg's default."""


class GivenUp(psycopg.OperationalError):
    """The database is unavailable and waiting for it was stopped."""


def reconnecting() -> Backoff:
    """The waits between attempts to reach the database."""
    return Backoff(RECONNECT_FIRST_SECONDS, RECONNECT_MAX_SECONDS)


async def wait_for_event(event: asyncio.Event, timeout: float) -> bool:  # noqa: ASYNC109 - the event is the point
    """Wait until `event` is set, at most `timeout` seconds; whether it is set."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True


class WorkerConnection:
    """One autocommit connection shared by all coroutines of a worker; statements take turns on it.

    Parameters
    ----------
    database_url
        Where to connect.
    schema
        Where Bulkport's tables are.
    abandon
        Once set, statements raise `GivenUp` in place of waiting for a lost database.
    """

    def __init__(self, database_url: str, abandon: asyncio.Event, schema: str = DEFAULT_SCHEMA) -> None:
        self._conninfo = patient_conninfo(database_url)
        self._abandon = abandon
        self._cursor_factory = cursor_classes(schema)[1]
        self._connection: psycopg.AsyncConnection[DictRow] | None = None
        self._connecting = asyncio.Lock()

    async def fetch_all(
        self, query: LiteralString, arguments: Mapping[str, Any], give_up: asyncio.Event | None = None
    ) -> list[DictRow]:
        """Run one statement and return its rows, waiting while the database is unavailable.

        Parameters
        ----------
        give_up
            Stop waiting when this is set; by default the link's `abandon`.

        Raises
        ------
        GivenUp
            Waiting was stopped.
        psycopg.Error
            PostgreSQL refused the statement; the connection is fine.
        """
        while True:
            connection = await self._connected(give_up or self._abandon)
            try:
                cursor = await connection.execute(query, arguments)
                # Not `cursor.description`, which describes every column anew to say that there are some.
                has_rows = cursor.pgresult is not None and cursor.pgresult.nfields
                return await cursor.fetchall() if has_rows else []
            except psycopg.OperationalError as error:
                if not connection.broken and not connection.closed:
                    raise
                _log.warning("database connection lost", error=str(error).strip())

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self, give_up: asyncio.Event) -> psycopg.AsyncConnection[DictRow]:
        async with self._connecting:
            backoff = reconnecting()
            while self._connection is None or self._connection.closed:
                if give_up.is_set() or self._abandon.is_set():
                    raise GivenUp("the worker is stopping and the database is unavailable")
                try:
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._conninfo,
                        autocommit=True,
                        row_factory=dict_row,
                        cursor_factory=self._cursor_factory,
                        prepare_threshold=None,
                    )
                    await write_iso_dates(self._connection)
                    if not await is_pooled(self._connection):
                        self._connection.prepare_threshold = _PREPARE_AFTER
                except psycopg.OperationalError:
                    await wait_for_event(give_up, backoff.next_delay())
            return self._connection
