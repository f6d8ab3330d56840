"""A client of the whole application in this process, with a key: every layer runs, but for the socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote

import httpx
import psycopg
from fastapi import FastAPI

from commandapi.app import create_app
from commandapi.auth.keys import create_key
from commandapi.settings import Environment, Settings

OPEN: Final = {"environment": Environment.DEVELOPMENT, "dashboard_open": True}


async def make_keys(database_url: str, *users: str) -> list[str]:
    """A key for each of these users, made as another process makes it."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        return [await create_key(connection, user) for user in users]


async def make_key(database_url: str, user: str = "ann") -> str:
    """A key of `user`."""
    (key,) = await make_keys(database_url, user)
    return key


@asynccontextmanager
async def open_application(database_url: str, **settings: Any) -> AsyncIterator[FastAPI]:
    """The application with the settings given, else in development and with an open dashboard, in its lifespan."""
    app = create_app(Settings(database_url=database_url, **(OPEN | settings)))
    async with app.router.lifespan_context(app):
        yield app


def client_of(app: FastAPI, api_key: str | None = None) -> httpx.AsyncClient:
    """A client of `app` that sends the key with each request."""
    headers = {} if api_key is None else {"x-api-key": api_key}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example", headers=headers)


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The answer is a problem in the form that every error has; returns its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if answer.request.url.path.startswith("/api"):
        assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert unquote(body["instance"]) == answer.request.url.path
    assert len(body["traceId"]) == 32
    standard = ("type", "title", "status", "detail", "instance", "traceId")
    assert all(body[member] for member in standard)
    assert set(body) <= {*standard, "errors"}
    return body
