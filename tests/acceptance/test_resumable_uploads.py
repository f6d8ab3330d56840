"""Uploads that survive broken connections (tus 1.0.0), and their imports."""

import asyncio
import base64
import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from catalogue_site import PLATFORMS, CatalogueSite, opened, platforms

from application_client import assert_problem
from each_case import case
from import_steps import accepted, execute, fetch, ndjson, running_worker, settled

TUS = {"tus-resumable": "1.0.0"}
BYTES = {**TUS, "content-type": "application/offset+octet-stream"}
ROWS = ndjson(platforms(40_000))


def metadata(**values: str) -> dict[str, str]:
    pairs = (f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())
    return {"upload-metadata": ",".join(pairs)}


async def created(site: CatalogueSite, length: int, **values: str) -> str:
    """A new upload; its address."""
    headers = {**TUS, "upload-length": str(length), **(metadata(**values) if values else {})}
    answer = await site.ann.post("/api/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert "upload-expires" in answer.headers
    return answer.headers["location"]


async def offset_of(site: CatalogueSite, address: str) -> int:
    answer = await site.ann.head(address, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


async def patched(site: CatalogueSite, address: str, offset: int, content: Any, **headers: str) -> httpx.Response:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.ann.patch(address, headers={**BYTES, "upload-offset": str(offset), **more}, content=content)


def reference(address: str) -> dict[str, Any]:
    return {"json": {"upload": address.rpartition("/")[2]}}


@pytest.mark.parametrize(
    ("name", "type_", "content"),
    [
        ("rows.ndjson", "", ROWS),
        ("rows.csv", "application/octet-stream", b"platform name\n" + b"x\n" * 1000),
        ("rows.ndjson.gz", "application/gzip", gzip.compress(ROWS)),
        ("rows.txt", "application/x-ndjson", ROWS),
    ],
)
async def test_an_upload_in_parts_is_imported(site: CatalogueSite, name: str, type_: str, content: bytes) -> None:
    address = await created(site, len(content), filename=name, **({"filetype": type_} if type_ else {}))
    for start in range(0, len(content), 700_001):
        answer = await patched(site, address, start, content[start : start + 700_001])
        assert answer.status_code == 204
        assert int(answer.headers["upload-offset"]) == min(start + 700_001, len(content))
    job = await settled(site.ann, await accepted(site.ann, PLATFORMS, **reference(address)))
    assert job["status"] == "Completed"
    assert job["bytes"] == len(content)
    assert_problem(await site.ann.get(address, headers=TUS), 404)
    assert_problem(await site.ann.post(PLATFORMS, **reference(address)), 404)


async def test_bytes_received_before_a_connection_breaks_are_kept(site: CatalogueSite) -> None:
    address = await created(site, len(ROWS), filename="rows.ndjson")
    messages = [
        {"type": "http.request", "body": ROWS[:600_000], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {**BYTES, "upload-offset": "0", "x-api-key": site.ann.headers["x-api-key"], "host": "api.example"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PATCH",
        "path": address,
        "raw_path": address.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("api.example", 80),
        "client": ("127.0.0.1", 5),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await site.ann._transport.app(scope, receive, send)  # type: ignore[attr-defined]
    assert await offset_of(site, address) == 600_000
    assert (await patched(site, address, 600_000, ROWS[600_000:])).status_code == 204
    job = await settled(site.ann, await accepted(site.ann, PLATFORMS, **reference(address)))
    assert job["successCount"] == 40_000


async def test_one_of_several_concurrent_appends_wins(site: CatalogueSite) -> None:
    address = await created(site, 30, filename="rows.ndjson")
    answers = await asyncio.gather(*(patched(site, address, 0, bytes([65 + i]) * 10) for i in range(8)))
    assert sorted(answer.status_code for answer in answers) == [204] + [409] * 7
    assert await offset_of(site, address) == 10


async def test_a_wrong_offset_is_rejected(site: CatalogueSite) -> None:
    address = await created(site, 10)
    for offset in (1, 10, 11, 10**17):
        assert_problem(await patched(site, address, offset, b"x"), 409)
    for text in ("-1", "x", "", "01", "1e3", "9" * 30):
        headers = {**BYTES, "upload-offset": text}
        assert_problem(await site.ann.patch(address, headers=headers, content=b"x"), 400)
    assert_problem(await patched(site, address, 0, b"x" * 11), 413)
    assert await offset_of(site, address) == 0


async def test_a_part_is_verified_against_its_checksum(site: CatalogueSite) -> None:
    for algorithm in ["sha1", "sha256", "sha512", "md5"]:
        with case(algorithm):
            address = await created(site, 10)
            right = base64.b64encode(hashlib.new(algorithm, b"hello").digest()).decode()
            wrong = await patched(site, address, 0, b"hullo", upload_checksum=f"{algorithm} {right}")
            assert assert_problem(wrong, 460)["type"] == "/problems/checksum-mismatch"
            assert await offset_of(site, address) == 0
            assert (
                await patched(site, address, 0, b"hello", upload_checksum=f"{algorithm} {right}")
            ).status_code == 204
            assert await offset_of(site, address) == 5
            for none in ("sha1", "crc32 AAAA", "sha1 ?"):
                assert_problem(await patched(site, address, 5, b"x", upload_checksum=none), 400)


async def test_an_upload_can_be_created_with_bytes_or_empty(site: CatalogueSite) -> None:
    headers = {**BYTES, "upload-length": "5"}
    answer = await site.ann.post("/api/uploads", headers=headers, content=b"hell")
    assert answer.headers["upload-offset"] == "4"
    assert answer.headers["upload-expires"].endswith(" GMT")  # RFC 9110 §5.6.7
    address = await created(site, 0, filename="rows.csv")
    assert assert_problem(await site.ann.post(PLATFORMS, **reference(address)), 400)["detail"]


async def test_uploads_belong_to_their_user_and_expire(site: CatalogueSite) -> None:
    address = await created(site, 10, filename="rows.csv")
    for method in ("GET", "PATCH", "DELETE"):
        headers = {**BYTES, "upload-offset": "0"}
        assert_problem(await site.bob.request(method, address, headers=headers), 404)
        assert_problem(await site.stranger.request(method, address, headers=headers), 401)
    assert_problem(await site.bob.post(PLATFORMS, **reference(address)), 404)
    assert_problem(await site.ann.post(PLATFORMS, **reference(address)), 409)
    assert (await site.ann.delete(address, headers=TUS)).status_code == 204
    assert_problem(await site.ann.delete(address, headers=TUS), 404)
    expired = await created(site, 10)
    await execute(site.url, "UPDATE bulkport.uploads SET expires_at = now() - interval '1 second'")
    assert_problem(await site.ann.get(expired, headers=TUS), 404)


async def test_a_user_can_stage_a_limited_number_of_uploads_and_bytes(database_url: str) -> None:
    async with opened(database_url, worker=False, max_staged_uploads=3, max_staged_bytes=100) as site:
        headers = [{**TUS, "upload-length": length} for length in ("101", "60", "60", "20", "20", "1")]
        answers = [await site.ann.post("/api/uploads", headers=one) for one in headers]
        assert [answer.status_code for answer in answers] == [413, 201, 409, 201, 201, 409]


async def test_an_impossible_upload_is_rejected(site: CatalogueSite) -> None:
    for headers, status in [
        ({**TUS, "upload-length": "1", "upload-metadata": b"name \xe9"}, 400),
        ({**TUS, "upload-length": "1", "upload-metadata": b"na\xefme eA=="}, 400),
        ({**BYTES, "upload-length": "1", "upload-checksum": b"sha1 \xe9"}, 400),
        ({**BYTES, "upload-length": "1", "upload-checksum": ""}, 400),
        ({}, 412),
        ({"tus-resumable": "0.2.2", "upload-length": "1"}, 412),
        (TUS, 400),
        ({**TUS, "upload-length": "-1"}, 400),
        ({**TUS, "upload-length": "1", "upload-metadata": "filename ?"}, 400),
        ({**TUS, "upload-length": "1", "upload-metadata": "a YQ==,a YQ=="}, 400),
        ({**TUS, "upload-length": "1", "upload-metadata": "a AA=="}, 400),
        ({**TUS, "upload-length": "1", "upload-metadata": "a " + "YWFh" * 2000}, 400),
    ]:
        with case(headers, status):
            assert_problem(await site.ann.post("/api/uploads", headers=headers), status)


async def test_a_body_that_names_no_upload_is_rejected(site: CatalogueSite) -> None:
    for body in [{"upload": "x"}, {"upload": 5}, {"upload": None}, {"upload": ["x"]}]:
        with case(body):
            assert list(assert_problem(await site.ann.post(PLATFORMS, json=body), 400)["errors"]) == ["upload"]


async def test_an_upload_is_imported_once_per_key(site: CatalogueSite) -> None:
    address = await created(site, len(ROWS), filename="rows.ndjson")
    await patched(site, address, 0, ROWS)
    key = {"headers": {"idempotency-key": "one"}}
    first = await accepted(site.ann, PLATFORMS, **reference(address), **key)
    assert await accepted(site.ann, PLATFORMS, **reference(address), **key) == first


async def test_supported_extensions_are_announced(site: CatalogueSite) -> None:
    answer = await site.ann.options("/api/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert "checksum" in answer.headers["tus-extension"]


LEFT = """
    SELECT (SELECT count(*) FROM bulkport.uploads), (SELECT count(*) FROM bulkport.upload_parts),
           (SELECT count(*) FROM bulkport.staged_objects), (SELECT count(*) FROM bulkport.idempotency_keys)
"""


async def test_uploads_can_be_staged_in_an_object_store(database_url: str, tmp_path: Path) -> None:
    def objects() -> int:
        return sum(1 for path in tmp_path.rglob("*") if path.is_file())

    async with opened(database_url, staging={"url": tmp_path.as_uri()}) as site:
        address = await created(site, len(ROWS), filename="rows.ndjson")
        assert (await patched(site, address, 0, ROWS[:1000])).status_code == 204
        digest = base64.b64encode(hashlib.sha256(ROWS[1000:]).digest()).decode()
        assert (await patched(site, address, 1000, ROWS[1000:], upload_checksum=f"sha256 {digest}")).status_code == 204
        assert await offset_of(site, address) == len(ROWS)
        assert objects() == 2
        assert await fetch(site.url, "SELECT count(data), count(object) FROM bulkport.upload_parts") == [(0, 2)]
        job = await settled(site.ann, await accepted(site.ann, PLATFORMS, **reference(address)))
        assert (job["status"], job["successCount"]) == ("Completed", 40_000)
        assert objects() == 0
        assert await fetch(site.url, "SELECT count(*) FROM bulkport.staged_objects") == [(0,)]

        given_up = await created(site, 10)
        await patched(site, given_up, 0, b"1234")
        expired = await created(site, 10)
        await patched(site, expired, 0, b"5678")
        assert objects() == 2
        assert (await site.ann.delete(given_up, headers=TUS)).status_code == 204
        assert objects() == 1
        young = await created(site, 10)
        await patched(site, young, 0, b"9")
        keys = "INSERT INTO bulkport.idempotency_keys SELECT 'ann', 'x', n::text, gen_random_uuid(), at, at"
        await execute(site.url, f"{keys} FROM (VALUES (1, now()), (2, now() - interval '2 days')) AS made (n, at)")
        late = f"UPDATE bulkport.uploads SET expires_at = now() - interval '2 hours' WHERE id = '{expired[-36:]}'"
        await execute(site.url, late)
        # Workers remove what is left behind, beginning when they start.
        async with running_worker(site.bulkport, site.url), asyncio.timeout(60):
            while objects() != 1 or await fetch(site.url, LEFT) != [(1, 1, 1, 1)]:
                await asyncio.sleep(0.05)
        assert await offset_of(site, young) == 1


async def test_a_failing_object_store_leaves_the_upload_unchanged(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    async with opened(database_url, staging={"url": folder.as_uri()}) as site:
        address = await created(site, 10, filename="rows.csv")
        assert (await patched(site, address, 0, b"platf")).status_code == 204
        shutil.rmtree(folder)
        folder.write_text("no folder any more")
        answer = await patched(site, address, 5, b"orm\nA")
        assert assert_problem(answer, 503)["title"] == "Upload store unavailable"
        assert answer.headers["retry-after"] == "1"
        assert await offset_of(site, address) == 5
