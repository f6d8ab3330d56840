"""The Command API as a client meets it: the whole application, a worker, and keys of two users."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from application_client import client_of, make_keys, open_application
from bulkport import Bulkport
from import_steps import running_worker

PLATFORMS = "/api/platforms/bulk"
COMMANDS = "/api/commands/bulk"


@dataclass(frozen=True)
class CatalogueSite:
    """Clients of one running Command API."""

    url: str
    ann: httpx.AsyncClient
    ann_again: httpx.AsyncClient
    """The same user with another key."""
    bob: httpx.AsyncClient
    stranger: httpx.AsyncClient
    """Without a key."""
    bulkport: Bulkport


@asynccontextmanager
async def opened(url: str, *, worker: bool = True, **settings: Any) -> AsyncIterator[CatalogueSite]:
    """The Command API on the database at `url`."""
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_application(url, **settings))
        keys = [*await make_keys(url, "ann", "ann", "bob"), None]
        clients = [await stack.enter_async_context(client_of(app, key)) for key in keys]
        if worker:
            await stack.enter_async_context(running_worker(app.state.bulkport, url))
        yield CatalogueSite(url, *clients, bulkport=app.state.bulkport)


def platforms(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"platformName": f"Platform {i}"} for i in range(start, start + count)]


EVERYTHING = (
    "platforms, commands, bulkport.bulk_import_jobs, bulkport.import_chunks, bulkport.import_row_errors,"
    " bulkport.idempotency_keys, bulkport.jobs, bulkport.finished_jobs"
)


def emptied(site: CatalogueSite, tables: str = "platforms, commands") -> CatalogueSite:
    """The site without data from earlier tests."""
    with psycopg.connect(site.url) as connection:
        connection.execute(f"TRUNCATE {tables} CASCADE".encode())
    return site
