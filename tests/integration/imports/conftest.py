"""A shop of its own for each test: its database, its application, a worker and a client."""

import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import import_shop as shop
import psycopg
import pytest
import structlog
from shop_site import OpenShop, opened

from bulkport.migrations import upgrade_sql


@pytest.fixture
def library_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The library's log without structlog configured, independent of earlier tests."""
    structlog.reset_defaults()
    caplog.set_level(logging.INFO, logger="bulkport")
    return caplog


@pytest.fixture(scope="session")
def shop_template(server_url: str) -> Iterator[str]:
    """Name of a database with the tables of Bulkport and of the shop, to be copied."""
    name = f"shop_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        with psycopg.connect(_in_database(server_url, name)) as shop_connection:
            shop_connection.execute(upgrade_sql())
            shop_connection.execute(shop.TABLES)
        yield name
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def shop_url(server_url: str, shop_template: str) -> Iterator[str]:
    """Connection URL of a fresh database of the shop."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{shop_template}"')
        yield _in_database(server_url, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def open_shop(shop_url: str) -> AsyncIterator[OpenShop]:
    """An open shop with the limits of the library."""
    async with opened(shop_url) as site:
        yield site


@pytest.fixture
async def small_chunks(shop_url: str) -> AsyncIterator[OpenShop]:
    """An open shop whose imports are cut into chunks of a few rows."""
    async with opened(shop_url, chunk_bytes=500) as site:
        yield site


def _in_database(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
