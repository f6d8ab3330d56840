"""The limits of the reference's table that one request meets: which answer each has, and that nothing is kept."""

import json
import sys
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any

import psycopg
import pytest

from application_client import assert_problem, client_of, make_key, open_application
from import_steps import CSV, NDJSON, XLSX, ndjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLATFORMS = "/api/platforms/bulk"
JSON = {"content-type": "application/json"}
TUS = {"tus-resumable": "1.0.0", "upload-length": "2000"}
ROW = b'{"platformName":"a"}\n'
KEPT = "SELECT (SELECT count(*) FROM bulkport.bulk_import_jobs), (SELECT count(*) FROM bulkport.uploads)"


@dataclass(frozen=True)
class Case:
    setting: str
    value: Any
    status: int
    kind: str
    path: str = PLATFORMS
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"

    def __str__(self) -> str:
        return f"{self.setting} {self.status}"


def _envelope(count: int) -> bytes:
    return json.dumps({"platforms": [{"platformName": "a" * 90}] * count}).encode()


CASES = [
    Case("max_query_bytes", 100, 414, "uri-too-long", "/api/imports?name=" + "n" * 100, method="GET"),
    Case("max_header_bytes", 1000, 431, "headers-too-large", "/api/imports", headers={"x": "x" * 1000}, method="GET"),
    Case("max_headers", 20, 431, "headers-too-large", "/api/imports", headers=dict.fromkeys(ascii_lowercase, "1")),
    Case("max_envelope_records", 2, 400, "validation-failed", content=_envelope(3), headers=JSON),
    Case("max_envelope_bytes", 1000, 413, "too-large", content=_envelope(20), headers=JSON),
    Case("max_body_bytes", 1000, 413, "too-large", content=ROW * 100, headers=NDJSON),
    Case(
        "max_record_bytes",
        1000,
        413,
        "record-too-large",
        content=ndjson([{"platformName": "a" * 1000}]),
        headers=NDJSON,
    ),
    Case("max_record_bytes", 1000, 413, "record-too-large", content=b"platformName\n" + b"a" * 1001, headers=CSV),
    Case("max_rows", 5, 413, "too-large", content=ROW * 6, headers=NDJSON),
    Case("max_blank_lines", 5, 413, "too-large", content=b"\n" * 6 + ROW, headers=NDJSON),
    Case("max_file_bytes", 1000, 413, "too-large", content=b"PK\3\4" + b"x" * 1000, headers=XLSX),
    Case("max_staged_bytes", 1000, 413, "too-large", "/api/uploads", headers=TUS),
    Case("disk_watermark_bytes", 2**60, 507, "insufficient-storage", content=ROW, headers=NDJSON),
    Case("disk_watermark_bytes", 2**60, 507, "insufficient-storage", "/api/uploads", headers=TUS),
    Case("disk_watermark_bytes", 2**60, 507, "insufficient-storage", "/api/platforms", b'{"platformName":"a"}', JSON),
    Case(
        "max_compression_ratio",
        2,
        413,
        "decompression-bomb",
        content=zstd.compress(ROW * 900_000),
        headers={**NDJSON, "content-encoding": "zstd"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_request_beyond_a_limit_gets_the_documented_response(database_url: str, case: Case) -> None:
    async with (
        open_application(database_url, **{case.setting: case.value}) as app,
        client_of(app, await make_key(database_url)) as client,
    ):
        answer = await client.request(case.method, case.path, content=case.content, headers=case.headers)
        assert assert_problem(answer, case.status)["type"] == f"/problems/{case.kind}"
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            assert await (await connection.execute(KEPT)).fetchone() == (0, 0)
