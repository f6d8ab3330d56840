"""Bodies that are refused: the right 4xx with a problem that says why, and nothing left behind."""

import gzip
import os
import sys
from typing import Any

from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite, opened, platforms

from application_client import assert_problem
from import_steps import CSV, NDJSON, NOTHING, fetch, kept, ndjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

JSON = {"content-type": "application/json"}
GZIP = {"content-encoding": "gzip"}
ZSTD = {"content-encoding": "zstd"}
ENVELOPE = b'{"platforms":[{"platformName":"A"}]}'
NOISE = os.urandom(200_000).hex().encode()
MANY = ndjson(platforms(40_000))

Case = tuple[int, dict[str, str], bytes, str]

CASES: dict[str, Case] = {
    "json empty": (400, JSON, b"", "empty"),
    "json blank": (400, JSON, b"  \n ", "not valid JSON"),
    "json malformed": (400, JSON, b'{"platforms":[{"platformName":"A"},]}', "not valid JSON"),
    "json truncated": (400, JSON, ENVELOPE[:-3], "not valid JSON"),
    "json with more after it": (400, JSON, ENVELOPE + b"{}", "not valid JSON"),
    "json list": (400, JSON, b"[1]", "must be an object"),
    "json list of no list": (400, JSON, b'{"platforms":{"a":1}}', "must be an object"),
    "json nested": (400, JSON, b'{"platforms":' + b"[" * 100_000, "JSON"),
    "json nan": (400, JSON, b'{"platforms":[NaN]}', "not valid JSON"),
    "json not utf-8": (400, JSON, b'{"platforms":[{"platformName":"\xff"}]}', "not valid UTF-8"),
    "json utf-16": (400, JSON, ENVELOPE.decode().encode("utf-16"), "UTF-16"),
    "json too large": (413, JSON, b'{"platforms":["' + b"x" * 300_000 + b'"]}', "larger than"),
    "json record too large": (413, JSON, b'{"platforms":["' + b"x" * 150_000 + b'"]}', "Record 1 is larger than"),
    "ndjson empty": (400, NDJSON, b"", "no records"),
    "ndjson blank": (400, NDJSON, b"\n \r\n\n", "no records"),
    "ndjson array": (400, NDJSON, b'[{"platformName":"A"}]', "JSON array"),
    "ndjson pretty-printed": (400, NDJSON, b'{\n  "platformName": "A"\n}\n', "one line"),
    "ndjson gzip undeclared": (400, NDJSON, gzip.compress(MANY), "gzip"),
    "ndjson line too long": (413, NDJSON, MANY + b'{"platformName":"' + NOISE + b'"}\n', "Record 40001 is larger than"),
    "ndjson body too large": (413, NDJSON, MANY * 4, "larger than"),
    "csv empty": (400, CSV, b"", "no header row"),
    "csv blank": (400, CSV, b"\r\n\n", "no header row"),
    "csv header alone": (400, CSV, b"platformName\n", "no records"),
    "csv without the column": (400, CSV, b"name\nA\n", "platformName"),
    "csv without the column, json": (400, CSV, b'{"platformName": "A"}\n', "JSON"),
    "csv with the column twice": (400, CSV, b"platformName,platform_name\nA,B\n", "twice"),
    "csv header open quote": (400, CSV, b'"platformName\nA\n', "never closed"),
    "csv header not utf-8": (400, CSV, b"platformName,\xff\nA,B\n", "not valid UTF-8"),
    "csv header nul": (400, CSV, b"platformName,a\0b\nA,B\n", "NUL"),
    "csv record too large": (413, CSV, b'platformName\nA\n"' + NOISE + b'"\n', "Record 2 is larger than"),
    "gzip corrupt": (400, {**NDJSON, **GZIP}, b"no gzip at all", "gzip"),
    "gzip truncated": (400, {**NDJSON, **GZIP}, gzip.compress(MANY)[:-20], "gzip"),
    "gzip crc": (400, {**NDJSON, **GZIP}, gzip.compress(MANY)[:-8] + b"\0" * 8, "gzip"),
    "gzip with more after it": (400, {**NDJSON, **GZIP}, gzip.compress(MANY) + b"more", "gzip"),
    "gzip empty": (400, {**NDJSON, **GZIP}, b"", "gzip"),
    "gzip json truncated": (400, {**JSON, **GZIP}, gzip.compress(ENVELOPE)[:-4], "gzip"),
    "zstd corrupt": (400, {**NDJSON, **ZSTD}, b"no zstd at all", "zstd"),
    "zstd truncated": (400, {**CSV, **ZSTD}, zstd.compress(b"platformName\n" + MANY)[:-20], "zstd"),
    "gzip bomb": (413, {**NDJSON, **GZIP}, gzip.compress(b"\n" * 40_000_000), "larger than|expands"),
    "zstd bomb": (413, {**NDJSON, **ZSTD}, zstd.compress(b"\n" * 400_000_000), "larger than|expands"),
    "json gzip bomb": (413, {**JSON, **GZIP}, gzip.compress(b" " * 40_000_000), "larger than|expands"),
    "no type": (415, {}, ENVELOPE, "Content-Type"),
    "other type": (415, {"content-type": "application/xml"}, ENVELOPE, "Content-Type"),
    "text": (415, {"content-type": "text/plain"}, ENVELOPE, "Content-Type"),
    "form": (415, {"content-type": "multipart/form-data; boundary=x"}, ENVELOPE, "Content-Type"),
    "bad type": (415, {"content-type": "json"}, ENVELOPE, "Content-Type"),
    "charset": (415, {"content-type": "text/csv; charset=klingon"}, b"platformName\nA\n", "charset"),
    "encoding": (415, {**NDJSON, "content-encoding": "br"}, MANY, "Content-Encoding"),
    "encodings": (415, {**NDJSON, "content-encoding": "gzip, zstd"}, MANY, "Content-Encoding"),
}


async def test_bad_bodies_are_rejected_and_store_nothing(database_url: str) -> None:
    limits: dict[str, Any] = {
        "max_envelope_bytes": 200_000,
        "max_record_bytes": 100_000,
        "max_body_bytes": 5_000_000,
        "chunk_bytes": 50_000,
    }
    async with opened(database_url, worker=False, **limits) as site:
        for name, (status, headers, body, words) in CASES.items():
            answer = await site.ann.post(PLATFORMS, content=body, headers=headers)
            assert answer.status_code == status, f"{name}: {answer.text[:500]}"
            detail = assert_problem(answer, status)["detail"]
            assert any(word in detail for word in words.split("|")), f"{name}: {detail}"
            assert await kept(site.url) == NOTHING, name


async def test_repeated_content_headers_are_rejected(idle_site: CatalogueSite) -> None:
    body = ndjson(platforms(1))
    for headers in (
        [("content-type", "application/x-ndjson"), ("content-type", "text/csv")],
        [("content-type", "application/x-ndjson"), ("content-encoding", "identity"), ("content-encoding", "gzip")],
    ):
        assert_problem(await idle_site.ann.post(PLATFORMS, content=body, headers=headers), 415)
    assert_problem(await idle_site.ann.post("/api/platforms", content=body, headers=[*JSON.items(), *CSV.items()]), 415)
    assert await kept(idle_site.url) == NOTHING


async def test_a_request_for_something_that_does_not_exist_is_rejected(idle_site: CatalogueSite) -> None:
    answer = await idle_site.ann.post(PLATFORMS, params={"delimiter": "::"}, content=b"platformName\nA\n", headers=CSV)
    assert "delimiter" in assert_problem(answer, 400)["detail"]
    answer = await idle_site.ann.post(COMMANDS, content=b"howTo,commandLine\na,b\n", headers=CSV)
    assert "platformId (or platformName)" in assert_problem(answer, 400)["detail"]
    assert await kept(idle_site.url) == NOTHING


async def test_meaningless_preferences_are_ignored(idle_site: CatalogueSite) -> None:
    for preference in ("return=minimal", "handling=whatever", "handling", ";;,=,"):
        headers = {**NDJSON, "prefer": preference}
        answer = await idle_site.ann.post(PLATFORMS, content=ndjson(platforms(1)), headers=headers)
        assert answer.status_code == 202
        assert "preference-applied" not in answer.headers
    assert await fetch(idle_site.url, "SELECT DISTINCT handling FROM bulkport.bulk_import_jobs") == [("lenient",)]
