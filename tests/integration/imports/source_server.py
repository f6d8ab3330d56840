"""A web server on loopback with files that a test changes and a record of its requests."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class File:
    """What one path answers."""

    body: bytes = b""
    type: str | None = None
    etag: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """What Content-Length says; None: the truth."""
    gate: asyncio.Event | None = None
    """Waited for before the second half of the body."""
    gzips: bool = False
    """Whether it is compressed for clients that accept it."""


@dataclass
class SourceServer:
    """Files by their paths; a function decides for each request anew."""

    url: str = ""
    files: dict[str, File | Callable[[Asked], File]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


@asynccontextmanager
async def open_source_server() -> AsyncIterator[SourceServer]:
    """A server on a port of its own."""
    site = SourceServer()
    serving: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            asked = Asked(method, target.partition("?")[0], headers)
            site.asked.append(asked)
            found = site.files.get(asked.path, File(status=404))
            await _send(writer, asked, found if isinstance(found, File) else found(asked))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await answer(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield site
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _send(writer: asyncio.StreamWriter, asked: Asked, file: File) -> None:
    headers, body, status = dict(file.headers), file.body, file.status
    if file.type:
        headers["content-type"] = file.type
    if file.etag:
        headers["etag"] = file.etag
        if asked.headers.get("if-none-match") == file.etag:
            status, body = 304, b""
    if file.gzips and "gzip" in asked.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = gzip.compress(body), "gzip"
    headers["content-length"] = str(len(body) if file.length is None else file.length)
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    half = len(body) // 2
    writer.write(body[:half])
    await writer.drain()
    if file.gate is not None:
        await file.gate.wait()
    writer.write(body[half:])
    await writer.drain()
