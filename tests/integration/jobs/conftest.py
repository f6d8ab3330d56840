"""A database with the engine in it for each test."""

from collections.abc import AsyncIterator

import engine_worker
import psycopg
import pytest
from engine_site import EngineSite
from reading_site import ReadingSite
from recurring_site import RecurringSite

from bulkport.pools import open_pool


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[EngineSite]:
    """The test's database, with the tables its tasks write to."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(engine_worker.TABLES)
        yield EngineSite(database_url, connection)


@pytest.fixture
async def recurring_site(database_url: str) -> AsyncIterator[RecurringSite]:
    """The test's database, with stores and tickers of recurring jobs."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield RecurringSite(database_url, connection)


@pytest.fixture
async def reading_site(database_url: str) -> AsyncIterator[ReadingSite]:
    """The test's database, with a reader of its jobs."""
    async with (
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
        open_pool(database_url, name="reading", most=2) as pool,
    ):
        yield ReadingSite(database_url, connection, pool)
