"""Fixtures of the tests of HTTP itself."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from application_client import client_of, make_key, open_application


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """The application on a fresh database."""
    async with open_application(database_url) as app:
        yield app


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def client(app: FastAPI, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key."""
    async with client_of(app, await make_key(database_url)) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_clients(module_database_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients, with a key and without, of one application for tests of a module that run in the module's event loop."""
    key = await make_key(module_database_url)
    async with open_application(module_database_url) as app, client_of(app, key) as client, client_of(app) as stranger:
        yield client, stranger
