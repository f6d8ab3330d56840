"""Hearing of work: notifications of PostgreSQL, on a connection of their own."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import sql

from bulkport.jobs.postgres.connection import reconnecting
from bulkport.jobs.postgres.queries import CHANNEL
from bulkport.logs import get_logger
from bulkport.pools import patient_conninfo

_log = get_logger(__name__)

_CHECK_SECONDS: Final = 15.0
_ECHO_SECONDS: Final = 2.0


class Listener:
    """Passes notifications on.

    Through a pooler in transaction mode LISTEN succeeds, and nothing is ever heard. So it sends itself a notification:
    as long as none has come back, `hears` is false, and whoever asks for work goes by the clock.

    Parameters
    ----------
    listen_url
        A database connection that is this process's alone.
    on_notification
        Called with what is to be done, and with what; see `bulkport.notify_workers`. After each (re)connect it is
        called with `queue` and nothing, as some may have been missed.
    """

    def __init__(self, listen_url: str, on_notification: Callable[[str, str], None]) -> None:
        self._conninfo = patient_conninfo(listen_url)
        self._on_notification = on_notification
        self.hears = False
        """Whether notifications come through."""

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = reconnecting()
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, prepare_threshold=None
                ) as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                    backoff.reset()
                    self._on_notification("queue", "")
                    await self._listen(connection)
            except psycopg.OperationalError as error:
                delay = backoff.next_delay()
                _log.info("listening connection lost", error=str(error).strip(), retry_seconds=round(delay, 2))
                await asyncio.sleep(delay)
            finally:
                self.hears = False

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        echo = f"echo {uuid.uuid4().hex}"
        await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, echo))
        timeout = _ECHO_SECONDS
        while True:
            async for notification in connection.notifies(timeout=timeout):
                if notification.payload == echo:
                    self.hears = True
                    continue
                what, _, detail = notification.payload.partition(" ")
                if what != "echo":
                    self._on_notification(what, detail)
            if not self.hears and timeout == _ECHO_SECONDS:
                _log.warning(
                    "no notifications of PostgreSQL come through: jobs are looked for by the clock. Behind a pooler, "
                    "give the worker a listen_url that leads to PostgreSQL itself"
                )
            timeout = _CHECK_SECONDS
            await connection.execute("SELECT 1")
