"""Scripts of several statements on each kind of connection.

A script goes to the driver without parameters, as one simple query: `%` and `:` stay themselves (PostgreSQL manual,
"Message Flow", Simple Query).
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import psycopg
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from bulkport.migrations.steps import Steps

T = TypeVar("T")
Rows: TypeAlias = Sequence[Sequence[Any]]


def is_async(connection: object) -> bool:
    """Whether the connection is psycopg's or SQLAlchemy's async one."""
    return isinstance(connection, psycopg.AsyncConnection) or hasattr(connection, "run_sync")


def offline_output(connection: object) -> Callable[[str], None] | None:
    """Where Alembic writes SQL instead of running it (`alembic upgrade head --sql`); None: it runs it."""
    if type(connection).__name__ != "MockConnection" or "alembic" not in sys.modules:
        return None
    from alembic import op  # noqa: PLC0415 - only if the caller has it

    context = op.get_context()
    return context.impl.static_output if context.as_sql else None


def run_sync(connection: Any, work: "Steps[T]") -> T:
    """Run the steps on a sync connection."""
    if isinstance(connection, psycopg.Connection):
        with connection.transaction():
            return _pump(work, lambda script: _on_psycopg(connection, script))
    if "sqlalchemy" in sys.modules:
        import sqlalchemy  # noqa: PLC0415 - only if the caller has it
        from sqlalchemy import orm  # noqa: PLC0415

        if isinstance(connection, orm.Session):
            connection = connection.connection()
        if isinstance(connection, sqlalchemy.Connection):
            # Begins SQLAlchemy's transaction, so that statements sent to the driver directly are part of it.
            connection.exec_driver_sql("SELECT 1")
            execute = _on_driver(connection.connection.driver_connection)
            return _pump(work, execute)
    raise _unusable(connection)


async def run_async(connection: Any, work: "Steps[T]") -> T:
    """Run the steps on an async connection."""
    if isinstance(connection, psycopg.AsyncConnection):
        async with connection.transaction():
            try:
                script = next(work)
                while True:
                    script = work.send(await _on_async_psycopg(connection, script))
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return] # a generator's return value
    if hasattr(connection, "run_sync"):
        return await connection.run_sync(run_sync, work)  # type: ignore[no-any-return] # what run_sync returns
    raise _unusable(connection)


def _pump(work: "Steps[T]", execute: Callable[[str], Rows]) -> T:
    try:
        script = next(work)
        while True:
            script = work.send(execute(script))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # a generator's return value


def _on_driver(driver: Any) -> Callable[[str], Rows]:
    """How SQLAlchemy's driver runs a script; an async one is waited for in SQLAlchemy's greenlet."""
    if isinstance(driver, psycopg.Connection):
        return lambda script: _on_psycopg(driver, script)
    if isinstance(driver, psycopg.AsyncConnection):
        return lambda script: _wait(_on_async_psycopg(driver, script))
    if type(driver).__module__.startswith("asyncpg"):
        return lambda script: _wait(_on_asyncpg(driver, script))
    if hasattr(driver, "cursor"):
        return lambda script: _on_dbapi(driver, script)
    raise _unusable(driver)


def _wait(awaitable: Awaitable[Rows]) -> Rows:
    from sqlalchemy.util import await_only  # noqa: PLC0415 - only if the caller has it

    return await_only(awaitable)


def _on_psycopg(connection: psycopg.Connection[Any], script: str) -> Rows:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(script.encode())
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []


async def _on_async_psycopg(connection: psycopg.AsyncConnection[Any], script: str) -> Rows:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(script.encode())
        while cursor.nextset():
            pass
        return await cursor.fetchall() if cursor.description else []


async def _on_asyncpg(connection: Any, script: str) -> Rows:
    if script.startswith("SELECT"):
        return [tuple(row) for row in await connection.fetch(script)]
    await connection.execute(script)
    return []


def _on_dbapi(connection: Any, script: str) -> Rows:
    cursor = connection.cursor()
    try:
        cursor.execute(script)
        return cursor.fetchall() if cursor.description else []
    finally:
        cursor.close()


def _unusable(connection: object) -> TypeError:
    if isinstance(connection, str):
        return TypeError(
            "migrations run on a connection, not on a URL: with psycopg.connect(URL) as connection: "
            "migrations.upgrade(connection). Or run: bulkport migrate MODULE:ATTRIBUTE"
        )
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    return TypeError(
        f"migrations cannot run on a {kind}: give a psycopg connection or a SQLAlchemy connection "
        "(in an Alembic revision: op.get_bind())"
    )
