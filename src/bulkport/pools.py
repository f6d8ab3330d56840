"""Pools of database connections that survive a restart of PostgreSQL."""

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bulkport.background.procrastinate_engine.link import patient_conninfo

AsyncPool: TypeAlias = AsyncConnectionPool[AsyncConnection[Any]]


@asynccontextmanager
async def open_pool(
    database_url: str, *, name: str, most: int, least: int = 1, acquire_seconds: float = 10.0
) -> AsyncIterator[AsyncPool]:
    """A pool of autocommit connections, open for as long as the context lasts.

    It does not wait for the database: that need not be there yet, and may go away and come back.

    Parameters
    ----------
    most, least:
        Connections at one time, and those kept open while idle.
    acquire_seconds:
        Longest wait for a free connection; after it, `psycopg_pool.PoolTimeout`.
    """
    pool: AsyncPool = AsyncConnectionPool(
        patient_conninfo(database_url),
        kwargs={"autocommit": True},
        min_size=min(least, most),
        max_size=most,
        timeout=acquire_seconds,
        check=discard_if_dropped,
        close_returns=True,
        open=False,
        name=name,
    )
    await pool.open(wait=False)
    try:
        yield pool
    finally:
        await pool.close()


async def discard_if_dropped(connection: AsyncConnection[Any]) -> None:
    """Refuse an idle connection that the server has closed, as after a restart of PostgreSQL.

    An idle connection has nothing to read unless the server said goodbye. Asking the socket spares every request the
    round trip of psycopg's own check.

    Raises
    ------
    psycopg.OperationalError
        If the connection is gone; the pool then takes another.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return
    await AsyncConnectionPool.check_connection(connection)
