"""Clients that open connections and say little do not keep the others out."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from commandapi.connections import ConnectionGate, ConnectionLimits, GuardedProtocol, guarded_protocol


@asynccontextmanager
async def _served(
    limits: ConnectionLimits, protocols: list[GuardedProtocol] | None = None
) -> AsyncIterator[tuple[int, ConnectionGate]]:
    app = FastAPI()
    hold = asyncio.Event()

    @app.get("/quick")
    async def quick() -> str:
        return "ok"

    @app.get("/slow")
    async def slow() -> str:
        await hold.wait()
        return "ok"

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.post("/headers")
    async def headers(request: Request) -> Response:
        await request.body()
        return Response(" ".join(request.headers.keys()))

    @app.get("/large")
    async def large() -> Response:
        return Response(b"x" * 64 * 2**20)

    gate = ConnectionGate(limits)
    listener = socket.create_server(("127.0.0.1", 0))

    class Protocol(guarded_protocol(gate)):  # type: ignore[misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if protocols is not None:
                protocols.append(self)

    config = uvicorn.Config(app, http=Protocol, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1], gate
    finally:
        hold.set()
        server.should_exit = True
        await serving


async def _opened(port: int, said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    return reader, writer


async def test_connections_with_half_sent_headers_are_closed_first_to_make_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _served(ConnectionLimits(in_all=50, per_address=20)) as (port, gate):
        held = [await _opened(port, b"GET /quick HTTP/1.1\r\nhost: a\r\nx-") for _ in range(100)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(3):
                assert (await client.get("/quick")).status_code == 200
        assert gate.open.total() <= 20
        assert "connections were turned away" in caplog.text
        for _, writer in held:
            writer.close()


async def test_idle_keep_alive_connections_are_closed_last_to_make_room() -> None:
    async with _served(ConnectionLimits(in_all=50, per_address=20)) as (port, gate):
        request = b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\n"
        reader, writer = await _opened(port, request)
        async with asyncio.timeout(60):
            await reader.readuntil(b'"ok"')
        held = [await _opened(port, b"GET /quick HTTP/1.1\r\nhost: a\r\nx-") for _ in range(60)]
        async with asyncio.timeout(60):
            # The last of them was let in, for which others had to go.
            while gate.open.total() < 20 or not any(other.at_eof() for other, _ in held):
                await asyncio.sleep(0.01)
            writer.write(request)
            await reader.readuntil(b'"ok"')
        for _, opened in [*held, (reader, writer)]:
            opened.close()


async def test_pipelined_requests_are_read_as_they_are_answered() -> None:
    request = b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\n"
    number = 20_000
    protocols: list[GuardedProtocol] = []
    async with _served(ConnectionLimits(), protocols) as (port, _):
        reader, writer = await _opened(port, request * number)
        answers = longest = 0
        async with asyncio.timeout(120):
            while answers < number:
                await reader.readuntil(b'"ok"')
                answers += 1
                longest = max(longest, len(protocols[0].pipeline))
        assert 0 < longest < 300
        writer.close()


async def test_bodies_of_tiny_chunks_arrive_whole() -> None:
    async with _served(ConnectionLimits()) as (port, _):
        for size, ending in ((300_000, b""), (70_000, b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\n")):
            head = b"POST /size HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            reader, writer = await _opened(port, head + b"1\r\nx\r\n" * size + b"0\r\n\r\n" + ending)
            async with asyncio.timeout(60):
                await reader.readuntil(b"\r\n\r\n%d" % size)
                if ending:
                    await reader.readuntil(b'"ok"')
            writer.close()


async def test_trailers_are_not_headers_and_are_limited() -> None:
    head = b"POST /%b HTTP/1.1\r\nhost: a\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n1%b\r\nx\r\n0\r\n"
    limits = ConnectionLimits(header_bytes=10_000)
    async with _served(limits) as (port, gate):
        reader, writer = await _opened(port, head % (b"headers", b"") + b"x-api-key: other\r\n\r\n")
        async with asyncio.timeout(60):
            await reader.readuntil(b"\r\n\r\nhost x-a transfer-encoding")
        writer.close()
        for said in (head % (b"size", b";" + b"x" * 20_000), head % (b"size", b"") + b"x: " + b"x" * 20_000):
            reader, writer = await _opened(port, said)
            async with asyncio.timeout(60):
                with suppress(ConnectionError):
                    assert (await reader.read()).split()[1] == b"431"
            writer.close()
        async with asyncio.timeout(60):
            while gate.open.total():
                await asyncio.sleep(0.01)


async def test_no_rejection_is_sent_within_another_response(caplog: pytest.LogCaptureFixture) -> None:
    slow, long = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /quick HTTP/1.1\r\nx: " + b"x" * 20_000
    async with _served(ConnectionLimits(header_bytes=10_000)) as (port, gate):
        for said, answer in ((slow + long, b""), (b"\r\n" * 20_000 + slow, b"431")):
            reader, writer = await _opened(port, said)
            async with asyncio.timeout(60):
                with suppress(ConnectionError):
                    assert (await reader.read()).split()[1:2] == [answer] * bool(answer)
            writer.close()
        async with asyncio.timeout(60):
            while gate.open.total():
                await asyncio.sleep(0.01)
    assert "Traceback" not in caplog.text


async def test_a_client_that_does_not_read_its_response_is_disconnected() -> None:
    async with _served(ConnectionLimits(send_seconds=0.2)) as (port, gate):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
            async with asyncio.timeout(60):
                while not gate.open.total():
                    await asyncio.sleep(0.01)
                while gate.open.total():
                    await asyncio.sleep(0.01)


async def test_headers_must_arrive_in_time() -> None:
    async with _served(ConnectionLimits(header_seconds=0.2)) as (port, gate):
        for said in (b"", b"GET /quick HTTP/1.1\r\n", b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\nGET /qu"):
            reader, writer = await _opened(port, said)
            async with asyncio.timeout(60):
                assert b"408 Request Timeout" in await reader.read()
            writer.close()
        async with asyncio.timeout(60):
            while gate.open.total():
                await asyncio.sleep(0.01)


async def test_a_client_that_keeps_sending_can_read_the_rejection() -> None:
    async with _served(ConnectionLimits(header_bytes=10_000)) as (port, gate):
        reader, writer = await _opened(port, b"GET /quick HTTP/1.1\r\nhost: a\r\nx-api-key: ")

        async def send() -> None:
            for _ in range(160):
                writer.write(b"x" * 65_536)
                await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        async with asyncio.timeout(60):
            assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
            await sending
            while gate.open.total():
                await asyncio.sleep(0.01)
        writer.close()


async def test_endless_headers_are_rejected() -> None:
    async with _served(ConnectionLimits(header_bytes=10_000)) as (port, _):
        reader, writer = await _opened(port, b"GET /quick HTTP/1.1\r\nhost: a\r\nx-long: ")
        for _ in range(30):
            if writer.is_closing():
                break
            writer.write(b"x" * 1000)
            await asyncio.sleep(0.001)
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                assert b" 431 " in await reader.read()
        assert writer.is_closing() or reader.at_eof()
        writer.close()


async def test_requests_in_progress_are_not_cut_off() -> None:
    async with _served(ConnectionLimits(per_address=3)) as (port, gate):
        request = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"
        held = [await _opened(port, request) for _ in range(3)]
        async with asyncio.timeout(60):
            while gate.open.total() < 3:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        reader, writer = await _opened(port, request)
        async with asyncio.timeout(60):
            assert (await reader.readline()).split()[1] == b"503"
        assert gate.open.total() == 3
        for _, held_writer in [*held, (reader, writer)]:
            held_writer.close()
