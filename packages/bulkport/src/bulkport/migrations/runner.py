"""Runs migrations on the caller's connection: psycopg's or SQLAlchemy's, sync or async.

SQLAlchemy's may be on any driver of PostgreSQL, also asyncpg, and may be the sync face that `run_sync` and Alembic's
`op.get_bind()` give of an async engine.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from bulkport.database import DEFAULT_SCHEMA
from bulkport.migrations import steps
from bulkport.migrations.connections import is_async, offline_output, run_async, run_sync
from bulkport.migrations.files import Migration, latest, migrations
from bulkport.migrations.script import downgrade_sql_anywhere, upgrade_sql_anywhere

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection as AlchemyConnection
    from sqlalchemy.ext.asyncio import AsyncConnection as AsyncAlchemyConnection

SyncConnection: TypeAlias = "psycopg.Connection[Any] | AlchemyConnection"
AsyncConnection: TypeAlias = "psycopg.AsyncConnection[Any] | AsyncAlchemyConnection"


@overload
def upgrade(connection: SyncConnection, to: int | None = None, *, schema: str = DEFAULT_SCHEMA) -> int: ...


@overload
def upgrade(connection: AsyncConnection, to: int | None = None, *, schema: str = DEFAULT_SCHEMA) -> Awaitable[int]: ...


def upgrade(connection: Any, to: int | None = None, *, schema: str = DEFAULT_SCHEMA) -> Any:
    """Upgrade to version `to`, or to the newest; do nothing if the schema is already there.

    It all happens in one transaction: the caller's, if there is one. Two processes may do it at once: the second waits
    for the first. On an async connection the result is awaited. In an Alembic revision that is written as SQL
    (`alembic upgrade head --sql`), the script is written, for a schema at whatever version it is.

    Returns
    -------
    The version that the schema is at.

    Raises
    ------
    MigrationError
        There is no such version.
    MigrationsChanged
        Another state of these migrations has run there.
    TypeError
        The connection is of a kind that is not supported.
    """
    if (write := offline_output(connection)) is not None:
        write(upgrade_sql_anywhere(to, schema=schema))
        return latest() if to is None else to
    return _run(connection, steps.upgrade(to, schema))


@overload
def downgrade(connection: SyncConnection, to: int = 0, *, schema: str = DEFAULT_SCHEMA) -> int: ...


@overload
def downgrade(connection: AsyncConnection, to: int = 0, *, schema: str = DEFAULT_SCHEMA) -> Awaitable[int]: ...


def downgrade(connection: Any, to: int = 0, *, schema: str = DEFAULT_SCHEMA) -> Any:
    """Downgrade to version `to`, dropping tables with their data; 0 removes Bulkport. Otherwise like `upgrade`.

    Raises
    ------
    MigrationError
        There is no such version, or a newer Bulkport made the schema.
    """
    if (write := offline_output(connection)) is not None:
        write(downgrade_sql_anywhere(to, schema=schema))
        return to
    return _run(connection, steps.downgrade(to, schema))


@overload
def current(connection: SyncConnection, *, schema: str = DEFAULT_SCHEMA) -> int: ...


@overload
def current(connection: AsyncConnection, *, schema: str = DEFAULT_SCHEMA) -> Awaitable[int]: ...


def current(connection: Any, *, schema: str = DEFAULT_SCHEMA) -> Any:
    """The version that the schema is at; 0: Bulkport has no tables there."""
    return _run(connection, steps.current_version(schema))


@overload
def pending(connection: SyncConnection, *, schema: str = DEFAULT_SCHEMA) -> list[Migration]: ...


@overload
def pending(connection: AsyncConnection, *, schema: str = DEFAULT_SCHEMA) -> Awaitable[list[Migration]]: ...


def pending(connection: Any, *, schema: str = DEFAULT_SCHEMA) -> Any:
    """Migrations that `upgrade` would run, in order."""

    def missing() -> steps.Steps[list[Migration]]:
        version = yield from steps.current_version(schema)
        return [migration for migration in migrations() if version < migration.version <= latest()]

    return _run(connection, missing())


@overload
def changed(connection: SyncConnection, *, schema: str = DEFAULT_SCHEMA) -> list[Migration]: ...


@overload
def changed(connection: AsyncConnection, *, schema: str = DEFAULT_SCHEMA) -> Awaitable[list[Migration]]: ...


def changed(connection: Any, *, schema: str = DEFAULT_SCHEMA) -> Any:
    """Migrations that ran with different SQL than this version has, so that tables may differ from what it needs."""
    return _run(connection, steps.changed(schema))


def _run(connection: Any, work: "steps.Steps[Any]") -> Any:
    if is_async(connection):
        return run_async(connection, work)
    return run_sync(connection, work)
