"""Fixtures of the catalogue's tests."""

from collections.abc import AsyncIterator

import httpx
import pytest

from application_client import client_of, make_key, open_application


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of an application on a fresh database."""
    key = await make_key(database_url)
    async with open_application(database_url) as app, client_of(app, key) as client:
        yield client
