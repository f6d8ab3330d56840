"""Ambiguous requests and requests with oversized headers are rejected."""

import httpx
import pytest
from fastapi import FastAPI

from bulkport.fastapi.middleware import EdgeMiddleware


async def _answer(headers: list[tuple[bytes, bytes]], *, http_version: str = "1.1") -> int:
    app = FastAPI()
    app.add_middleware(EdgeMiddleware)

    @app.get("/here")
    async def here() -> str:
        return "here"

    scope = {
        "type": "http",
        "http_version": http_version,
        "method": "GET",
        "path": "/here",
        "raw_path": b"/here",
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("a.example", 80),
        "scheme": "http",
        "root_path": "",
    }
    sent: list[dict[str, object]] = []
    parts = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app(scope, receive, send)  # type: ignore[arg-type]
    return int(str(sent[0]["status"]))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"host", b"a.example")], 200),
        ([], 400),
        ([(b"host", b"a.example"), (b"host", b"b.example")], 400),
        ([(b"host", b"a.example"), (b"host", b"a.example")], 400),
        ([(b"host", b"")], 200),
        ([(b"host", b"[2001:db8::1]:8000")], 200),
        *(([(b"host", host)], 400) for host in (b"a, b", b"a/b", b"u@a", b"<a>", b"\xff", b"[::1", b"a:http", b"a b")),
        ([(b"host", b"a.example"), (b"transfer-encoding", b"Chunked")], 200),
        ([(b"host", b"a.example"), (b"transfer-encoding", b"gzip, chunked")], 400),
        ([(b"host", b"a.example"), (b"x", b"y" * 70_000)], 431),
        ([(b"host", b"a.example"), *[(b"x", b"y" * 100)] * 700], 431),
    ],
)
async def test_exactly_one_host_header_is_required_and_headers_are_limited(
    headers: list[tuple[bytes, bytes]], status: int
) -> None:
    assert await _answer(headers) == status


async def test_http_1_0_needs_no_host() -> None:
    assert await _answer([], http_version="1.0") == 200


async def test_paths_and_queries_are_limited() -> None:
    app = FastAPI()
    app.add_middleware(EdgeMiddleware)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a.example") as client:
        for address, status in (("/" + "a" * 8200, 414), ("/a?" + "b" * 8200, 414), ("/a?" + "b" * 8000, 404)):
            assert (await client.get(address)).status_code == status
