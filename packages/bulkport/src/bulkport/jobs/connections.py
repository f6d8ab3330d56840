"""The caller's connection, of whatever kind it is, as the driver's connection in it.

SQLAlchemy and asyncpg are not needed: their classes are looked at only in a process that has imported them. Enqueueing
needs little of a connection, a cursor and a transaction, and asyncpg's is given psycopg's face for that.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString, Protocol, Self, TypeAlias, TypeGuard, TypeVar, cast

import psycopg
from psycopg import sql
from psycopg.errors import DeadlockDetected
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg.types.json import Json, Jsonb

from bulkport.database import DEFAULT_SCHEMA, in_schema, render
from bulkport.database.tolerant import fetch_tolerantly
from bulkport.jobs.errors import NotConnected
from bulkport.pools import AsyncPool

T = TypeVar("T")


class AsyncpgConnection(Protocol):
    """The part of `asyncpg.Connection`, or of asyncpg's pooled connections, that is used."""

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """Rows of a query."""
        ...

    def transaction(self) -> Any:
        """A transaction, or a savepoint in one."""
        ...

    def is_in_transaction(self) -> bool:
        """Whether one is open."""
        ...


_PLACEHOLDER: Final = re.compile(r"%(?:\((?P<name>\w+)\))?[sbt](?P<json>(?=::jsonb?\b))?|%%")


def is_asyncpg(connection: object) -> TypeGuard[AsyncpgConnection]:
    """Whether it is asyncpg's connection, or one that its pool lends."""
    return type(connection).__module__.startswith("asyncpg") and hasattr(connection, "is_in_transaction")


def as_psycopg(connection: AsyncpgConnection, schema: str = DEFAULT_SCHEMA) -> psycopg.AsyncConnection[Any]:
    """What enqueueing takes for a connection of psycopg's; statements run in `schema`."""
    return cast("psycopg.AsyncConnection[Any]", _Connection(connection, schema))


class _Connection:
    """See `as_psycopg`."""

    def __init__(self, connection: AsyncpgConnection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def cursor(self, *, row_factory: Any = tuple_row, **_options: Any) -> "_Cursor":
        """A cursor whose rows are tuples, or dictionaries."""
        return _Cursor(self._connection, self._schema, dict if row_factory is dict_row else tuple)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A transaction, or a savepoint inside the caller's."""
        async with self._connection.transaction():
            yield


class _Cursor:
    """Runs one statement and holds its rows."""

    def __init__(self, connection: AsyncpgConnection, schema: str, row: Callable[[Any], Any]) -> None:
        self._connection = connection
        self._schema = schema
        self._row = row
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def description(self) -> bool:
        """Whether there are rows."""
        return bool(self._rows)

    async def execute(
        self,
        query: str | bytes | sql.Composable,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        **_options: Any,
    ) -> "_Cursor":
        """Run a statement with psycopg's placeholders."""
        if isinstance(query, sql.Composable):
            query = query.as_string(None)
        text = render(query.decode() if isinstance(query, bytes) else query, self._schema)
        values: list[Any] = []
        if parameters is not None:
            text, values = _numbered(text, parameters)
        try:
            self._rows = [self._row(row) for row in await self._connection.fetch(text, *values)]
        except Exception as error:
            state = getattr(error, "sqlstate", None)
            if state is None:
                raise
            try:
                kind = psycopg.errors.lookup(state)
            except KeyError:
                kind = psycopg.DatabaseError
            raise kind(str(error)) from error
        return self

    async def fetchall(self) -> list[Any]:
        """All rows."""
        return self._rows

    async def fetchone(self) -> Any:
        """The first row."""
        return self._rows[0] if self._rows else None


def _numbered(text: str, parameters: Sequence[Any] | Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The statement with `$1`, `$2`, …, and the values in their order."""
    values: list[Any] = []
    numbers: dict[str, int] = {}

    def replace(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name = match["name"]
        # As text: the application may have given its connection other codecs for JSON.
        cast = "" if match["json"] is None else "::text"
        if name is None:
            assert not isinstance(parameters, Mapping)
            values.append(_plain(parameters[len(values)]))
            return f"${len(values)}{cast}"
        if name not in numbers:
            assert isinstance(parameters, Mapping)
            values.append(_plain(parameters[name]))
            numbers[name] = len(values)
        return f"${numbers[name]}{cast}"

    return _PLACEHOLDER.sub(replace, text), values


def _plain(value: Any) -> Any:
    return json.dumps(value.obj) if isinstance(value, Json | Jsonb) else value


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
    return sync_psycopg_in(connection, schema)  # type: ignore[arg-type] # what is left of the union


def sync_psycopg_in(connection: "SyncConnection", schema: str = DEFAULT_SCHEMA) -> SyncPsycopg | AsyncPsycopg:
    """As `psycopg_in`, without an event loop.

    An async one is in what SQLAlchemy's `run_sync` and its events give: see `await_in_greenlet`.
    """
    if isinstance(connection, psycopg.Connection):
        return connection
    if getattr(connection, "vendor", None) == "postgresql":
        django: Any = connection  # behind a proxy, of which isinstance knows nothing
        django.ensure_connection()
        return sync_psycopg_in(django.connection, schema)
    if "sqlalchemy" in sys.modules:
        import sqlalchemy  # noqa: PLC0415 - only if the caller has it
        from sqlalchemy import orm  # noqa: PLC0415

        if isinstance(connection, orm.Session | orm.scoped_session):
            connection = connection.connection()
        if isinstance(connection, sqlalchemy.Connection):
            if not connection.in_transaction():
                connection.begin()
            driver = connection.connection.driver_connection
            if isinstance(driver, psycopg.Connection | psycopg.AsyncConnection):
                return driver
            if driver is not None and is_asyncpg(driver):
                if not driver.is_in_transaction():
                    # See `psycopg_in`.
                    connection.exec_driver_sql("SELECT 1")
                return as_psycopg(driver, schema)
            raise _unusable(driver)
    raise _unusable(connection)


def await_in_greenlet(awaitable: Awaitable[T]) -> T:
    """What an awaitable gives, in sync code that SQLAlchemy runs on an event loop."""
    from sqlalchemy.util import await_only  # noqa: PLC0415 - only if the caller has it

    return await_only(awaitable)


def _unusable(connection: object) -> TypeError:
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    return TypeError(
        f"jobs cannot be enqueued through a {kind}: it takes a connection of psycopg or asyncpg, a session or "
        "connection of SQLAlchemy whose driver is one of them, or Django's connection on psycopg"
    )


MOST_TRIES: Final = 5


async def despite_deadlocks(transaction: Callable[[], Awaitable[T]], *, is_ours: bool = True) -> T:
    """What a whole transaction gives, done again when PostgreSQL ended it to solve a deadlock.

    Between jobs that share keys, parents and batches deadlocks cannot all be avoided.

    Parameters
    ----------
    is_ours
        False: it belongs to a caller's transaction, so that only the caller can do it again.
    """
    for _ in range(MOST_TRIES - 1 if is_ours else 0):
        try:
            return await transaction()
        except DeadlockDetected:
            continue
    return await transaction()


def despite_deadlocks_sync(transaction: Callable[[], T]) -> T:
    """As `despite_deadlocks`, for a transaction of ours."""
    for _ in range(MOST_TRIES - 1):
        try:
            return transaction()
        except DeadlockDetected:
            continue
    return transaction()


@asynccontextmanager
async def borrow(pool: AsyncPool | None, given: AsyncPsycopg | None = None) -> AsyncIterator[AsyncPsycopg]:
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


class Statements:
    """Runs single statements: in the transaction of a caller's connection, or on a connection of a pool.

    Parameters
    ----------
    pool
        For calls that are given no connection; its connections are autocommit ones.
    schema
        Where the tables are, for connections of callers.
    """

    def __init__(self, pool: AsyncPool | None, schema: str = DEFAULT_SCHEMA) -> None:
        self._pool = pool
        self._schema = schema

    async def fetch(
        self, query: LiteralString, arguments: Mapping[str, Any], given: "AnyConnection | None" = None
    ) -> list[DictRow]:
        """Run one statement and return its rows.

        Raises
        ------
        NotConnected
            There is neither a connection nor a pool.
        TypeError
            It is not a connection.
        """
        used = None if given is None else await psycopg_in(given, self._schema)
        if isinstance(used, psycopg.Connection):
            # In a thread: the connection would keep the event loop waiting.
            return await asyncio.to_thread(self._fetch_sync, used, query, arguments)

        async def run() -> list[DictRow]:
            async with borrow(self._pool, used) as connection:
                with in_schema(connection, self._schema):
                    cursor = connection.cursor(row_factory=dict_row)
                async with cursor:
                    await cursor.execute(query, arguments, prepare=False)
                    return await cursor.fetchall() if cursor.description else []

        return await despite_deadlocks(run, is_ours=given is None)

    async def read(
        self, query: LiteralString, arguments: Mapping[str, Any], given: "AnyConnection | None" = None
    ) -> list[DictRow]:
        """As `fetch`, of a statement that only reads: a row that Python has no room for hides no others."""
        if given is not None:
            return await self.fetch(query, arguments, given)
        async with borrow(self._pool) as connection:
            return await fetch_tolerantly(
                lambda: connection.cursor(row_factory=dict_row),
                lambda cursor: cursor.execute(query, arguments, prepare=False),
            )

    def _fetch_sync(self, used: SyncPsycopg, query: LiteralString, arguments: Mapping[str, Any]) -> list[DictRow]:
        with in_schema(used, self._schema), used.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query, arguments, prepare=False)
            return cursor.fetchall() if cursor.description else []
