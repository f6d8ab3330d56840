"""A TCP proxy that can cut connections, even in the middle of a response, delay them and black-hole them."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_BLOCK = 256 * 1024
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Relays connections to wherever `connect` leads.

    Parameters
    ----------
    connect
        Opens a connection to the server; it may fail, and the client's connection is then cut.
    """

    def __init__(self, connect: Connect) -> None:
        self.connect = connect
        self.port = 0
        self._writers: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay_seconds = 0.0
        self._answer_bytes: int | None = None
        self.cuts_in_answers = 0

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._writers)

    def cut(self) -> int:
        """Reset every connection, both ways; returns how many there were."""
        pairs = list(self._writers.items())
        for pair in pairs:
            for writer in pair:
                _reset(writer)
        return len(pairs)

    def cut_in_answers(self, after_bytes: int) -> None:
        """Let each server say so many more bytes, and cut its connection then; until `heal`."""
        self._answer_bytes = after_bytes

    def delay(self, seconds: float) -> None:
        """Hold each block of bytes back for so long; until `heal`."""
        self._delay_seconds = seconds

    def black_hole(self) -> None:
        """Relay nothing more, and close nothing; until `heal`."""
        self._flows.clear()

    def heal(self) -> None:
        """Relay as a network should."""
        self._answer_bytes = None
        self._delay_seconds = 0.0
        self._flows.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one client's connection until it ends."""
        try:
            await self._flows.wait()
            server_reader, server_writer = await self.connect()
        except OSError:
            _reset(writer)
            return
        self._writers[writer] = server_writer
        try:
            await asyncio.gather(
                self._relay(reader, server_writer, is_answer=False),
                self._relay(server_reader, writer, is_answer=True),
            )
        except (OSError, RuntimeError, asyncio.CancelledError):
            # uvloop raises RuntimeError if it was closed meanwhile. The relay is cancelled at the end of the run.
            _reset(writer)
            _reset(server_writer)
        finally:
            del self._writers[writer]
            for each in (writer, server_writer):
                with contextlib.suppress(Exception):
                    each.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while block := await reader.read(_BLOCK):
            await self._flows.wait()
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            if is_answer and self._answer_bytes is not None:
                writer.write(block[: self._answer_bytes])
                await writer.drain()
                self.cuts_in_answers += 1
                raise ConnectionResetError
            writer.write(block)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@asynccontextmanager
async def open_proxy(connect: Connect) -> AsyncIterator[Proxy]:
    """A proxy on a free port of this machine, for as long as the context lasts."""
    proxy = Proxy(connect)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=2 * _BLOCK)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.heal()
        proxy.cut()
        server.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST, as a machine that was restarted answers."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        with contextlib.suppress(OSError, ValueError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
