"""A few kilobytes of one user do not keep the others waiting."""

import asyncio
import sys
from collections.abc import AsyncIterator

import psycopg
import pytest
from catalogue_site import PLATFORMS, platforms
from upload_socket import ServedApi, served

from application_client import make_key
from bulkport.imports.body import body_work
from import_steps import CSV, NDJSON, WAIT_SECONDS, fetch, ndjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SINGLE = "/api/platforms"
HUNG_UP = b'{"platformName":"hung-up"}'
ZSTD = {"content-encoding": "zstd"}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[ServedApi]:
    async with served(database_url) as api:
        yield api


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


async def test_a_body_that_takes_too_much_processor_time_is_rejected(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_work, "_LEAST_BYTES_A_SECOND", 10**12)
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
async def test_a_trickling_client_gets_408(database_url: str, path: str, headers: dict[str, str], part: bytes) -> None:
    async with (
        served(database_url, body_min_rate=1_000_000, body_grace_seconds=0.2) as api,
        api.begun(path, headers) as upload,
    ):
        answering = asyncio.create_task(upload.answer())
        while not answering.done():
            await upload.send_part(part)
            await asyncio.wait([answering], timeout=0.02)
        assert (await answering)[0] == 408


async def test_one_users_slow_uploads_leave_room_for_others_and_hold_no_transaction(database_url: str) -> None:
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


_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'
"""


async def test_a_request_ends_when_its_client_disconnects(database_url: str) -> None:
    part = ndjson(platforms(20_000))
    async with (
        await psycopg.AsyncConnection.connect(database_url) as locking,
        served(database_url, chunk_bytes=20_000) as api,
        api.client() as client,
    ):
        for _ in range(50):
            async with api.begun(PLATFORMS, NDJSON) as upload:
                await upload.send_part(part)
        await api.requests_under_way(0)
        await api.uploads_under_way(0)
        # Its body is here, and what is made of it waits for a lock.
        await locking.execute("LOCK TABLE bulkport.bulk_import_jobs, platforms IN ACCESS EXCLUSIVE MODE")
        for path, content in ((PLATFORMS, b'{"platforms":[%s]}' % HUNG_UP), (SINGLE, HUNG_UP)):
            headers = {"content-type": "application/json", "content-length": str(len(content))}
            async with api.begun(path, headers) as request, asyncio.timeout(WAIT_SECONDS):
                await request.send(content)
                while not (await fetch(database_url, _WAITING))[0][0]:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(WAIT_SECONDS):
                while (await fetch(database_url, _WAITING))[0][0]:
                    await asyncio.sleep(0.01)
            await api.requests_under_way(0)
        await locking.rollback()
        assert (await client.get("/api/imports")).json()["items"] == []
        assert (await client.get(SINGLE)).json()["totalCount"] == 0
