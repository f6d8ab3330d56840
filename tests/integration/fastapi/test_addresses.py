"""Paths in answers are those by which the client reached the application, wherever its routes are."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from bulkport import Bulkport, Resource
from bulkport.client import AsyncClient


class Book(BaseModel):
    title: str


BOOKS = Resource(name="books", label="Book", label_field="title", model=Book, table="books")
CSV = {"content-type": "text/csv"}


def plain(bulkport: Bulkport) -> FastAPI:
    app = FastAPI(lifespan=bulkport.lifespan)
    app.include_router(bulkport.router(user=lambda: "ada"))
    return app


def prefixed(bulkport: Bulkport) -> FastAPI:
    app = FastAPI(lifespan=bulkport.lifespan)
    app.include_router(bulkport.router(user=lambda: "ada"), prefix="/v1/bulk")
    return app


def mounted(bulkport: Bulkport) -> FastAPI:
    inner = FastAPI()
    inner.include_router(bulkport.router(user=lambda: "ada"), prefix="/v1")
    app = FastAPI(lifespan=bulkport.lifespan)
    app.mount("/shop", inner)
    return app


def behind_a_proxy(bulkport: Bulkport) -> Any:
    """A proxy takes `/edge` away, and the server knows it as its root path."""
    return rooted(bulkport, lambda path: path.removeprefix("/edge"))


def root_path_in_the_path(bulkport: Bulkport) -> Any:
    """As uvicorn --root-path does it: the path has the root path in front."""
    return rooted(bulkport, lambda path: path)


def rooted(bulkport: Bulkport, path_of: Callable[[str], str]) -> Any:
    app = FastAPI(lifespan=bulkport.lifespan)
    app.include_router(bulkport.router(user=lambda: "ada"), prefix="/v1")

    async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["path"].startswith("/edge/")
        path = path_of(scope["path"])
        await app({**scope, "path": path, "raw_path": path.encode(), "root_path": "/edge"}, receive, send)

    serve.router = app.router  # type: ignore[attr-defined]
    return serve


WAYS = [
    pytest.param(plain, "", id="plain"),
    pytest.param(prefixed, "/v1/bulk", id="include_router(prefix)"),
    pytest.param(mounted, "/shop/v1", id="mount"),
    pytest.param(behind_a_proxy, "/edge/v1", id="root_path that a proxy removes"),
    pytest.param(root_path_in_the_path, "/edge/v1", id="root_path in the path"),
]


@asynccontextmanager
async def serving(url: str, make: Callable[[Bulkport], Any]) -> AsyncIterator[httpx.ASGITransport]:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE books (id serial, title text NOT NULL CHECK (title <> 'Bad'))")
    bulkport = Bulkport(url, resources=[BOOKS])
    app = make(bulkport)
    stop = asyncio.Event()
    worker = asyncio.create_task(bulkport.run_worker(stop))
    try:
        async with app.router.lifespan_context(app):
            yield httpx.ASGITransport(app)
    finally:
        stop.set()
        await worker


@pytest.mark.parametrize(("make", "below"), WAYS)
async def test_links_in_responses_resolve(database_url: str, make: Callable[[Bulkport], Any], below: str) -> None:
    async with (
        serving(database_url, make) as transport,
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client,
    ):
        sent = await client.post(f"{below}/books/bulk", content=b"title\nEmma\nBad\n", headers=CSV)
        assert sent.headers["location"] == f"{below}/books/bulk/1/status"
        status = await client.get(sent.headers["location"], params={"wait": 30})
        assert status.json()["status"] == "PartialSuccess"
        # Two imports, so that a list has a next page.
        again = await client.post(f"{below}/imports/1/retry")
        assert again.headers["location"] == f"{below}/books/bulk/2/status"
        assert (await client.get(again.headers["location"], params={"wait": 30})).status_code == 200
        listed = await client.get(f"{below}/imports", params={"limit": 1})
        links = [value for value in strings(listed.json()) if value.startswith("/")]
        links += [link["url"] for link in listed.links.values()]
        detail = await client.get(f"{below}/imports/1")
        links += [value for value in strings(detail.json()) if value.startswith("/")]
        for link in links:
            assert link.startswith(f"{below}/"), link
            # Some take another method; what is not there is 404.
            assert (await client.get(link)).status_code in (200, 405), link
        upload = await client.post(
            f"{below}/uploads", headers={"tus-resumable": "1.0.0", "upload-length": "12", "upload-metadata": ""}
        )
        assert upload.status_code == 201, upload.text
        assert httpx.URL(upload.headers["location"]).path.startswith(f"{below}/uploads/")
        assert (await client.head(upload.headers["location"], headers={"tus-resumable": "1.0.0"})).status_code == 200
        problem = (await client.get(f"{below}/imports/99")).json()
        assert problem["instance"] == f"{below}/imports/99"


@pytest.mark.parametrize(("make", "below"), WAYS)
async def test_the_client_finds_the_routes_under_any_prefix(
    database_url: str, make: Callable[[Bulkport], Any], below: str
) -> None:
    async with (
        serving(database_url, make) as transport,
        AsyncClient("http://shop.example", prefix=below, transport=transport) as client,
    ):
        sent = await client.imports.create("books", [{"title": "Emma"}, {"title": "Bad"}])
        progress = await sent.wait()
        assert (progress.success_count, progress.failure_count) == (1, 1)
        assert [row.row async for row in sent.errors()] == [2]


def strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [found for each in value.values() for found in strings(each)]
        case list():
            return [found for each in value for found in strings(each)]
    return []
