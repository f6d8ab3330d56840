"""Fixtures of the tests of HTTP itself."""

from collections.abc import AsyncIterator

import httpx
import pytest
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
