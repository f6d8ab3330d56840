"""Fixtures of the catalogue's tests."""

from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
import pytest_asyncio

from application_client import client_of, make_key, open_application


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(module_database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of an application that the tests of a module share."""
    key = await make_key(module_database_url)
    async with open_application(module_database_url) as app, client_of(app, key) as client:
        yield client


@pytest.fixture
def api(shared_api: httpx.AsyncClient, module_database_url: str) -> httpx.AsyncClient:
    """The module's client, with an empty catalogue; its tests run in the module's event loop."""
    with psycopg.connect(module_database_url) as connection:
        connection.execute("TRUNCATE platforms, commands")
    return shared_api
