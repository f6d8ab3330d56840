"""Attacks with one key, or none, that try to keep other users waiting. Each attack runs until it is ended.

They are sent from a process of their own at the lowest priority, so that what is measured is the server's work.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from load import bombs
from load.wire import Target, Wire

Attack = Callable[[Target], Coroutine[Any, Any, None]]
_BULK: Final = "/api/platforms/bulk"
_SINGLE: Final = "/api/platforms"
_LATER: Final = timedelta(days=1)
_THREE: Final = b'{"platforms":[{"platformName":"a"},{"platformName":"b"},{"platformName":"c"}]}'
_TUS: Final = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}


async def _many(target: Target, count: int, one: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    target.begun.set()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(one(number))


async def _repeat(target: Target, connections: int, request: Callable[[], bytes]) -> None:
    """Send requests on so many connections, the next one when the last is answered."""

    async def one(_: int) -> None:
        async with Wire(target) as wire:
            while True:
                status, _body = await wire.exchange(request())
                await asyncio.sleep(0.02 if status in {0, 429, 503} else 0)

    await _many(target, connections, one)


async def _hang_up(target: Target, connections: int, seconds: float, request: bytes) -> None:
    """Send a request on so many connections, hang up after so long, and come again."""

    async def one(_: int) -> None:
        while True:
            async with Wire(target) as wire:
                try:
                    async with asyncio.timeout(seconds):
                        await wire.exchange(request)
                except TimeoutError:
                    target.answers["hung up"] += 1

    await _many(target, connections, one)


def _again(connections: int, method: str, path: str) -> Attack:
    async def attack(target: Target) -> None:
        request = target.request(method, path)
        await _repeat(target, connections, lambda: request)

    return attack


def _bodies(connections: int, body: Callable[[], bytes], headers: dict[str, str], path: str = _BULK) -> Attack:
    async def attack(target: Target) -> None:
        request = target.request("POST", path, body(), headers)
        await _repeat(target, connections, lambda: request)

    return attack


async def _import(
    target: Target, path: str = _BULK, body: bytes = _THREE, headers: dict[str, str] | None = None
) -> int:
    answer: int = json.loads(await target.ask("POST", path, body, headers))["id"]
    return answer


async def _finished(target: Target, job: int) -> None:
    while True:
        shown = json.loads(await target.ask("GET", f"/api/imports/{job}?wait=10"))
        if shown["completedAt"] is not None:
            return


async def queue_imports(target: Target) -> None:
    """Queue tiny imports, each with a key of its own against repetition."""
    await _repeat(target, 64, lambda: target.request("POST", _BULK, _THREE, {"idempotency-key": f'"{uuid.uuid4()}"'}))


async def idempotency_keys(target: Target) -> None:
    """Add single records, each with a long key of its own."""
    body = b'{"platformName":"attack"}'
    await _repeat(target, 64, lambda: target.request("POST", _SINGLE, body, {"idempotency-key": str(uuid.uuid4()) * 7}))


async def one_idempotency_key(target: Target) -> None:
    """Send one key from many connections at once, half of which send no end of their body."""
    whole = target.request("POST", _BULK, _THREE, {"idempotency-key": "one"})

    async def half(_: int) -> None:
        async with Wire(target) as wire:
            await wire.send(whole[:-10])
            await asyncio.Event().wait()

    await asyncio.gather(_many(target, 100, half), _repeat(target, 100, lambda: whole))


async def labels(target: Target) -> None:
    """Send imports with as many and as long labels as there may be, and search for them."""
    tags = "&".join(f"tag={number}{'t' * 95}" for number in range(20))
    path = f"{_BULK}?{tags}&name={'n' * 200}"
    metadata = json.dumps({f"m{number}": "x" * 20 for number in range(120)})
    search = f"/api/imports?limit=100&metadata=%7B%22m1%22%3A%22y%22%7D&tag=1{'t' * 95}"
    await asyncio.gather(
        _repeat(target, 32, lambda: target.request("POST", path, _THREE, {"x-import-metadata": metadata})),
        _repeat(target, 32, lambda: target.request("GET", search)),
    )


async def waits(target: Target) -> None:
    """Wait for an import that does not begin, on as many connections as one may have, hanging up and coming again."""
    job = await _import(target, f"{_BULK}?startAt={datetime.now(UTC) + _LATER:%Y-%m-%dT%H:%M:%SZ}")
    await _hang_up(target, 400, 1, target.request("GET", f"/api/imports/{job}?wait=60"))


async def unread_events(target: Target) -> None:
    """Follow a large import on hundreds of connections, and read nothing."""
    job = await _import(target, body=bombs.good_rows(300_000), headers=bombs.NDJSON | bombs.ZSTD)
    request = target.request("GET", f"/api/imports/{job}/events")

    async def one(_: int) -> None:
        async with Wire(target) as wire:
            await wire.send(request)
            await asyncio.Event().wait()

    await _many(target, 400, one)


async def _hanging_server(drip: bytes) -> int:
    """A server whose responses never end; returns its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError, OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            while True:
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def hanging_receivers(target: Target) -> None:
    """Notify twenty receivers, none of which ever responds, of thousands of imports."""
    url = f"http://127.0.0.1:{await _hanging_server(b'')}/"
    for _ in range(20):
        await target.ask("POST", "/api/webhooks", json.dumps({"url": url, "events": ["import.completed"]}).encode())
    await _repeat(target, 32, lambda: target.request("POST", _BULK, _THREE))


async def hanging_sources(target: Target) -> None:
    """Have imports pulled from a server that sends a byte a second."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: 1000000\r\n\r\n"
    url = f"http://127.0.0.1:{await _hanging_server(head)}/rows.csv"
    await _repeat(target, 16, lambda: target.request("POST", _BULK, json.dumps({"source": {"url": url}}).encode()))


async def slow_exports(target: Target) -> None:
    """Export everything and read slowly; retry if rejected."""
    await _finished(target, await _import(target, body=bombs.good_rows(200_000), headers=bombs.NDJSON | bombs.ZSTD))
    formats = ("csv", "ndjson", "xlsx", "parquet")

    async def one(number: int) -> None:
        while True:
            async with Wire(target) as wire:
                await wire.send(target.request("GET", f"{_SINGLE}/export?format={formats[number % 4]}"))
                try:
                    async with asyncio.timeout(2):
                        await wire.answer()
                except (TimeoutError, OSError, EOFError, ValueError):
                    continue
                await asyncio.sleep(0.02)

    await _many(target, 32, one)


async def half_bodies(target: Target) -> None:
    """Begin hundreds of bodies, send half of each, and come again where one is refused."""
    body = b'{"platformName":"attack"}\n' * 50_000
    whole = target.request("POST", _BULK, body, bombs.NDJSON)

    async def one(_: int) -> None:
        while True:
            async with Wire(target) as wire:
                await wire.send(whole[: len(whole) // 2])
                try:
                    await wire.answer()
                except (OSError, EOFError):
                    target.answers["closed"] += 1
                await asyncio.sleep(0.1)

    await _many(target, 350, one)


async def half_headers(target: Target) -> None:
    """Open as many connections as one address may, each with half of its headers."""

    async def one(_: int) -> None:
        while True:
            async with Wire(target) as wire:
                await wire.send(b"GET /api/imports HTTP/1.1\r\nhost: a\r\nx-")
                try:
                    await wire.answer()
                except (OSError, EOFError):
                    target.answers["closed"] += 1
                await asyncio.sleep(0.5)

    await _many(target, 950, one)


async def unknown_keys(target: Target) -> None:
    """Send unknown keys."""
    await _repeat(
        target,
        200,
        lambda: target.request("GET", "/api/imports", key=f"{uuid.uuid4()}{'A' * 43}"),
    )


async def wildcards(target: Target) -> None:
    """Search for text that matches everything or nothing, and disconnect."""
    await _finished(target, await _import(target, body=bombs.good_rows(200_000), headers=bombs.NDJSON | bombs.ZSTD))
    request = target.request("GET", f"{_SINGLE}?search={'%25a_' * 40}&sortBy=platformName&pageIndex=500")
    await _hang_up(target, 64, 0.2, request)


async def undo_and_retry(target: Target) -> None:
    """Import and undo tens of thousands of rows, again and again."""

    async def one(_: int) -> None:
        while True:
            job = await _import(target, f"{_BULK}?results=ids", bombs.good_rows(30_000), bombs.NDJSON | bombs.ZSTD)
            await _finished(target, job)
            await target.ask("POST", f"/api/imports/{job}/undo")
            await target.ask("POST", f"/api/imports/{job}/retry")

    await _many(target, 8, one)


async def cancellations(target: Target) -> None:
    """Begin large imports and cancel each with its rows."""

    async def one(_: int) -> None:
        while True:
            answer = await target.ask("POST", _BULK, bombs.good_rows(30_000), bombs.NDJSON | bombs.ZSTD)
            job = json.loads(answer).get("id")
            if job is not None:
                await target.ask("DELETE", f"/api/imports/{job}?rollback=true")

    await _many(target, 16, one)


async def reports(target: Target) -> None:
    """Read a report of a hundred thousand bad rows, in each format, from many connections."""
    job = await _import(target, body=bombs.bad_rows(100_000), headers=bombs.NDJSON | bombs.ZSTD)
    await _finished(target, job)
    formats = iter(range(10**9))
    names = ("ndjson", "csv", "xlsx")
    await _repeat(
        target, 16, lambda: target.request("GET", f"/api/imports/{job}/errors?format={names[next(formats) % 3]}")
    )


async def resumable_uploads(target: Target) -> None:
    """Begin resumable uploads and send them byte by byte, with digests to check."""
    created = {**_TUS, "upload-length": "100000"}

    async def one(_: int) -> None:
        async with Wire(target) as wire:
            while True:
                await wire.exchange(target.request("POST", "/api/uploads", b"x", created))
                await wire.exchange(target.request("GET", "/api/imports"))

    await _many(target, 64, one)


async def pipelined(target: Target) -> None:
    """Send hundreds of requests at a time on each connection without waiting for an answer."""
    requests = target.request("GET", "/api/imports?limit=100") * 500

    async def one(_: int) -> None:
        while True:
            async with Wire(target) as wire:
                await wire.send(requests)
                try:
                    while True:
                        await wire.answer()
                except (OSError, EOFError):
                    target.answers["closed"] += 1

    await _many(target, 32, one)


async def pages_without_key(target: Target) -> None:
    """Ask for every page that needs no key, and knock at those that need a sign-in."""
    paths = iter(range(10**9))
    pages = ("/keys", "/hangfire", "/hangfire/jobs", "/health/ready", "/metrics", "/openapi.json", "/nothing")
    stranger = replace(target, key="x")  # of the same answers
    await _repeat(stranger, 64, lambda: stranger.request("GET", pages[next(paths) % len(pages)]))


ATTACKS: Final[dict[str, Attack]] = {
    "tiny imports are queued": queue_imports,
    "single records, each with an Idempotency-Key": idempotency_keys,
    "one Idempotency-Key on 200 connections": one_idempotency_key,
    "the longest labels, and searches for them": labels,
    "400 waits for an import, hung up and begun again": waits,
    "400 followers who read no event": unread_events,
    "20 webhook receivers that never answer": hanging_receivers,
    "imports pulled from a source that never ends": hanging_sources,
    "exports that are hardly read": slow_exports,
    "workbooks of a million rows": _bodies(8, bombs.workbook, bombs.WORKBOOK),
    "Parquet files of four million rows": _bodies(8, bombs.parquet, bombs.PARQUET),
    "15 MiB of newlines, compressed": _bodies(32, bombs.blank_lines, bombs.NDJSON | bombs.ZSTD),
    "imports of nothing but bad rows": _bodies(16, lambda: bombs.bad_rows(300_000), bombs.NDJSON | bombs.ZSTD),
    "all or nothing imports that fail": _bodies(
        16, lambda: bombs.bad_rows(100_000), bombs.NDJSON | bombs.ZSTD | {"prefer": "handling=strict"}
    ),
    "dry runs": _bodies(
        16, lambda: bombs.good_rows(100_000), bombs.NDJSON | bombs.ZSTD, f"{_BULK}?dryRun=true&mode=upsert"
    ),
    "upserts of the same keys": _bodies(
        16, lambda: bombs.good_rows(50_000), bombs.NDJSON | bombs.ZSTD, f"{_BULK}?mode=upsert"
    ),
    "envelopes of a million values": _bodies(32, bombs.long_envelope, {}),
    "bodies of which half is sent": half_bodies,
    "headers of which half is sent": half_headers,
    "keys that nobody has": unknown_keys,
    "searches of wildcards, hung up": wildcards,
    "imports, undone and sent again": undo_and_retry,
    "imports, cancelled with their rows": cancellations,
    "reports of 100,000 bad rows": reports,
    "resumable uploads, byte by byte": resumable_uploads,
    "workbook templates": _again(32, "GET", f"{_BULK}/template.xlsx"),
    "500 pipelined requests a connection": pipelined,
    "pages that need no key": pages_without_key,
}
"""By what they do."""
