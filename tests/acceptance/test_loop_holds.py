"""No request's work keeps the event loop from the others for longer than some milliseconds, whatever its body is."""

import asyncio
import base64
import gzip
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from watched_server import HELD

from application_client import make_key

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLATFORMS: Final = "/api/platforms"
BULK: Final = f"{PLATFORMS}/bulk"
JSON: Final = {"content-type": "application/json"}
NDJSON: Final = {"content-type": "application/x-ndjson"}
CSV: Final = {"content-type": "text/csv"}
TUS: Final = {"tus-resumable": "1.0.0"}
MIB: Final = 2**20

HOLD_SECONDS: Final = 0.010
ALLOWANCE: Final = 2.5
"""A machine may be so much slower than one on which ten milliseconds are promised."""
TRIES: Final = 6
"""What a body does to the loop, it does each time; what other machines on the same host do passes."""
COUNTED: Final = 300_000
COUNTED_SECONDS: Final = 0.0185
"""Time that a slow machine takes to count so far, when it is idle: the allowance is for such a one."""


@dataclass(frozen=True)
class Hostile:
    """A request that tries to keep the server busy."""

    content: Callable[[], bytes]
    statuses: frozenset[int]
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = BULK
    bite: int = 0
    """Send the content in parts of so many bytes."""


def _envelope(records: bytes) -> bytes:
    return b'{"platforms":[' + records + b"]}"


def _noise(size: int) -> bytes:
    return base64.b64encode(os.urandom(size * 3 // 4 + 3))[:size]


def _zstd(data: bytes) -> bytes:
    return zstd.compress(data)


ROW: Final = b'{"platformName":"a"}'
BAD: Final = frozenset({400, 413})
ANY: Final = frozenset({202, 400, 413})

REQUESTS: Final = {
    # JSON envelopes of the largest size
    "many small elements": Hostile(lambda: _envelope(b"1," * (15 * MIB) + b"1"), BAD, JSON),
    "many records": Hostile(lambda: _envelope((ROW + b",") * (31 * MIB // 21) + ROW), BAD, JSON),
    "a thousand large records": Hostile(
        lambda: _envelope(b",".join([b'{"platformName":"a","x":"' + b"y" * 30_000 + b'"}'] * 1000)), ANY, JSON
    ),
    "a thousand large records of noise": Hostile(
        lambda: _envelope(b",".join(b'{"platformName":"a","x":"' + _noise(30_000) + b'"}' for _ in range(1000))),
        ANY,
        JSON,
    ),
    "a thousand large bad records": Hostile(
        lambda: _envelope(b",".join([b'{"platformName":"","x":[' + b"1," * 15_000 + b"1]}"] * 1000)), BAD, JSON
    ),
    "a thousand blank records": Hostile(
        lambda: _envelope(b",".join([b'{"platformName":"' + b" " * 500 + b'","x":"' + b"y" * 900 + b'"}'] * 1000)),
        BAD,
        JSON,
    ),
    "one endless string": Hostile(lambda: _envelope(b'{"platformName":"' + b"a" * (31 * MIB) + b'"}'), BAD, JSON),
    "many escapes": Hostile(lambda: _envelope(b'{"platformName":"' + b"\\n" * (15 * MIB) + b'"}'), BAD, JSON),
    "deep brackets": Hostile(lambda: _envelope(b"[" * (31 * MIB)), BAD, JSON),
    "empty brackets": Hostile(lambda: _envelope(b"[]," * (10 * MIB) + b"[]"), BAD, JSON),
    "brackets within a record": Hostile(
        lambda: _envelope(b",".join([b'{"platformName":"a","x":[' + b"[]," * 300_000 + b"[]]}"] * 32)), ANY, JSON
    ),
    "another member": Hostile(lambda: b'{"x":[' + b"1," * (15 * MIB) + b'1],"platforms":[' + ROW + b"]}", ANY, JSON),
    "many members": Hostile(
        lambda: b"{" + b'"x":1,' * (5 * MIB) + b'"platforms":[' + ROW + b"]}", ANY, JSON
    ),
    "the member again and again": Hostile(
        lambda: b"{" + b'"platforms":[],' * (2 * MIB) + b'"platforms":[' + ROW + b"]}", ANY, JSON
    ),
    "blanks": Hostile(lambda: b" " * (31 * MIB) + _envelope(ROW), ANY, JSON),
    "blanks inside": Hostile(lambda: _envelope(b"\n" * (31 * MIB) + ROW), ANY, JSON),
    "a string alone": Hostile(lambda: b'"' + b"a" * (31 * MIB) + b'"', BAD, JSON),
    "no UTF-8 at the end": Hostile(lambda: _envelope(b'"' + b"\xc3\xa4" * (15 * MIB) + b'\xff"'), BAD, JSON),
    # arrays and lines
    "an array of empty objects": Hostile(lambda: b"[" + b"{}," * (2 * MIB) + b"{}]", ANY, JSON),
    "an array with commas inside": Hostile(
        lambda: b'[{"x":[' + b"{}," * MIB + b"{}]}]", ANY, JSON
    ),
    "empty objects, a line each": Hostile(lambda: b"{}\n" * (4 * MIB), ANY, NDJSON),
    "an endless line": Hostile(lambda: b"a" * (20 * MIB), BAD, NDJSON),
    "lines of a byte": Hostile(lambda: b"1\n" * (4 * MIB), ANY, NDJSON),
    "a carriage return each": Hostile(lambda: b"\r" * (8 * MIB), ANY, NDJSON),
    # CSV
    "an endless record": Hostile(lambda: b"platformName\n" + b"a," * (10 * MIB), BAD, CSV),
    "an endless header": Hostile(lambda: b"a," * (10 * MIB), BAD, CSV),
    "a large header": Hostile(lambda: b"platformName," + b"a," * 500_000 + b"\n" + b"a\n" * 1000, ANY, CSV),
    "rows of many empty cells": Hostile(lambda: b"platformName\n" + (b"," * 900_000 + b"\n") * 10, ANY, CSV),
    "rows of many blank cells": Hostile(lambda: b"platformName;a\n" + (b" ;" * 400_000 + b"\n") * 10, ANY, CSV),
    "blank lines": Hostile(lambda: b"platformName\n" + b"\n" * 900_000, ANY, CSV),
    "many rows of nothing": Hostile(lambda: b"platformName\n" + b",,,,\n" * (MIB // 2), ANY, CSV),
    "quotes": Hostile(lambda: b"platformName\n" + b'"' * (8 * MIB), ANY, CSV),
    "quoted quotes": Hostile(lambda: b"platformName\n" + b'"a""b"\n' * MIB, ANY, CSV),
    "an open quote": Hostile(lambda: b'platformName\n"' + b"a\n" * (5 * MIB), BAD, CSV),
    "no separator that is known": Hostile(lambda: b"|;\t,:^" * MIB, BAD, CSV),
    "no charset that is known": Hostile(lambda: os.urandom(8 * MIB), ANY, CSV),
    # compression
    "newlines, compressed": Hostile(lambda: _zstd(b"\n" * (15 * MIB)), BAD, NDJSON | {"content-encoding": "zstd"}),
    "newlines, compressed, as CSV": Hostile(
        lambda: _zstd(b"\n" * (15 * MIB)), BAD, CSV | {"content-encoding": "zstd"}
    ),
    "zeros, compressed": Hostile(
        lambda: gzip.compress(b"\0" * (100 * MIB)), BAD, NDJSON | {"content-encoding": "gzip"}
    ),
    "empty members": Hostile(lambda: gzip.compress(b"") * 200_000, BAD, NDJSON | {"content-encoding": "gzip"}),
    "empty frames": Hostile(lambda: _zstd(b"") * 500_000, BAD, NDJSON | {"content-encoding": "zstd"}),
    "an envelope, compressed": Hostile(
        lambda: _zstd(_envelope(b"1," * (15 * MIB) + b"1")), BAD, JSON | {"content-encoding": "zstd"}
    ),
    # parts
    "many small parts": Hostile(lambda: (ROW + b"\n") * 20_000, ANY, NDJSON, bite=7),
    # forms
    "a form": Hostile(
        lambda: b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nplatformName\n'
        + b"a\n" * (4 * MIB)
        + b"\r\n--b--\r\n",
        ANY,
        {"content-type": "multipart/form-data; boundary=b"},
    ),
    "a form of boundaries": Hostile(
        lambda: b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nplatformName\n'
        + b"\r\n--\r\n-" * MIB
        + b"\r\n--b--\r\n",
        ANY,
        {"content-type": "multipart/form-data; boundary=b"},
    ),
    "a form of headers": Hostile(
        lambda: b"--b\r\n" + b"a: b\r\n" * MIB + b"\r\n\r\n--b--\r\n",
        frozenset({400, 413, 415}),
        {"content-type": "multipart/form-data; boundary=b"},
    ),
    "a form with a long header": Hostile(
        lambda: b"--b\r\nContent-Disposition: form-data; " + b'a="b"; ' * MIB + b"\r\n\r\n--b--\r\n",
        frozenset({400, 413, 415}),
        {"content-type": "multipart/form-data; boundary=b"},
    ),
    # idempotency
    "a digest": Hostile(
        lambda: (ROW + b"\n") * (MIB // 2), ANY, NDJSON | {"idempotency-key": "x", "content-digest": "sha-512=:AAAA:"}
    ),
    # single records
    "a deep record": Hostile(lambda: b"[" * MIB, BAD, JSON, path=PLATFORMS),
    "a record with many members": Hostile(
        lambda: b"{" + b",".join(b'"a%d":[]' % n for n in range(80_000)) + b"}", BAD, JSON, path=PLATFORMS
    ),
    "a record of escapes": Hostile(
        lambda: b'{"platformName":"' + b"\\u00e4" * 170_000 + b'"}', BAD, JSON, path=PLATFORMS
    ),
    "a record of lists": Hostile(lambda: b'{"platformName":[' + b"[]," * 340_000 + b"[]]}", BAD, JSON, path=PLATFORMS),
    "a large number": Hostile(lambda: b'{"platformName":' + b"9" * (MIB - 100) + b"}", BAD, JSON, path=PLATFORMS),
    "a webhook": Hostile(
        lambda: b'{"url":"https://a.example/","events":[' + b'"x",' * 250_000 + b'"x"]}',
        BAD,
        JSON,
        path="/api/webhooks",
    ),
    # heads
    "a long query": Hostile(
        lambda: b"", frozenset({200, 400, 414}), method="GET", path=f"{PLATFORMS}?" + "&".join(["a=b"] * 2000)
    ),
    "many parameters": Hostile(
        lambda: b"", frozenset({200, 400, 414}), method="GET", path="/api/imports?" + "&".join(["a"] * 4000)
    ),
    "long metadata": Hostile(
        lambda: ROW,
        frozenset({202, 400, 431}),
        NDJSON | {"x-import-metadata": '{"a":' + "[" * 30_000 + "}"},
    ),
    "a long Prefer": Hostile(lambda: ROW, ANY, NDJSON | {"prefer": ";" * 60_000}),
    "a long Accept": Hostile(
        lambda: b"", frozenset({404, 406}), {"accept": "a/b;q=1," * 7000}, "GET", "/api/imports/99/errors"
    ),
    "a long digest": Hostile(lambda: ROW, BAD, NDJSON | {"content-digest": "sha-256=:AA==:," * 4000}),
    "a long Content-Type": Hostile(
        lambda: ROW, frozenset({202, 400, 415}), {"content-type": 'text/csv; a="' + '\\"' * 30_000}
    ),
    # the dashboard
    "a form of the dashboard": Hostile(
        lambda: b"&".join([b"a=%41"] * 150_000),
        frozenset({400, 403, 404, 405}),
        {"content-type": "application/x-www-form-urlencoded"},
        path="/hangfire/jobs/actions",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """A server in its own process, with a client."""

    client: httpx.AsyncClient

    async def hold(self, hostile: Hostile) -> float:
        """The longest time that the server's loop is held by the request, in seconds of its processor."""
        content: Any = hostile.content()
        whole = content
        if hostile.bite:

            async def bites() -> AsyncIterator[bytes]:
                for start in range(0, len(whole), hostile.bite):
                    yield whole[start : start + hostile.bite]

            content = bites()
        await self.client.get(HELD)
        answer = await self.client.request(hostile.method, hostile.path, content=content, headers=hostile.headers)
        assert answer.status_code in hostile.statuses, (answer.status_code, answer.text[:300])
        held = (await self.client.get(HELD)).json()
        assert isinstance(held, float)
        return held


@pytest.fixture
async def watched(database_url: str) -> AsyncIterator[Watched]:
    settings = {"dashboard_open": True, "max_blank_lines": 10 * MIB}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("watched_server.py")),
        database_url,
        json.dumps(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    port = int(await process.stdout.readline())
    headers = {"x-api-key": await make_key(database_url)}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
        # Whatever is made once is made now.
        for content, kind in ((ROW, NDJSON), (b"platformName\na\n", CSV), (_envelope(ROW), JSON)):
            await client.post(BULK, content=content, headers=kind)
        yield Watched(client)
    process.stdin.close()
    await process.wait()


def slowness() -> float:
    """How many times slower this machine is at this moment than a slow one that is idle; at least 1."""

    def count() -> float:
        started, total = time.thread_time(), 0
        for number in range(COUNTED):
            total += number
        return time.thread_time() - started

    return max(1.0, min(count() for _ in range(3)) / COUNTED_SECONDS)


async def test_no_request_blocks_the_event_loop(watched: Watched) -> None:
    too_long: dict[str, float] = {}
    for name, hostile in REQUESTS.items():
        for _ in range(TRIES):
            held = await watched.hold(hostile)
            if held <= HOLD_SECONDS * ALLOWANCE * slowness():
                break
        else:
            too_long[name] = held
    assert too_long == {}
