"""The whole Command API with its dashboard: a client of its bulk endpoints, a browser, and a worker when asked for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI

from application_client import client_of, make_key, open_application
from bulkport import Bulkport
from dashboard_site import browser_of
from import_steps import NDJSON, accepted, running_worker

LOCK_PLATFORMS = "LOCK TABLE platforms IN EXCLUSIVE MODE"
"""Keeps imports of platforms from writing, as long as its transaction lasts."""


@dataclass(frozen=True)
class CommandSite:
    """An open Command API with an empty catalogue."""

    url: str
    app: FastAPI
    api: httpx.AsyncClient
    """Of the user ann."""
    browser: httpx.AsyncClient
    """Of an operator at this machine."""

    @property
    def jobs(self) -> Bulkport:
        jobs: Bulkport = self.app.state.bulkport
        return jobs

    @asynccontextmanager
    async def worker(self, **settings: Any) -> AsyncIterator[None]:
        """A worker of imports in this process."""
        async with running_worker(self.app.state.bulkport, self.url, **settings):
            yield

    async def send(self, records: list[dict[str, Any]], **headers: str) -> int:
        """Send an import of platforms; its number."""
        body = "".join(json.dumps(record) + "\n" for record in records).encode()
        return await accepted(self.api, "/api/platforms/bulk", content=body, headers={**NDJSON, **headers})

    async def page(self, address: str, *, status: int = 200) -> str:
        """A page of the dashboard."""
        answer = await self.browser.get(f"/hangfire/{address}")
        assert answer.status_code == status, answer.text
        return answer.text

    async def status_of(self, import_id: int) -> dict[str, Any]:
        """The message to the user about the import."""
        answer = await self.api.get(f"/api/imports/{import_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """While the context lasts, no import writes platforms."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            await connection.execute(LOCK_PLATFORMS)
            yield
            await connection.rollback()


async def until(check: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until `check` passes."""
    deadline = time.monotonic() + 60
    while not await check():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def open_command_site(url: str, **settings: Any) -> AsyncIterator[CommandSite]:
    """The site on a migrated database."""
    async with (
        open_application(url, **settings) as app,
        client_of(app, await make_key(url)) as api,
        browser_of(app) as browser,
    ):
        yield CommandSite(url, app, api, browser)
