"""Statements that are sent with parameters, whatever signs their names have.

In a statement with parameters psycopg takes every `%` for a placeholder, also in the name of a column and in the SQL of
a declaration (`conflict_where="name NOT LIKE 'x%'"`).
"""

from typing import Any

from psycopg import AsyncConnection, sql


class DeclaredSql(sql.SQL):
    """SQL of the application's declaration or of the catalogue, in which a `%` is no placeholder."""


def bound(statement: sql.Composable, connection: AsyncConnection[Any] | None = None) -> bytes:
    """A statement, to be sent with parameters."""
    if isinstance(statement, sql.Composed):
        return b"".join(bound(part, connection) for part in statement)
    text = statement.as_bytes(connection)
    is_own = isinstance(statement, sql.SQL | sql.Placeholder) and not isinstance(statement, DeclaredSql)
    return text if is_own else text.replace(b"%", b"%%")
