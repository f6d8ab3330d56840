"""Fixtures of the authentication tests."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from auth_clients import OpenClient
from issuer_server import AUDIENCE, IssuerServer, rsa_key, serve_issuer
from joserfc.jwk import RSAKey

from commandapi.settings import Settings


@pytest.fixture(scope="session")
def issuer_key() -> RSAKey:
    """The key that the issuer of each test starts with."""
    return rsa_key()


@pytest.fixture
def issuer(issuer_key: RSAKey) -> Iterator[IssuerServer]:
    """An issuer over HTTP with one key."""
    with serve_issuer(issuer_key) as server:
        yield server


@pytest.fixture
def open_client(database_url: str) -> OpenClient:
    """Opens a client of an application with the settings given."""
    # Imported here: most tests of tokens and keys need no application.
    from commandapi.app import create_app

    @asynccontextmanager
    async def open_client(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**({"database_url": database_url, "environment": "development"} | settings)))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
                yield client

    return open_client


@pytest.fixture
async def client(open_client: OpenClient, issuer: IssuerServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that trusts `issuer`."""
    async with open_client(oidc_issuer=issuer.url, oidc_audience=AUDIENCE, oidc_refresh_seconds=0) as client:
        yield client
