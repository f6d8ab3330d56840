"""A shop that is open: its application, a worker and a client."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import import_shop as shop

from bulkport import Bulkport
from bulkport.jobs.port import EngineFactory
from bulkport.jobs.postgres import PostgresEngine
from import_steps import running_worker


@dataclass(frozen=True)
class OpenShop:
    """`api` sends requests as the shopkeeper Sam; `rival` as another."""

    url: str
    bulkport: Bulkport
    api: httpx.AsyncClient
    rival: httpx.AsyncClient


@asynccontextmanager
async def opened(
    url: str, *, worker: Mapping[str, Any] | None = None, engine: EngineFactory = PostgresEngine, **limits: Any
) -> AsyncIterator[OpenShop]:
    """A shop on the database at `url`, with settings of its worker, its engine, and the limits of its imports."""
    bulkport = shop.shop_bulkport(engine, **limits)
    app = shop.shop_app(bulkport, url)

    def client(shopkeeper: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://shop.example",
            headers={"x-shopkeeper": shopkeeper},
        )

    async with (
        app.router.lifespan_context(app),
        running_worker(bulkport, url, **(worker or {})),
        client("sam") as api,
        client("rob") as rival,
    ):
        yield OpenShop(url, bulkport, api, rival)
