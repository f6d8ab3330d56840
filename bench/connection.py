"""The load generator's HTTP/1.1: prepared bytes on a blocking socket.

A request costs the client some 30 µs, so what is measured is the server. It understands just what the product
answers: a status line, headers and a body with Content-Length.
"""

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_RECEIVE_BYTES = 65_536
_POLL_TIMEOUT_SECONDS = 60.0


class UnexpectedResponseError(Exception):
    """The server answered something else than the measure needs."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the product listens, and as which user the load generator speaks."""

    host: str
    port: int
    api_key: str


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, with the seconds from the first byte sent to the last byte received."""

    status: int
    body: bytes
    seconds: float

    def json(self, expected_status: int) -> dict[str, Any]:
        """The body as an object, if the status is the expected one."""
        if self.status != expected_status:
            raise UnexpectedResponseError(f"{self.status} instead of {expected_status}: {self.body[:500]!r}")
        value: dict[str, Any] = json.loads(self.body)
        return value


class Connection:
    """One kept-alive connection, for one thread."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._socket = socket.create_connection((server.host, server.port), timeout=_POLL_TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def prepare(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
        """The bytes of a whole request, to be exchanged later."""
        return self._head(method, path, len(body), content_type) + body

    def exchange(self, request: bytes) -> Response:
        """Send a prepared request and read its answer."""
        started = time.perf_counter()
        self._socket.sendall(request)
        return self._receive(started)

    def get(self, path: str) -> Response:
        """Send a GET request."""
        return self.exchange(self.prepare("GET", path))

    def send_file(self, path: str, file: Path, content_type: str) -> Response:
        """POST a file with sendfile(2), so that the client's CPU time does not count."""
        head = self._head("POST", path, file.stat().st_size, content_type)
        with file.open("rb") as body:
            started = time.perf_counter()
            try:
                self._socket.sendall(head)
                self._socket.sendfile(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # an early answer: it is read below
            return self._receive(started)

    def _head(self, method: str, path: str, length: int, content_type: str) -> bytes:
        server = self.server
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nx-api-key: {server.api_key}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def _receive(self, started: float) -> Response:
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            self._receive_more(received)
        head = received[:end].decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        total = end + 4 + int(headers.get("content-length", "0"))
        while len(received) < total:
            self._receive_more(received)
        return Response(status, bytes(received[end + 4 : total]), time.perf_counter() - started)

    def _receive_more(self, received: bytearray) -> None:
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise UnexpectedResponseError(f"connection closed after {bytes(received[:200])!r}")
        received += data
