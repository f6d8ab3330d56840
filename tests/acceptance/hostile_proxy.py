"""A TCP proxy that disturbs connections as networks do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_BLOCK_BYTES = 64 * 1024


@dataclass
class HostileProxy:
    """Passes bytes on until a fault is met.

    Parameters
    ----------
    cuts:
        Bytes of the client after which its connection is cut, for one connection after the other.
    drops:
        Says of a request's head whether its answer is lost after the server has given it.
    """

    port: int
    target: int
    cuts: list[int] = field(default_factory=list)
    drops: Callable[[bytes], bool] = lambda _: False
    faults: int = 0
    """Connections that were broken."""
    passed: int = 0
    """Bytes of clients that went on to the server."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        head = bytearray()
        tasks = {
            asyncio.create_task(self._upstream(reader, server_writer, head)),
            asyncio.create_task(self._downstream(server_reader, writer, head)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, server_writer):
                end.transport.abort()

    async def _upstream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytearray) -> None:
        passed = 0
        while data := await reader.read(_BLOCK_BYTES):
            if data.startswith((b"POST ", b"GET ", b"PATCH ", b"HEAD ", b"DELETE ")):
                head[:] = data.split(b"\r\n\r\n")[0]
            passed += len(data)
            self.passed += len(data)
            writer.write(data)
            await writer.drain()
            if self.cuts and passed >= self.cuts[0]:
                self.cuts.pop(0)
                self.faults += 1
                return

    async def _downstream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytearray) -> None:
        while data := await reader.read(_BLOCK_BYTES):
            if self.drops(bytes(head)):
                self.faults += 1
                return
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def hostile_proxy(target: int) -> AsyncIterator[HostileProxy]:
    """A proxy in front of a port of this machine."""
    proxy = HostileProxy(0, target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 5)
