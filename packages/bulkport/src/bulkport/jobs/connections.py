"""The caller's connection, of whatever kind it is, as the driver's connection in it.

SQLAlchemy and asyncpg are not needed: their classes are looked at only in a process that has imported them.
"""

import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import psycopg

from bulkport.database import DEFAULT_SCHEMA
from bulkport.jobs.asyncpg_connection import AsyncpgConnection, as_psycopg, is_asyncpg

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection
    from sqlalchemy.ext.asyncio import AsyncConnection as AsyncSqlConnection
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session


class DjangoConnection(Protocol):
    """`django.db.connection`, on psycopg."""

    vendor: str
    connection: Any
    """psycopg's, once there is one."""

    def ensure_connection(self) -> None:
        """Connect unless it is connected."""
        ...


AsyncPsycopg: TypeAlias = psycopg.AsyncConnection[Any]
SyncPsycopg: TypeAlias = psycopg.Connection[Any]
SyncConnection: TypeAlias = "SyncPsycopg | Session | SqlConnection | DjangoConnection"
"""A connection of code without an event loop: psycopg's, SQLAlchemy's session or connection on psycopg, or Django's
`django.db.connection`."""
AnyConnection: TypeAlias = "AsyncPsycopg | AsyncpgConnection | AsyncSession | AsyncSqlConnection | SyncConnection"
"""A connection of psycopg or asyncpg, a session or connection of SQLAlchemy (and SQLModel) on either, or Django's."""


async def psycopg_in(connection: "AnyConnection", schema: str = DEFAULT_SCHEMA) -> AsyncPsycopg | SyncPsycopg:
    """The connection in which the caller's transaction is, or will be, with psycopg's face.

    Raises
    ------
    TypeError
        There is none.
    """
    if isinstance(connection, psycopg.AsyncConnection):
        return connection
    if is_asyncpg(connection):
        return as_psycopg(connection, schema)
    if "sqlalchemy.ext.asyncio" in sys.modules:
        from sqlalchemy.ext import asyncio as alchemy  # noqa: PLC0415 - only if the caller has it

        if isinstance(connection, alchemy.AsyncSession | alchemy.async_scoped_session):
            connection = await connection.connection()
        if isinstance(connection, alchemy.AsyncConnection):
            if not connection.in_transaction():
                # As any statement of SQLAlchemy's would; otherwise its commit() would do nothing.
                await connection.begin()
            driver = (await connection.get_raw_connection()).driver_connection
            if isinstance(driver, psycopg.AsyncConnection):
                return driver
            if driver is not None and is_asyncpg(driver):
                if not driver.is_in_transaction():
                    # SQLAlchemy begins it with the first statement that goes through it.
                    await connection.exec_driver_sql("SELECT 1")
                return as_psycopg(driver, schema)
            raise _unusable(driver)
    return sync_psycopg_in(connection)  # type: ignore[arg-type] # what is left of the union


async def async_psycopg_in(connection: "AnyConnection | None", schema: str = DEFAULT_SCHEMA) -> AsyncPsycopg | None:
    """As `psycopg_in`, for what is not done through a sync connection; None stays None."""
    if connection is None:
        return None
    inner = await psycopg_in(connection, schema)
    if isinstance(inner, psycopg.Connection):
        raise TypeError("this takes an async connection; only enqueueing takes a sync one")
    return inner


async def only_psycopg_in(connection: "AnyConnection | None") -> AsyncPsycopg | None:
    """As `async_psycopg_in`, for what needs psycopg itself."""
    inner = await async_psycopg_in(connection)
    if inner is not None and not isinstance(inner, psycopg.AsyncConnection):
        raise TypeError("this takes a connection of psycopg; only enqueueing takes one of asyncpg")
    return inner


def sync_psycopg_in(connection: "SyncConnection") -> SyncPsycopg:
    """As `psycopg_in`, without an event loop."""
    if isinstance(connection, psycopg.Connection):
        return connection
    if getattr(connection, "vendor", None) == "postgresql":
        django: Any = connection  # behind a proxy, of which isinstance knows nothing
        django.ensure_connection()
        return sync_psycopg_in(django.connection)
    if "sqlalchemy" in sys.modules:
        import sqlalchemy  # noqa: PLC0415 - only if the caller has it
        from sqlalchemy import orm  # noqa: PLC0415

        if isinstance(connection, orm.Session | orm.scoped_session):
            connection = connection.connection()
        if isinstance(connection, sqlalchemy.Connection):
            if not connection.in_transaction():
                connection.begin()
            driver = connection.connection.driver_connection
            if isinstance(driver, psycopg.Connection):
                return driver
            raise _unusable(driver)
    raise _unusable(connection)


def _unusable(connection: object) -> TypeError:
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    return TypeError(
        f"jobs cannot be enqueued through a {kind}: it takes a connection of psycopg or asyncpg, a session or "
        "connection of SQLAlchemy whose driver is one of them, or Django's connection on psycopg"
    )
