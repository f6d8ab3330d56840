"""Renders the schema name of Bulkport's tables into statements as they are sent.

Statements are written with the literal prefix `bulkport.` on every name. For another schema, cursors of the classes
made here rewrite the prefix, so nothing depends on a session's search path and PgBouncer's transaction mode is no
obstacle. With the default schema psycopg's own cursors run and nothing is rewritten.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.abc import Params, Query

from bulkport.errors import BulkportError

DEFAULT_SCHEMA: Final = "bulkport"

# A prefix of a name, but no part of a longer one and no text that happens to begin so, such as the name of a task. In
# literals only where a function or a cast reads a relation's name from it.
_PREFIX: Final = re.compile(
    r"""
      (?<! [\w.'"$] ) bulkport \.
    | (?<= regclass\(' ) bulkport \.
    | (?<= sequence\(' ) bulkport \.
    | (?<= nextval\(' ) bulkport \.
    | (?<= _size\(' ) bulkport \.
    | (?<= namespace\(' ) bulkport (?= '\) )
    | (?<= ' ) bulkport \. (?= \w+ '::reg )
    | (?<= \b SCHEMA [ ] ) bulkport \b
    | (?<= \b SCHEMA [ ] IF [ ] NOT [ ] EXISTS [ ] ) bulkport \b
    | (?<= \b SCHEMA [ ] IF [ ] EXISTS [ ] ) bulkport \b
    """,
    re.VERBOSE,
)
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class InvalidSchemaName(BulkportError, ValueError):
    """This cannot be the name of Bulkport's schema."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot be the name of Bulkport's schema: it takes lower-case letters, digits and underscores, "
            "at most 63, and neither public nor a name that begins with pg_"
        )


def schema_name(name: str) -> str:
    """`name`, if a schema of Bulkport's may be called so.

    Raises
    ------
    InvalidSchemaName
        It is not a lower-case identifier of at most 63 characters, or PostgreSQL keeps it for itself (`pg_…`).
    """
    if not _NAME.fullmatch(name) or name.startswith("pg_") or name == "public":
        raise InvalidSchemaName(name)
    return name


@lru_cache(maxsize=2048)
def render(statement: str, schema: str = DEFAULT_SCHEMA) -> str:
    """The statement, or script, with `schema` in place of `bulkport` before each name."""
    if schema == DEFAULT_SCHEMA:
        return statement
    quoted = f'"{schema}"'
    return _PREFIX.sub(lambda match: quoted + ("." if match[0].endswith(".") else ""), statement)


@lru_cache(maxsize=2048)
def _render_bytes(statement: bytes, schema: str) -> bytes:
    return render(statement.decode(), schema).encode()


def _rendered(query: Query, schema: str, connection: Any) -> bytes:
    if isinstance(query, str):
        return render(query, schema).encode()
    if isinstance(query, bytes):
        return _render_bytes(query, schema)
    if isinstance(query, sql.Composable):
        return _render_bytes(query.as_bytes(connection), schema)
    raise TypeError(f"a {type(query).__name__} is not a statement that can be moved to another schema")


@lru_cache(maxsize=64)
def cursor_classes(schema: str) -> tuple[type[psycopg.Cursor[Any]], type[psycopg.AsyncCursor[Any]]]:
    """Cursor classes, for sync and for async connections, whose statements work on `schema`.

    They are for `cursor_factory=` of a connection.
    """
    if schema_name(schema) == DEFAULT_SCHEMA:
        return psycopg.Cursor, psycopg.AsyncCursor

    class SchemaCursor(psycopg.Cursor[Any]):
        """Runs statements in another schema than the one they are written for."""

        def execute(self, query: Query, params: Params | None = None, **options: Any) -> "SchemaCursor":
            super().execute(_rendered(query, schema, self.connection), params, **options)
            return self

        def executemany(self, query: Query, params_seq: Iterable[Params], **options: Any) -> None:
            super().executemany(_rendered(query, schema, self.connection), params_seq, **options)

        def stream(self, query: Query, params: Params | None = None, **options: Any) -> Iterator[Any]:
            return super().stream(_rendered(query, schema, self.connection), params, **options)

        def copy(self, statement: Query, params: Params | None = None, **options: Any) -> Any:
            return super().copy(_rendered(statement, schema, self.connection), params, **options)

    class AsyncSchemaCursor(psycopg.AsyncCursor[Any]):
        """Runs statements in another schema than the one they are written for."""

        async def execute(self, query: Query, params: Params | None = None, **options: Any) -> "AsyncSchemaCursor":
            await super().execute(_rendered(query, schema, self.connection), params, **options)
            return self

        async def executemany(self, query: Query, params_seq: Iterable[Params], **options: Any) -> None:
            await super().executemany(_rendered(query, schema, self.connection), params_seq, **options)

        def stream(self, query: Query, params: Params | None = None, **options: Any) -> AsyncIterator[Any]:
            return super().stream(_rendered(query, schema, self.connection), params, **options)

        def copy(self, statement: Query, params: Params | None = None, **options: Any) -> Any:
            return super().copy(_rendered(statement, schema, self.connection), params, **options)

    return SchemaCursor, AsyncSchemaCursor


@contextmanager
def in_schema(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], schema: str) -> Iterator[None]:
    """Have the statements that run on a caller's connection within the block work on `schema`."""
    # What stands in for a connection of another driver knows its schema.
    if schema == DEFAULT_SCHEMA or not isinstance(connection, psycopg.Connection | psycopg.AsyncConnection):
        yield
        return
    factory = connection.cursor_factory
    sync, asynchronous = cursor_classes(schema)
    if isinstance(connection, psycopg.AsyncConnection):
        connection.cursor_factory = asynchronous
    else:
        connection.cursor_factory = sync
    try:
        yield
    finally:
        connection.cursor_factory = factory
