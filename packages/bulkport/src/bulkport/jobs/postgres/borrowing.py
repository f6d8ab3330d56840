"""The connection that a call works on: the caller's, or one of the engine's pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bulkport.jobs.errors import NotConnected
from bulkport.jobs.port.queueing import Connection
from bulkport.pools import AsyncPool


@asynccontextmanager
async def borrow(pool: AsyncPool | None, given: Connection | None = None) -> AsyncIterator[Connection]:
    """`given`, or a connection of the pool for as long as the context lasts.

    Raises
    ------
    NotConnected
        There is neither.
    """
    if given is not None:
        yield given
        return
    if pool is None:
        raise NotConnected
    async with pool.connection() as connection:
        yield connection
