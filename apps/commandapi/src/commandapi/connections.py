"""Limits the connections that one client may occupy.

uvicorn waits for the headers of a request as long as its client likes, and takes connections until the process has no
file descriptor left. Here a connection that has not sent its headers in time is closed, and one whose client does not
read its answer; there is a number of connections in all and for each address, and those that wait for a request make
room for new ones.
"""

import asyncio
import logging
import resource
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Final

from commandapi.paced_reading import SteppedProtocol

logger = logging.getLogger(__name__)

_OTHER_DESCRIPTORS: Final = 256
"""Descriptors that are left to database connections, files and the rest."""
_LOG_EVERY_SECONDS: Final = 10.0
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 1\r\n"
    b"content-length: 22\r\nconnection: close\r\n\r\nToo many connections.\n"
)
_LINGER_SECONDS: Final = 5.0
_LINGER_BYTES: Final = 32 * 1024 * 1024
"""How long, and for how much, a client is listened to that was refused while it was sending."""
_FRAMING_BYTES_OF_PART: Final = 16
_FRAMING_BYTES_OF_BYTE: Final = 2
"""What the chunked coding may cost besides `header_bytes`: enough for a chunk for each byte."""
_TIMED_OUT: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on the connections of one server process."""

    in_all: int = 4000
    per_address: int = 1000
    """Of one client's address; behind a proxy that is the proxy's."""
    header_seconds: float = 10.0
    """Time for the headers of a request."""
    header_bytes: int = 64 * 1024
    """Size of the headers of a request; and again of its chunk extensions and trailers (RFC 9112 §7.1)."""
    send_seconds: float = 60.0
    """How long a client may read nothing of an answer that waits for it."""


class ConnectionGate:
    """Counts the connections of one server process, and chooses which to close."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.in_all = min(limits.in_all, _descriptor_limit() - _OTHER_DESCRIPTORS)
        self.open: Counter[str] = Counter()
        """Connections by address."""
        self._silent: dict[GuardedProtocol, None] = {}
        """Those that have never sent a whole request, or have begun another one."""
        self._idle: dict[GuardedProtocol, None] = {}
        """Those that were answered and wait for another request."""
        self._turned_away: Counter[str] = Counter()
        self._logged_at = float("-inf")

    def admit(self, connection: "GuardedProtocol") -> bool:
        """Whether there is room for a new connection; one that waits for a request may be closed for it."""
        address = connection.address
        has_room = (self.open[address] < self.limits.per_address or self._close_idle(address)) and (
            self.open.total() < self.in_all or self._close_idle(None)
        )
        if not has_room:
            self.note(connection, "refused: too many connections")
        return has_room

    def enter(self, connection: "GuardedProtocol") -> None:
        """Count a connection."""
        self.open[connection.address] += 1

    def leave(self, connection: "GuardedProtocol") -> None:
        """Count it no longer."""
        self.busy(connection)
        self.open[connection.address] -= 1
        if self.open[connection.address] <= 0:
            del self.open[connection.address]

    def idle(self, connection: "GuardedProtocol") -> None:
        """The connection was answered and waits for another request."""
        self._silent.pop(connection, None)
        self._idle[connection] = None

    def silent(self, connection: "GuardedProtocol") -> None:
        """The connection waits for its first request, or for the rest of a request's headers."""
        self._idle.pop(connection, None)
        self._silent[connection] = None

    def busy(self, connection: "GuardedProtocol") -> None:
        """The connection's request is being answered."""
        self._idle.pop(connection, None)
        self._silent.pop(connection, None)

    def note(self, connection: "GuardedProtocol", what: str) -> None:
        """Log that a connection was turned away; floods of them in one line."""
        self._turned_away[f"{connection.address} {what}"] += 1
        now = asyncio.get_running_loop().time()
        if now - self._logged_at < _LOG_EVERY_SECONDS:
            return
        self._logged_at = now
        logger.warning(
            "connections were turned away",
            extra={"open": self.open.total(), "turned_away": dict(self._turned_away.most_common(5))},
        )
        self._turned_away.clear()

    def _close_idle(self, address: str | None) -> bool:
        # First those that say nothing: a client between two requests of its own has done no wrong.
        for connection in chain(self._silent, self._idle):
            if address is None or connection.address == address:
                self.note(connection, "closed: room for others")
                connection.abort()
                return True
        return False


class GuardedProtocol(SteppedProtocol):
    """uvicorn's HTTP protocol under the limits of a gate; see `guarded_protocol`."""

    gate: ClassVar[ConnectionGate]
    address: str = ""
    _is_counted = False
    _header_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _framing_bytes = 0
    """Of a body, beyond what its parts may be wrapped in."""
    _lingers = False
    _discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not self.gate.admit(self):
            transport.write(_REFUSAL)
            transport.close()
            return
        self._is_counted = True
        self.gate.enter(self)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        self._headers_are_here()
        self._is_read()
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the client was turned away."""
        if self.transport.is_closing():
            return
        if self._lingers:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self.transport.abort()
            return
        super().data_received(data)

    def feed(self, data: memoryview) -> None:
        """Have it parsed, and count it while it belongs to headers, or to what surrounds the parts of a body."""
        if self._lingers:
            return
        super().feed(data)
        if self._header_timer is not None:
            self._header_bytes += len(data)
            if self._header_bytes > self.gate.limits.header_bytes:
                self._turn_away(_TOO_LARGE, "closed: headers too large")
        elif self._is_in_body:
            self._framing_bytes = max(0, self._framing_bytes + len(data))
            if self._framing_bytes > self.gate.limits.header_bytes:
                self._turn_away(_TOO_LARGE, "closed: chunk extensions or trailers too large")

    def on_body(self, body: bytes) -> None:
        """A part of the body is here."""
        self._framing_bytes -= _FRAMING_BYTES_OF_PART + (1 + _FRAMING_BYTES_OF_BYTE) * len(body)
        super().on_body(body)

    def on_message_begin(self) -> None:
        """The first bytes of a request have come."""
        super().on_message_begin()
        if self._header_timer is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        """The request can be answered."""
        self._headers_are_here()
        self._framing_bytes = 0
        self.gate.busy(self)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The connection waits for another request."""
        super().on_response_complete()
        if self.transport.is_closing():
            # What is left of the answer is sent before it closes, if its client reads that.
            self._expect_reading()
        elif self._is_counted and self._header_timer is None:
            self.gate.idle(self)

    def pause_writing(self) -> None:
        """The client reads too slowly: wait for it, but not for ever."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._is_read()

    def abort(self) -> None:
        """Close the connection at once."""
        self._headers_are_here()
        self._leave()
        self.transport.abort()

    def _expect_headers(self) -> None:
        self._header_bytes = 0
        self._header_timer = self.loop.call_later(
            self.gate.limits.header_seconds, self._turn_away, _TIMED_OUT, "closed: headers took too long"
        )
        self.gate.silent(self)

    def _headers_are_here(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _expect_reading(self) -> None:
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self.gate.limits.send_seconds, self._give_up_sending)

    def _is_read(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _give_up_sending(self) -> None:
        self.gate.note(self, "closed: the answer was not read")
        self.abort()

    def _turn_away(self, answer: bytes, what: str) -> None:
        self._headers_are_here()
        if self._lingers or self.transport.is_closing():
            return
        self.gate.note(self, what)
        if not self._can_answer():
            self.abort()
            return
        self._leave()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(answer)
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        # To close now would throw away the answer of a client that still sends (RFC 9112 §9.6): the system resets
        # a connection that is closed with something unread.
        self._lingers = True
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _can_answer(self) -> bool:
        """Whether an answer would be taken for the one to what is being read, not for a part of another."""
        if self.cycle is None or self.pipeline:
            return not self.pipeline
        return not self.cycle.response_started if self._is_in_body else self.cycle.response_complete

    def eof_received(self) -> None:
        """The client has sent all it wanted."""
        if self._lingers:
            self.transport.close()
            return
        super().eof_received()

    def _leave(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self.gate.leave(self)


def guarded_protocol(gate: ConnectionGate) -> type[Any]:
    """The protocol class for `uvicorn.Config(http=…)`."""
    return type("Protocol", (GuardedProtocol,), {"gate": gate})


def raise_descriptor_limit() -> None:
    """Have this process use as many file descriptors as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft
