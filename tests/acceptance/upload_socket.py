"""Uploads over a real socket, byte by byte as a test wants them sent."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from application_client import make_key
from commandapi.app import create_app
from commandapi.settings import Settings
from import_steps import WAIT_SECONDS


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_part(self, data: bytes) -> None:
        """Send a part of a body in Transfer-Encoding: chunked."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def send_end(self) -> None:
        """End a body in Transfer-Encoding: chunked."""
        await self.send(b"0\r\n\r\n")

    async def answer(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer."""
        async with asyncio.timeout(WAIT_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split()[1]), headers

    def break_off(self) -> None:
        """Drop the connection at once."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection in good order."""
        self._writer.close()
        await self._writer.wait_closed()


@dataclass(frozen=True)
class ServedApi:
    """The Command API on a port of its own."""

    url: str
    """Of the database."""
    port: int
    key: str
    slots: Callable[[], int]
    """How many long uploads are under way."""
    requests: Callable[[], int]
    """How many requests of users are under way."""

    @asynccontextmanager
    async def begun(self, path: str, headers: Mapping[str, str], *, method: str = "POST") -> AsyncIterator[Connection]:
        """A request whose headers are sent; the body is chunked unless there is a Content-Length."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        framing = {} if "content-length" in headers else {"transfer-encoding": "chunked"}
        every = {"host": "api.example", "x-api-key": self.key, **framing, **headers}
        connection = Connection(reader, writer)
        await connection.send(
            f"{method} {path} HTTP/1.1\r\n".encode()
            + b"".join(f"{name}: {value}\r\n".encode() for name, value in every.items())
            + b"\r\n"
        )
        try:
            yield connection
        finally:
            writer.transport.abort()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", headers={"x-api-key": self.key}, timeout=WAIT_SECONDS
        )

    async def uploads_under_way(self, count: int) -> None:
        """Wait until exactly so many long uploads are under way."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.slots() != count:
                await asyncio.sleep(0.02)

    async def requests_under_way(self, count: int) -> None:
        """Wait until exactly so many requests of users are under way."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.requests() != count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def served(database_url: str, **settings: Any) -> AsyncIterator[ServedApi]:
    """Serve the Command API on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(database_url=database_url, **settings))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield ServedApi(
            database_url,
            listener.getsockname()[1],
            await make_key(database_url),
            lambda: int(app.state.bulkport.uploads_under_way),
            lambda: int(app.state.user_requests.under_way),
        )
    finally:
        server.should_exit = True
        await serving
