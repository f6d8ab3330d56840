"""A few kilobytes of one user do not keep the others waiting."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from catalogue_site import PLATFORMS, platforms
from upload_socket import ServedApi, served

from application_client import make_key
from import_steps import CSV, NDJSON, ndjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD = {"content-encoding": "zstd"}
HOLD_SECONDS = 0.1
"""Far more than a step takes, and far less than the whole work does on any machine."""


@asynccontextmanager
async def _watched() -> AsyncIterator[list[float]]:
    """Notes how long this process, and not others that the machine is busy with, held the event loop at a time."""
    held: list[float] = [0.0]

    async def watch() -> None:
        while True:
            began, worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(0)
            held.append(min(time.perf_counter() - began, time.process_time() - worked))
            await asyncio.sleep(0.001)

    watching = asyncio.create_task(watch())
    try:
        yield held
    finally:
        watching.cancel()


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[ServedApi]:
    async with served(database_url) as api:
        yield api


async def test_fifteen_megabytes_of_newlines_do_not_hold_the_loop(api: ServedApi) -> None:
    body = zstd.compress(b"\n" * 15 * 2**20)
    assert len(body) < 2000
    async with api.client() as client, _watched() as held:
        for headers in (NDJSON, CSV):
            answers = await asyncio.gather(
                *(client.post(PLATFORMS, content=body, headers={**headers, **ZSTD}) for _ in range(4))
            )
            assert {answer.status_code for answer in answers} <= {400, 413}
    assert max(held) < HOLD_SECONDS


async def test_a_thousand_bad_records_do_not_hold_the_loop(api: ServedApi) -> None:
    envelope = json.dumps({"platforms": [{"platformName": " " * 500, "other": "x" * 900}] * 1000})
    async with api.client() as client, _watched() as held:
        answer = await client.post(PLATFORMS, content=envelope, headers={"content-type": "application/json"})
        assert answer.status_code == 400
    assert max(held) < HOLD_SECONDS


async def test_blank_lines_and_records_are_counted_and_limited(database_url: str) -> None:
    async with served(database_url, max_blank_lines=1000, max_rows=5000) as api, api.client() as client:
        for headers, head in ((NDJSON, b""), (CSV, b"platformName\n")):
            answer = await client.post(PLATFORMS, content=head + b"\r\n" * 1001, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
            assert "1,000 blank lines" in answer.json()["detail"]
        answer = await client.post(PLATFORMS, content=ndjson(platforms(5001)), headers=NDJSON)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
        answer = await client.post(PLATFORMS, content=b"\n" * 1000 + ndjson(platforms(5000)), headers=NDJSON)
        assert (answer.status_code, answer.json()["totalRecords"]) == (202, 5000)


async def test_a_body_that_takes_too_much_of_a_processor_is_refused(database_url: str) -> None:
    async with served(database_url, body_cpu_seconds=0.001) as api, api.client() as client:
        body = zstd.compress(ndjson(platforms(100_000)))
        answer = await client.post(PLATFORMS, content=body, headers={**NDJSON, **ZSTD})
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-too-costly")


@pytest.mark.parametrize(
    ("path", "headers", "part"),
    [
        (PLATFORMS, NDJSON, b'{"platformName":"a"}\n'),
        ("/api/platforms", {"content-type": "application/json"}, b" "),
    ],
    ids=["many records", "a single one"],
)
async def test_a_trickling_client_is_answered_408(
    database_url: str, path: str, headers: dict[str, str], part: bytes
) -> None:
    async with (
        served(database_url, body_min_rate=1_000_000, body_grace_seconds=0.2) as api,
        api.begun(path, headers) as upload,
    ):
        answering = asyncio.create_task(upload.answer())
        while not answering.done():
            await upload.send_part(part)
            await asyncio.wait([answering], timeout=0.02)
        assert (await answering)[0] == 408


async def test_one_users_slow_uploads_leave_room_for_the_others_and_hold_no_transaction(database_url: str) -> None:
    part = ndjson(platforms(500))
    async with served(
        database_url, chunk_bytes=20_000, upload_limit=4, user_upload_limit=3, database_wait_seconds=2
    ) as api:
        uploads = [api.begun(PLATFORMS, NDJSON) for _ in range(3)]
        opened = [await upload.__aenter__() for upload in uploads]
        for upload in opened:
            for _ in range(4):
                await upload.send_part(part)
        await api.uploads_under_way(3)
        async with api.client() as client:
            refused = await client.post(PLATFORMS, content=part * 4, headers=NDJSON)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["type"] == "/problems/too-many-uploads-at-once"
            client.headers["x-api-key"] = await make_key(database_url, "bob")
            answer = await client.post(PLATFORMS, content=part * 60, headers=NDJSON)
            assert answer.status_code == 202
        for upload in opened:
            await upload.send_end()
            assert (await upload.answer())[0] == 202
        for context in uploads:
            await context.__aexit__(None, None, None)
