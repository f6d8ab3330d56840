"""Reads pipelined and bulky input in steps, so that one connection cannot block the event loop.

uvicorn parses whatever the system hands over, a quarter of a megabyte, in one go: ten thousand requests that follow
each other without waiting for answers, or forty thousand chunks of one byte. It also makes an object of each request
that waits for its turn, a hundred times as large as what was sent. Here it gets a few kilobytes at a time, and nothing
while requests of the connection wait. A body of a known length is one part to the parser, however long: of that it gets
all that has come.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES: Final = 4 * 1024
_BODY_BYTES: Final = 32 * 1024


class _Flow(FlowControl):
    """uvicorn's flow control, which resumes reading."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._go_on = go_on

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self._go_on()


class SteppedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that is fed in steps."""

    _rest = b""
    """Input that has arrived but is unread."""
    _is_in_body = False
    _body_left = 0
    """Bytes of a body of a known length that are still to come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self._go_on)

    def data_received(self, data: bytes) -> None:
        """Read buffered input if it is its turn."""
        if self._rest or self._is_held():
            self._rest += data
            self.transport.pause_reading()
            return
        view, start, looked_at = memoryview(data), 0, 0
        while start < len(data) and looked_at < _BODY_BYTES and not self._is_held():
            if self._body_left:
                end = start + self._body_left
            else:
                end = start + (_BODY_BYTES if self._is_in_body else _HEAD_BYTES)
                looked_at += end - start
            self.feed(view[start:end])
            start = end
            if self.parser is None or self.transport.is_closing():
                return
        if start < len(data):
            self._rest = data[start:]
            self.transport.pause_reading()
            if not self._is_held():
                self.loop.call_soon(self._go_on)

    def feed(self, data: memoryview) -> None:
        """Have a step of it parsed."""
        super().data_received(data)  # type: ignore[arg-type]  # httptools takes any buffer

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What comes after the body is none (RFC 9110 §6.5.1), least of all one that proxies set."""
        if not self._is_in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request can be answered."""
        self._is_in_body = True
        super().on_headers_complete()
        lengths = [value for name, value in self.headers if name == b"content-length"]
        # The parser has refused what is no number, several of them, and one beside Transfer-Encoding (RFC 9112 §6.3).
        self._body_left = int(lengths[0]) if len(lengths) == 1 and lengths[0].isdigit() else 0

    def on_body(self, body: bytes) -> None:
        """A part of the body is here."""
        self._body_left = max(0, self._body_left - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole."""
        self._is_in_body = False
        self._body_left = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Discard unread input."""
        self._rest = b""
        super().connection_lost(exc)

    def _is_held(self) -> bool:
        return self.flow.read_paused or bool(self.pipeline)

    def _go_on(self) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        if self.pipeline:
            # Until the last of them is being answered.
            self.flow.read_paused = True
        elif self._rest and not self.flow.read_paused:
            rest, self._rest = self._rest, b""
            self.data_received(rest)
        if not self._rest and not self._is_held():
            self.transport.resume_reading()
