"""Rejected rows are sent again, as they are or mended, each once, by an import that continues the first."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import openpyxl
import psycopg
import pytest
from catalogue_site import PLATFORMS, CatalogueSite

from application_client import assert_problem
from bulkport.database.row_security import Connections
from bulkport.identifiers import ImportId
from bulkport.imports.retry import RejectedRows
from import_steps import CSV, LENIENT, NDJSON, XLSX, accepted, bad_rows, fetch, imported, ndjson, settled

LONG = "x" * 101


async def names(site: CatalogueSite) -> list[str]:
    return [name for (name,) in await fetch(site.url, "SELECT platform_name FROM platforms ORDER BY id")]


async def retried(site: CatalogueSite, job_id: int, **request: object) -> dict[str, object]:
    answer = await site.ann.post(f"/api/imports/{job_id}/retry", **request)
    assert answer.status_code == 202, answer.text
    return await settled(site.ann, answer.json()["id"])


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (f'{{"platformName": "A"}}\n{{"platformName": "{LONG}"}}\nno JSON\n'.encode(), NDJSON),
        (f"platform name,note\nA,1\n{LONG},2\nragged,1,2,3\n".encode(), CSV),
    ],
    ids=["ndjson", "csv"],
)
async def test_uncorrected_rows_are_rejected_again(
    site: CatalogueSite, content: bytes, headers: dict[str, str]
) -> None:
    first = await imported(site.ann, PLATFORMS, content=content, headers=headers)
    assert first["failureCount"] == 2
    again = await retried(site, first["id"])
    assert (again["status"], again["failureCount"], again["retryOf"]) == ("Failed", 2, first["id"])
    third = await retried(site, again["id"])
    assert (third["failureCount"], third["warnings"]) == (2, first["warnings"])
    reports = [(await site.ann.get(f"/api/imports/{job['id']}/errors?format=csv")).text for job in (first, third)]
    assert reports[1].splitlines()[0] == reports[0].splitlines()[0]
    records = [[bad["record"] for bad in await bad_rows(site.ann, job["id"])] for job in (first, third)]
    assert records[1] == records[0]
    assert await names(site) == ["A"]
    assert assert_problem(await site.ann.post(f"/api/imports/{first['id']}/retry"), 409)["detail"] == (
        f"The rejected rows were sent again in import {again['id']}; retry that one."
    )


@pytest.mark.parametrize("headers", [NDJSON, CSV], ids=["ndjson", "csv"])
async def test_rows_corrected_one_by_one_are_imported_together(site: CatalogueSite, headers: dict[str, str]) -> None:
    rows = ["A", LONG, "B", LONG + "y", LONG + "z"]
    content = (
        "platformName\n" + "\n".join(rows) + "\n"
        if headers is CSV
        else "".join(json.dumps({"platformName": row}) + "\n" for row in rows)
    )
    first = await imported(site.ann, PLATFORMS, content=content.encode(), headers=headers)
    for row, mended in ((2, "C"), (4, "D, E")):
        answer = await site.ann.patch(f"/api/imports/{first['id']}/errors/{row}", json={"platformName": mended})
        assert answer.status_code == 204, answer.text
    again = await retried(site, first["id"])
    assert (again["status"], again["successCount"], again["failureCount"]) == ("PartialSuccess", 2, 1)
    assert await names(site) == ["A", "B", "C", "D, E"]
    taken = await site.ann.patch(f"/api/imports/{first['id']}/errors/2", json={"platformName": "F"})
    assert f"import {again['id']}" in assert_problem(taken, 409)["detail"]


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("format_", [CSV, NDJSON], ids=["csv", "ndjson"])
async def test_a_corrected_report_is_imported(
    site: CatalogueSite, format_: dict[str, str], is_compressed: bool
) -> None:
    first = await imported(site.ann, PLATFORMS, content=f"platform name\n{LONG}\nA\n".encode(), headers=CSV)
    report = await site.ann.get(f"/api/imports/{first['id']}/errors", headers={"accept": format_["content-type"]})
    mended, headers = report.content.replace(LONG.encode(), b"B"), format_
    if is_compressed:
        mended, headers = gzip.compress(mended), {**format_, "content-encoding": "gzip"}
    again = await retried(site, first["id"], content=mended, headers=headers)
    assert (again["status"], again["retryOf"], again["warnings"]) == ("Completed", first["id"], [])
    assert await names(site) == ["A", "B"]


def rows_of_csv(report: str) -> list[dict[str, str]]:
    """What a program makes of the report that reads it as CSV."""
    return list(csv.DictReader(io.StringIO(report)))


SENT_AS_JSON = {
    "records": lambda rows, _: {"json": {"platforms": rows}},
    "an array": lambda rows, _: {"json": rows},
    "lines": lambda rows, _: {"content": ndjson(rows), "headers": NDJSON},
    "entries in an array": lambda _, page: {"json": page["items"]},
    "a page": lambda _, page: {"json": page},
    "entries without their errors": lambda _, page: {
        "content": ndjson({"record": item["record"], "row": item["row"]} for item in page["items"]),
        "headers": NDJSON,
    },
}


@pytest.mark.parametrize("sent", SENT_AS_JSON.values(), ids=SENT_AS_JSON)
async def test_a_report_is_recognised_in_every_json_format(site: CatalogueSite, sent: Any) -> None:
    first = await imported(
        site.ann, PLATFORMS, content=f"platformName,note\n={LONG},n\nA,\n{LONG},\n".encode(), headers=CSV
    )
    address = f"/api/imports/{first['id']}/errors"
    rows = rows_of_csv((await site.ann.get(f"{address}?format=csv&neutralize=true")).text)
    page = (await site.ann.get(address)).json()
    assert rows[0].keys() == {"platformName", "note", "row", "error", "neutralized"}
    rows[0]["platformName"], page["items"][0]["record"]["platformName"] = "'=B", "=B"
    again = await retried(site, first["id"], **sent(rows, page))
    assert (again["status"], again["successCount"], again["failureCount"]) == ("PartialSuccess", 1, 1)
    assert again["warnings"] == ["Unknown fields were ignored: note"]
    assert await names(site) == ["A", "=B"]
    (bad,) = await bad_rows(site.ann, again["id"])
    assert bad["record"].items() >= {"platformName": LONG}.items()
    assert bad["record"].keys() == {"platformName", "note"}


async def test_members_that_only_resemble_a_report_are_kept(site: CatalogueSite) -> None:
    first = await imported(site.ann, PLATFORMS, content=f"platform name\n{LONG}\n".encode(), headers=CSV)
    rows = [{"platformName": LONG, "row": "top", "error": "x"}, {"platformName": LONG, "row": 1}]
    again = await retried(site, first["id"], content=ndjson(rows), headers=NDJSON)
    assert [bad["record"] for bad in await bad_rows(site.ann, again["id"])] == rows


async def test_lines_of_invalid_json_return_unchanged_in_a_report(site: CatalogueSite) -> None:
    first = await imported(site.ann, PLATFORMS, content=b'no JSON\n{"platformName": "A"\n', headers=NDJSON)
    report = await site.ann.get(f"/api/imports/{first['id']}/errors?format=ndjson")
    again = await retried(site, first["id"], content=report.content.replace(b'A\\"', b'A\\"}'), headers=NDJSON)
    assert (again["successCount"], again["failureCount"]) == (1, 1)
    (bad,) = await bad_rows(site.ann, again["id"])
    assert (bad["row"], bad["record"]) == (1, "no JSON")
    assert await names(site) == ["A"]


async def test_a_retry_can_wait_for_its_end_and_accepts_an_upload(site: CatalogueSite) -> None:
    first = await imported(site.ann, PLATFORMS, content=f"platform name\n{LONG}\n".encode(), headers=CSV)
    path = f"/api/imports/{first['id']}/retry"
    begun = await site.ann.post(
        "/api/uploads",
        content=b"platform name\nB\n",
        headers={
            "tus-resumable": "1.0.0",
            "upload-length": "16",
            "content-type": "application/offset+octet-stream",
            "upload-metadata": "filename YS5jc3Y=",
        },
    )
    reference = {"upload": begun.headers["location"].rpartition("/")[2]}
    answer = await site.ann.post(path, json=reference, headers={"prefer": "respond-async, wait=20"})
    assert (answer.status_code, answer.json()["status"]) == (200, "Completed"), answer.text
    assert answer.headers["preference-applied"] == "respond-async, wait=20"
    assert answer.headers["location"] == f"{PLATFORMS}/{answer.json()['id']}/status"
    assert await names(site) == ["B"]
    assert_problem(await site.ann.post(path, json=reference), 404)
    source = {"source": {"url": "https://example.org/rows.csv"}}
    assert "an upload" in assert_problem(await site.ann.post(path, json=source), 400)["errors"]["source"][0]


@pytest.mark.parametrize("asked", [{"params": {"format": "xlsx"}}, {"headers": {"accept": XLSX["content-type"]}}])
async def test_a_workbook_of_bad_rows_is_corrected_and_retried(site: CatalogueSite, asked: dict[str, Any]) -> None:
    rows = f'Platform Name;note\n{LONG};=1+1\nA;007\n{LONG}y;"a;b"\n'.encode()
    first = await imported(site.ann, PLATFORMS, content=rows, headers=CSV)
    report = await site.ann.get(f"/api/imports/{first['id']}/errors", **asked)
    assert report.headers["content-type"] == XLSX["content-type"]
    assert report.headers["content-disposition"] == f'attachment; filename="import-{first["id"]}-errors.xlsx"'
    book = openpyxl.load_workbook(io.BytesIO(report.content))
    sheet = book.active
    assert sheet is not None
    header, one, other = sheet.iter_rows(values_only=True)
    assert header == ("Platform Name", "note", "row", "error")
    assert one == (LONG, "=1+1", "1", "platformName must be at most 100 characters")
    assert other[1:3] == ("a;b", "3")
    sheet["A2"], sheet["A3"] = "Mended", 5
    mended = io.BytesIO()
    book.save(mended)
    again = await retried(site, first["id"], content=mended.getvalue(), headers=XLSX)
    assert (again["status"], again["retryOf"]) == ("Completed", first["id"])
    assert await names(site) == ["A", "Mended", "5"]


async def test_a_mismatched_workbook_of_bad_rows_is_rejected_with_a_clear_message(site: CatalogueSite) -> None:
    first = await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": "x" * 33_000}]}, headers=LENIENT)
    problem = assert_problem(await site.ann.get(f"/api/imports/{first['id']}/errors?format=xlsx"), 400)
    assert "32,767 characters" in problem["errors"]["format"][0]
    assert_problem(await site.ann.get(f"/api/imports/{first['id']}/errors?format=pdf"), 400)


async def test_one_of_several_concurrent_retries_imports_the_rows(site: CatalogueSite) -> None:
    content = b"".join(b'{"platformName": "%s%d"}\n' % (b"x" * 100, number) for number in range(10, 3010))
    first = await imported(site.ann, PLATFORMS, content=content, headers=NDJSON)
    assert first["failureCount"] == 3000
    answers = await asyncio.gather(*(site.ann.post(f"/api/imports/{first['id']}/retry") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5


async def test_only_rejected_rows_can_be_retried(site: CatalogueSite) -> None:
    good = await imported(site.ann, PLATFORMS, json={"platforms": [{"platformName": "A"}]})
    nothing = assert_problem(await site.ann.post(f"/api/imports/{good['id']}/retry"), 409)
    assert nothing["type"] == "/problems/nothing-to-retry"
    assert nothing["detail"] == f"Import {good['id']} has no rejected rows left."
    assert_problem(await site.bob.post(f"/api/imports/{good['id']}/retry"), 403)
    assert_problem(await site.ann.post(f"/api/imports/{good['id']}/retry?delimiter=0"), 400)
    assert (await site.ann.post("/api/imports/999999/retry")).status_code == 404
    row = f"/api/imports/{good['id']}/errors/1"
    assert_problem(await site.ann.patch(row, json={"platformName": "A"}), 404)
    assert_problem(await site.bob.patch(row, json={"platformName": "A"}), 403)
    assert_problem(await site.ann.patch(row, json=["A"]), 400)
    for number in ("NaN", "-Infinity", "1e999", "9" * 400 + ".0"):
        content = f'{{"platformName":{number}}}'
        answer = await site.ann.patch(row, content=content, headers={"content-type": "application/json"})
        assert "not finite" in assert_problem(answer, 400)["detail"]


async def test_a_running_import_cannot_be_retried(idle_site: CatalogueSite) -> None:
    waiting = await accepted(idle_site.ann, PLATFORMS, json={"platforms": [{"platformName": "A"}]})
    assert_problem(await idle_site.ann.post(f"/api/imports/{waiting}/retry"), 409)


async def test_a_retry_with_an_idempotency_key_runs_once(site: CatalogueSite) -> None:
    first = await imported(site.ann, PLATFORMS, content=f'{{"platformName": "{LONG}"}}\n'.encode(), headers=NDJSON)
    key = {"headers": {"idempotency-key": "one"}}
    one, two = [await site.ann.post(f"/api/imports/{first['id']}/retry", **key) for _ in range(2)]
    assert one.json() == two.json()
    assert two.headers["idempotent-replayed"] == "true"
    assert len(await bad_rows(site.ann, (await settled(site.ann, one.json()["id"]))["id"])) == 1


async def test_large_rejected_rows_are_read_in_small_batches(site: CatalogueSite) -> None:
    record = {"platformName": LONG, "note": "x" * 1_000_000}
    job = await imported(site.ann, PLATFORMS, content=ndjson([record] * 12), headers=NDJSON)
    async with await psycopg.AsyncConnection.connect(site.url) as connection:
        rows = RejectedRows(cast("Connections", _Only(connection)), ImportId(job["id"]))
        pages = [len(page) async for page in rows.pages()]
    assert sum(pages) == 12
    assert max(pages) <= 5
    assert (await retried(site, job["id"]))["failureCount"] == 12


class _Only:
    """One connection, where a pool is expected."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        yield self._connection
