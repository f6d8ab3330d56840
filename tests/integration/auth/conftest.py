"""Fixtures of the authentication tests."""

import queue
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from issuer_server import AUDIENCE, IssuerServer, rsa_key, serve_issuer
from joserfc.jwk import RSAKey

from commandapi.settings import Settings

OpenClient = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


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
    from commandapi.registrations.routes import router

    @asynccontextmanager
    async def open_client(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(database_url=database_url, **settings))
        if not any(getattr(route, "path", None) == "/api/registrations" for route in app.routes):
            app.include_router(router)
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


@dataclass
class Provider:
    """A running oidc-provider-mock."""

    url: str

    def sign_in(self, user: str, client_id: str) -> str:
        """Go through the authorization code flow as `user` would, and return the ID token."""
        redirect = "http://app.example/signed-in"
        with httpx.Client(base_url=self.url, trust_env=False) as browser:
            answer = browser.post(
                "/oauth2/authorize",
                params={
                    "client_id": client_id,
                    "redirect_uri": redirect,
                    "response_type": "code",
                    "scope": "openid email",
                },
                data={"sub": user},
            )
            code = httpx.URL(answer.headers["location"]).params["code"]
            answer = browser.post(
                "/oauth2/token",
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": redirect,
                    "client_id": client_id,
                    "client_secret": "any",
                },
            )
            token: str = answer.json()["id_token"]
            return token


@contextmanager
def run_provider(port: int = 0) -> Iterator[Provider]:
    """Run oidc-provider-mock in a process of its own, which makes itself a new signing key."""
    command = [sys.executable, "-m", "oidc_provider_mock", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: queue.Queue[str] = queue.Queue()
    stderr = process.stderr

    def read() -> None:
        for line in stderr:
            lines.put(line)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        url = None
        while url is None:
            url = re.search(r"running on (http://127\.0\.0\.1:\d+)", lines.get(timeout=60))
        yield Provider(url[1])
    finally:
        process.terminate()
        process.wait(30)
        reader.join(30)
        stderr.close()
