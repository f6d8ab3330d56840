"""202 means all of it, durable and queued; whatever else ends an upload leaves no job, no chunk, nothing to run."""

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from catalogue_site import PLATFORMS, platforms
from upload_socket import Connection, ServedApi, served

from import_steps import CSV, NDJSON, NOTHING, execute, fetch, kept, ndjson

CHUNK = 20_000
PART = ndjson(platforms(500))
"""Some two thirds of a chunk."""
GZIP = {"content-encoding": "gzip"}
JSON = {"content-type": "application/json"}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[ServedApi]:
    """The API with room for one upload at a time: a slot that is not given back is missed at once."""
    async with served(database_url, chunk_bytes=CHUNK, upload_limit=1) as api:
        yield api


async def _send_parts(upload: Connection, count: int, part: bytes = PART) -> None:
    for _ in range(count):
        await upload.send_part(part)


async def _is_clean(api: ServedApi) -> None:
    """Nothing is left of an upload, and the next one is accepted."""
    await api.uploads_under_way(0)
    assert await kept(api.url) == NOTHING
    async with api.begun(PLATFORMS, NDJSON) as upload:
        await _send_parts(upload, 6)
        await upload.send_end()
        assert (await upload.answer())[0] == 202
    total = await fetch(
        api.url, "SELECT sum(total_records)::int, sum(total_chunks)::int FROM bulkport.bulk_import_jobs"
    )
    stored = await fetch(api.url, "SELECT sum(record_count)::int, count(*) FROM bulkport.import_chunks")
    assert total == stored
    assert total[0][0] == 3000
    await _clear(api)


async def _clear(api: ServedApi) -> None:
    await execute(
        api.url,
        "TRUNCATE bulkport.bulk_import_jobs, bulkport.import_chunks, bulkport.jobs, bulkport.finished_jobs CASCADE",
    )


async def test_a_broken_upload_stores_nothing(api: ServedApi) -> None:
    for in_good_order in (False, True):
        async with api.begun(PLATFORMS, NDJSON) as upload:
            await _send_parts(upload, 6)
            await api.uploads_under_way(1)
            # What is not accepted yet is nowhere to be seen.
            assert await kept(api.url) == NOTHING
            if in_good_order:
                await upload.close()
            else:
                upload.break_off()
            await _is_clean(api)


async def test_a_body_shorter_than_its_content_length_stores_nothing(api: ServedApi) -> None:
    for headers, body, is_streamed in (
        (NDJSON, PART * 6, True),
        (NDJSON, PART, False),
        (CSV, b"platformName\n" + b"Docker\n" * 20_000, True),
        ({**NDJSON, **GZIP}, _noisy_gzip(), True),
        (JSON, json.dumps({"platforms": platforms(10)}).encode(), False),
    ):
        async with api.begun(PLATFORMS, {**headers, "content-length": str(len(body) + 1)}) as upload:
            await upload.send(body)
            if is_streamed:
                await api.uploads_under_way(1)
            await upload.close()
        await _is_clean(api)


async def test_a_truncated_compressed_body_stores_nothing(api: ServedApi) -> None:
    body = _noisy_gzip()
    for cut in (1, 9, len(body) // 3):
        async with api.begun(PLATFORMS, {**NDJSON, **GZIP}) as upload:
            await upload.send_part(body[:-cut])
            await upload.send_end()
            assert (await upload.answer())[0] == 400
        await _is_clean(api)


async def test_a_malformed_end_of_a_long_body_stores_nothing(api: ServedApi) -> None:
    async with api.begun(PLATFORMS, NDJSON) as upload:
        await _send_parts(upload, 6)
        await api.uploads_under_way(1)
        await _send_parts(upload, 3, b"x" * 500_000)
        assert (await upload.answer())[0] == 413
    await _is_clean(api)


async def test_a_silent_client_gets_408(database_url: str) -> None:
    async with served(database_url, chunk_bytes=CHUNK, upload_limit=1, body_idle_seconds=0.4) as api:
        for headers, parts in ((NDJSON, 6), (NDJSON, 1), (NDJSON, 0), (JSON, 1)):
            async with api.begun(PLATFORMS, headers) as upload:
                await _send_parts(upload, parts)
                status, answered = await upload.answer()
                assert (status, answered["content-type"]) == (408, "application/problem+json")
            await _is_clean(api)


async def test_uploads_beyond_the_limit_get_503_with_retry_after(api: ServedApi) -> None:
    async with api.begun(PLATFORMS, NDJSON) as first:
        await _send_parts(first, 6)
        await api.uploads_under_way(1)
        async with api.begun(PLATFORMS, NDJSON) as second:
            await _send_parts(second, 6)
            status, headers = await second.answer()
            assert (status, headers["retry-after"]) == (503, "1")
        # Bodies that have arrived whole need no connection of their own.
        async with api.client() as client:
            small = await client.post(PLATFORMS, content=PART, headers=NDJSON)
            envelope = await client.post(PLATFORMS, json={"platforms": platforms(300)})
            assert (small.status_code, envelope.status_code) == (202, 202)
        await first.send_end()
        assert (await first.answer())[0] == 202
    await _clear(api)
    await _is_clean(api)


async def test_a_rejection_reaches_a_client_that_is_still_sending(api: ServedApi) -> None:
    body = b"x" * 4_000_000
    async with api.client() as client:
        for headers, status in (({"content-type": "text/plain"}, 415), (NDJSON, 413), (JSON, 400)):
            answer = await client.post(PLATFORMS, content=body, headers=headers)
            assert answer.status_code == status
        client.headers["x-api-key"] = "none"
        assert (await client.post(PLATFORMS, content=body, headers=NDJSON)).status_code == 401
    await _is_clean(api)


async def test_a_client_that_expects_100_continue_gets_it_only_with_a_key(api: ServedApi) -> None:
    expects = {**NDJSON, "expect": "100-continue", "content-length": str(len(PART))}
    async with api.begun(PLATFORMS, expects) as upload:
        assert (await upload.answer())[0] == 100
        await upload.send(PART)
        assert (await upload.answer())[0] == 202
    async with replace(api, key="none").begun(PLATFORMS, expects) as upload:
        assert (await upload.answer())[0] == 401
    async with api.begun(PLATFORMS, {**expects, "content-type": "text/plain"}) as upload:
        assert (await upload.answer())[0] == 415


async def test_concurrent_uploads_do_not_mix(database_url: str) -> None:
    async with served(database_url, chunk_bytes=CHUNK) as api, api.client() as client:
        bodies = {count: ndjson(platforms(count, start=count)) for count in (3000, 3001, 3002, 3003)}
        answers = await asyncio.gather(
            *(client.post(PLATFORMS, content=body, headers=NDJSON) for body in bodies.values())
        )
        assert [answer.json()["totalRecords"] for answer in answers] == list(bodies)
        for answer, body in zip(answers, bodies.values(), strict=True):
            job_id = answer.json()["id"]
            chunks = await fetch(
                api.url,
                "SELECT chunk_number, first_row, record_count FROM bulkport.import_chunks WHERE job_id = %s ORDER BY 1",
                job_id,
            )
            assert [number for number, _, _ in chunks] == list(range(len(chunks)))
            ends = [first + count for _, first, count in chunks]
            assert [first for _, first, _ in chunks] == [1, *ends[:-1]]
            assert ends[-1] == body.count(b"\n") + 1


def _noisy_gzip() -> bytes:
    """A compressed body of many chunks whose compressed form is long too."""
    noise = random.Random(7)
    return gzip.compress(ndjson({"platformName": noise.randbytes(40).hex()} for _ in range(3000)))
