"""An attacker's HTTP/1.1: any bytes, whole or in part, on a socket that may never be read."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

ATTACKING_ADDRESS: Final = "127.0.0.2"
"""Where attackers come from: another address than the victim's, as in a network."""
_MOST_UNREAD: Final = 2**16


@dataclass(slots=True)
class Target:
    """The target of an attack, its key and the responses."""

    host: str
    port: int
    key: str
    answers: Counter[str] = field(default_factory=Counter)
    """Statuses, and `closed` for connections that the server ended without one."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the attack is prepared and begins."""

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, key: str = ""
    ) -> bytes:
        """The bytes of a whole request."""
        every = {
            "host": f"{self.host}:{self.port}",
            "x-api-key": key or self.key,
            "content-type": "application/json",
            "content-length": str(len(body)),
        } | dict(headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in every.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """Send one request on a connection of its own; returns the answer's body."""
        async with Wire(self) as wire:
            return (await wire.exchange(self.request(method, path, body, headers)))[1]


class Wire:
    """One connection of an attacker."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self._target.host, self._target.port, limit=_MOST_UNREAD, local_addr=(ATTACKING_ADDRESS, 0)
        )

    def hang_up(self) -> None:
        """Drop the connection at once."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def send(self, data: bytes) -> None:
        """Send bytes, of which the server need not read any."""
        if self._writer is None:
            await self._connect()
        assert self._writer is not None
        self._writer.write(data)
        with suppress(ConnectionError):  # an early answer: it is read below
            await self._writer.drain()

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and read its answer: status and body; 0 if the connection was closed without one."""
        try:
            await self.send(request)
            return await self.answer()
        except (ConnectionError, asyncio.IncompleteReadError, OSError):
            self.hang_up()
            self._target.answers["closed"] += 1
            return 0, b""

    async def answer(self) -> tuple[int, bytes]:
        """Read an answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        self._target.answers[str(status)] += 1
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        if headers.get("transfer-encoding") == "chunked":
            body = bytearray()
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
            content = bytes(body)
        else:
            content = await self._reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.hang_up()
        return status, content
