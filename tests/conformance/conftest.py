"""A database with the engine under test for each module, and a view for each test."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import conformance_engine
import psycopg
import pytest
from conformance_engine import EngineUnderTest
from conformance_site import ConformanceSite, Home


@pytest.fixture(scope="session")
def engine_under_test() -> EngineUnderTest:
    """The engine that the suite is about."""
    return conformance_engine.engine_under_test()


@pytest.fixture(scope="module")
def home(
    server_url: str,
    migrated_template: str,
    engine_under_test: EngineUnderTest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Home]:
    """A fresh database for the tests of a module, whose servers they share."""
    name = f"conformance_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')
        url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        folder: Path = tmp_path_factory.mktemp("diary")
        yield Home(url, folder, engine_under_test)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def site(home: Home) -> AsyncIterator[ConformanceSite]:
    """The module's database, with jobs connected to it."""
    jobs = home.engine.application()
    async with (
        await psycopg.AsyncConnection.connect(home.url, autocommit=True) as connection,
        jobs.connect(home.url, most=4),
    ):
        yield ConformanceSite(home, jobs, connection)
