"""Escapes `%` in statements that are sent with parameters.

In a statement with parameters psycopg takes every `%` for a placeholder, even in a column name or in the SQL of a
declaration (`conflict_where="name NOT LIKE 'x%'"`).
"""

from typing import Any

from psycopg import AsyncConnection, sql


class DeclaredSql(sql.SQL):
    """SQL from a declaration or from the catalogue, in which `%` is not a placeholder."""


def escaped(statement: sql.Composable, connection: AsyncConnection[Any] | None = None) -> bytes:
    """The statement as bytes, ready to be sent with parameters."""
    if isinstance(statement, sql.Composed):
        return b"".join(escaped(part, connection) for part in statement)
    text = statement.as_bytes(connection)
    is_own = isinstance(statement, sql.SQL | sql.Placeholder) and not isinstance(statement, DeclaredSql)
    return text if is_own else text.replace(b"%", b"%%")
