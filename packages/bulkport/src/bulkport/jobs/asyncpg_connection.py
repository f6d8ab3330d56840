"""asyncpg's connection as the psycopg connection that enqueueing speaks to.

Enqueueing needs little of a connection: a cursor that executes a statement and fetches its rows, and a transaction.
asyncpg is not needed here: whoever has such a connection has it.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeGuard, cast

import psycopg
from psycopg import sql
from psycopg.types.json import Json, Jsonb

from bulkport.database import DEFAULT_SCHEMA, render


class AsyncpgConnection(Protocol):
    """What is used of `asyncpg.Connection`, or of what asyncpg's pool lends."""

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """Rows of a query."""
        ...

    def transaction(self) -> Any:
        """A transaction, or a savepoint in one."""
        ...

    def is_in_transaction(self) -> bool:
        """Whether one is open."""
        ...


_PLACEHOLDER: Final = re.compile(r"%(?:\((?P<name>\w+)\))?[sbt]|%%")


def is_asyncpg(connection: object) -> TypeGuard[AsyncpgConnection]:
    """Whether it is asyncpg's connection, or one that its pool lends."""
    return type(connection).__module__.startswith("asyncpg")


def as_psycopg(connection: AsyncpgConnection, schema: str = DEFAULT_SCHEMA) -> psycopg.AsyncConnection[Any]:
    """What enqueueing takes for a connection of psycopg's; statements run in `schema`."""
    return cast("psycopg.AsyncConnection[Any]", _Connection(connection, schema))


class _Connection:
    """See `as_psycopg`."""

    def __init__(self, connection: AsyncpgConnection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    @asynccontextmanager
    async def cursor(self, **_options: Any) -> AsyncIterator["_Cursor"]:
        """A cursor whose rows are tuples."""
        yield _Cursor(self._connection, self._schema)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A transaction, or a savepoint inside the caller's."""
        async with self._connection.transaction():
            yield


class _Cursor:
    """Runs one statement and holds its rows."""

    def __init__(self, connection: AsyncpgConnection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []

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
            self._rows = [tuple(row) for row in await self._connection.fetch(text, *values)]
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

    async def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._rows

    async def fetchone(self) -> tuple[Any, ...] | None:
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
        if name is None:
            assert not isinstance(parameters, Mapping)
            values.append(_plain(parameters[len(values)]))
            return f"${len(values)}"
        if name not in numbers:
            assert isinstance(parameters, Mapping)
            values.append(_plain(parameters[name]))
            numbers[name] = len(values)
        return f"${numbers[name]}"

    return _PLACEHOLDER.sub(replace, text), values


def _plain(value: Any) -> Any:
    return json.dumps(value.obj) if isinstance(value, Json | Jsonb) else value
