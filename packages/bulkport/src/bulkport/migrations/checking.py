"""What must hold of a database before anything runs on it."""

from typing import Any

import psycopg

from bulkport.database import DEFAULT_SCHEMA
from bulkport.migrations.errors import COMMAND, MigrationsChanged, MigrationsMissing, UnsupportedEncoding
from bulkport.migrations.files import Migration, latest
from bulkport.migrations.runner import changed, current


async def check(
    connection: psycopg.AsyncConnection[Any],
    *,
    schema: str = DEFAULT_SCHEMA,
    command: str = COMMAND,
    any_encoding: bool = False,
) -> None:
    """Refuse a database that Bulkport cannot work on.

    A schema of a newer version is welcome: workers of two versions run side by side while a new one is rolled out.

    Parameters
    ----------
    command
        What the message says to run.
    any_encoding
        Whether a database without an encoding (SQL_ASCII) is accepted, too.

    Raises
    ------
    UnsupportedEncoding
        The database has no encoding.
    MigrationsChanged
        Another state of a migration has run there.
    MigrationsMissing
        A migration is missing.
    """
    if not any_encoding:
        _check_encoding(connection)
    _check_unchanged(await changed(connection, schema=schema), schema, command)
    _check_version(await current(connection, schema=schema), connection, schema, command)


def check_sync(connection: psycopg.Connection[Any], *, schema: str = DEFAULT_SCHEMA, command: str = COMMAND) -> None:
    """As `check`, without an event loop."""
    _check_encoding(connection)
    _check_unchanged(changed(connection, schema=schema), schema, command)
    _check_version(current(connection, schema=schema), connection, schema, command)


def _check_encoding(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    # PgBouncer may not pass it on.
    if encoding is not None and encoding.upper() == "SQL_ASCII":
        raise UnsupportedEncoding(encoding)


def _check_unchanged(differing: list[Migration], schema: str, command: str) -> None:
    if differing:
        raise MigrationsChanged(schema, [(one.version, one.name) for one in differing], command)


def _check_version(version: int, connection: Any, schema: str, command: str) -> None:
    if version >= latest():
        return
    database = connection.info.dbname
    state = f"is at version {version}" if version else "does not exist"
    raise MigrationsMissing(
        f"Bulkport's schema {schema} in the database {database} {state}; this version needs {latest()}. Run: {command}"
    )
