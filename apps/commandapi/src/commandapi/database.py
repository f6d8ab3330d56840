"""The connections of one server process to its database.

There is one pool, psycopg's. Imports take raw connections from it for COPY; the CRUD routes go through SQLAlchemy,
whose engine borrows from the same pool, so `api_pool_size` is the whole number of connections.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import MetaData, NullPool
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from bulkport.pools import AsyncPool, open_pool, share_of_user
from commandapi.row_security import TenantSession


class Base(DeclarativeBase):
    """Base of the application's mapped tables. The tables themselves are made by the migrations."""

    metadata = MetaData(schema="public")


@dataclass(frozen=True, slots=True)
class Database:
    """An open database."""

    pool: AsyncPool
    """Connections in autocommit mode, each returned unchanged."""
    key_pool: AsyncPool
    """A few more for key checks and health, which no search keeps waiting."""
    sessions: async_sessionmaker[AsyncSession]
    """SQLAlchemy sessions on connections of the same pool, each a transaction."""
    reading_sessions: async_sessionmaker[AsyncSession]
    """The same without a transaction: it spares a read the round trips of BEGIN and ROLLBACK."""


class _PooledConnection(psycopg.AsyncConnection[Any]):
    """SQLAlchemy adds its notice handler each time it borrows a connection, and psycopg would keep every one."""

    _has_notice_handler = False

    def add_notice_handler(self, callback: Callable[[psycopg.errors.Diagnostic], None]) -> None:
        if not self._has_notice_handler:
            self._has_notice_handler = True
            super().add_notice_handler(callback)


@asynccontextmanager
async def open_database(
    database_url: str, *, pool_size: int, key_pool_size: int, acquire_seconds: float, statement_seconds: float
) -> AsyncIterator[Database]:
    """Open the pool for as long as the context lasts.

    It does not wait for the database: a server may start first, and responds 503 until the database is available.

    Parameters
    ----------
    database_url:
        libpq connection string or URL.
    pool_size:
        Maximum connections.
    key_pool_size:
        Most connections of `Database.key_pool`; those that are not used are closed after some minutes, down to one.
    acquire_seconds:
        Longest wait for a free connection; after it, `psycopg_pool.PoolTimeout`.
    statement_seconds:
        Longest statement; PostgreSQL cancels it then. Not behind a pooler, which has a limit of its own for that.
    """
    limited = partial(limit_statements, seconds=statement_seconds)
    async with (
        open_pool(
            database_url,
            name="api",
            most=pool_size,
            least=2,
            acquire_seconds=acquire_seconds,
            connection_class=_PooledConnection,
            configure=limited,
            user_share=share_of_user(pool_size),
        ) as pool,
        open_pool(
            database_url,
            name="keys",
            most=key_pool_size,
            least=1,
            acquire_seconds=acquire_seconds,
            configure=limited,
        ) as key_pool,
    ):

        async def borrow() -> psycopg.AsyncConnection[Any]:
            connection = await pool.getconn()
            await connection.set_autocommit(False)
            return connection

        engine = create_async_engine("postgresql+psycopg://", poolclass=NullPool, async_creator=borrow)
        reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield Database(
                pool=pool,
                key_pool=key_pool,
                sessions=async_sessionmaker(engine, expire_on_commit=False, sync_session_class=TenantSession),
                reading_sessions=async_sessionmaker(reading, expire_on_commit=False),
            )
        finally:
            await engine.dispose()


async def limit_statements(connection: psycopg.AsyncConnection[Any], *, seconds: float) -> None:
    """Have PostgreSQL cancel statements of a new connection that take longer."""
    await connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{round(seconds * 1000)}ms",))
