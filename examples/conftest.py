"""Fixtures of the examples' tests; `docs/guides/testing.md` explains them."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import psycopg
import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

import books
import shop
from bulkport import Bulkport


@pytest.fixture(scope="session")
def bulkport_create_tables() -> Callable[[str], None]:
    """Makes the tables of both examples."""

    def create(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(books.TABLE)
        asyncio.run(create_shop(url))

    return create


async def create_shop(url: str) -> None:
    """The tables of the shop, and a tenant."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(shop.Base.metadata.create_all)
        await connection.execute(insert(shop.Tenant).values(name="Anvils Ltd"))
    await engine.dispose()


@pytest.fixture
def library(bulkport_database_url: str) -> Bulkport:
    """The `Bulkport` of the books, on a fresh database."""
    books.bulkport.database_url = bulkport_database_url
    return books.bulkport


@pytest.fixture
async def api(bulkport_database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the shop, on a fresh database."""
    engine = create_async_engine(bulkport_database_url.replace("postgresql://", "postgresql+asyncpg://"))
    monkeypatch.setattr(shop, "sessions", async_sessionmaker(engine, expire_on_commit=False))
    shop.bulkport.database_url = bulkport_database_url
    transport = httpx.ASGITransport(shop.app)
    async with (
        shop.app.router.lifespan_context(shop.app),
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client,
    ):
        yield client
    await engine.dispose()
