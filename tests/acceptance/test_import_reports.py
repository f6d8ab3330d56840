"""`/api/imports`: lists with filters and cursors, and error reports that are complete however long."""

import csv
import io
import json
from typing import Any

from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite, opened, platforms

from application_client import assert_problem
from import_steps import CSV, NDJSON, accepted, bad_rows, imported, ndjson, running_worker, settled


async def test_the_list_is_paged_and_filtered(idle_site: CatalogueSite) -> None:
    ann = idle_site.ann
    done = [await accepted(ann, PLATFORMS, json={"platforms": platforms(1)}) for _ in range(3)]
    async with running_worker(idle_site.bulkport, idle_site.url):
        for job_id in done:
            await settled(ann, job_id)
        failed = (await imported(ann, COMMANDS, content=b"{}", headers=NDJSON))["id"]
    waiting = [await accepted(ann, COMMANDS, content=b"{}", headers=NDJSON) for _ in range(2)]
    await accepted(idle_site.bob, PLATFORMS, json={"platforms": platforms(1)})

    async def ids(**query: Any) -> list[int]:
        answer = await ann.get("/api/imports", params=query)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["items", "nextCursor"]
        return [item["id"] for item in answer.json()["items"]]

    newest_first = [*reversed(waiting), failed, *reversed(done)]
    assert await ids() == newest_first
    assert await ids(resource="platforms") == [*reversed(done)]
    assert await ids(status="Completed") == [*reversed(done)]
    assert await ids(status="Pending", resource="commands") == [*reversed(waiting)]
    assert await ids(status="Failed") == [failed]
    assert await ids(status="Cancelled") == []

    for limit in (1, 2, 4, 6):
        seen: list[int] = []
        query: dict[str, Any] = {"limit": limit}
        while True:
            page = (await ann.get("/api/imports", params=query)).json()
            seen += [item["id"] for item in page["items"]]
            if page["nextCursor"] is None:
                break
            assert len(page["items"]) == limit
            query["cursor"] = page["nextCursor"]
        assert seen == newest_first

    for name, value in {
        "limit": "0", "cursor": "x", "status": "Done", "resource": "products",
    }.items():  # fmt: skip
        answer = await ann.get("/api/imports", params={name: value})
        assert list(assert_problem(answer, 400)["errors"]) == [name]
    assert_problem(await ann.get("/api/imports", params={"cursor": "9" * 30}), 400)


def _rows(count: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Platforms of which every third is bad, and the numbers of those."""
    rows: list[dict[str, Any]] = platforms(count)
    bad = list(range(2, count + 1, 3))
    for number in bad:
        rows[number - 1] = {"platformName": " ", "note": f'line "{number}",\nnext'}
    return rows, bad


async def test_the_error_report_is_complete_and_in_row_order(database_url: str) -> None:
    async with opened(database_url, chunk_bytes=20_000) as site:
        rows, bad = _rows(4000)
        assert len(bad) > 1000
        job = await imported(site.ann, PLATFORMS, content=ndjson(rows), headers=NDJSON)
        assert (job["status"], job["failureCount"]) == ("PartialSuccess", len(bad))
        path = f"/api/imports/{job['id']}/errors"
        entries = [
            {
                "row": number,
                "errors": [{"field": "platformName", "message": "platformName must not be blank"}],
                "record": rows[number - 1],
            }
            for number in bad
        ]

        whole = await site.ann.get(path, headers={"accept": "application/x-ndjson"})
        assert whole.headers["content-type"].startswith("application/x-ndjson")
        assert whole.headers["cache-control"] == "no-store"
        assert [json.loads(line) for line in whole.content.splitlines()] == entries

        seen: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await site.ann.get(path, params={"limit": "400", **cursor})).json()
            assert list(page) == ["items", "nextCursor"]
            seen += page["items"]
            if page["nextCursor"] is None:
                break
            cursor = {"cursor": page["nextCursor"]}
        assert seen == entries
        assert len((await site.ann.get(path)).json()["items"]) == 100

        report = await site.ann.get(path, headers={"accept": "text/csv"})
        assert report.headers["content-type"].startswith("text/csv")
        lines = list(csv.reader(io.StringIO(report.text, newline="")))
        assert lines[0] == ["platformName", "row", "error"]
        assert lines[1:] == [[" ", str(number), "platformName must not be blank"] for number in bad]

        assert_problem(await site.ann.get(path, headers={"accept": "image/png"}), 406)
        assert_problem(await site.ann.get(path, params={"limit": "1001"}), 400)
        assert_problem(await site.ann.get(path, params={"cursor": "x"}), 400)


async def test_pages_of_large_records_are_short_and_complete(site: CatalogueSite) -> None:
    rows = [{"platformName": "", "note": str(i) * 900_000} for i in range(8)]
    job = await imported(site.ann, PLATFORMS, content=ndjson(rows), headers=NDJSON)
    path = f"/api/imports/{job['id']}/errors"
    first = (await site.ann.get(path)).json()
    assert 1 <= len(first["items"]) < 8
    rest = (await site.ann.get(path, params={"cursor": first["nextCursor"]})).json()
    assert [entry["record"] for entry in (*first["items"], *rest["items"])] == rows
    assert rest["nextCursor"] is None
    assert [entry["record"] for entry in await bad_rows(site.ann, job["id"])] == rows


async def test_the_client_chooses_the_format_of_the_report(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
    for accept, media_type in {
        "*/*": "application/json",
        "application/*;q=0.5, image/png": "application/json",
        "text/html, text/*;q=0.8, */*;q=0.1": "text/csv",
        "text/csv;q=0.5, application/x-ndjson": "application/x-ndjson",
        "application/json;q=0, text/csv": "text/csv",
        "TEXT/CSV; header=present": "text/csv",
    }.items():
        answer = await idle_site.ann.get(f"/api/imports/{job_id}/errors", headers={"accept": accept})
        assert answer.headers["content-type"].split(";")[0] == media_type, accept
        assert "Accept" in answer.headers["vary"]


async def test_the_csv_report_has_the_columns_of_the_body(site: CatalogueSite) -> None:
    body = b'note;Platform Name;=x\n"a\n""b""";;1\nc;ok;2\nd;e\nf;" ";\n'
    job = await imported(site.ann, PLATFORMS, params={"delimiter": ";"}, content=body, headers=CSV)
    assert [entry["row"] for entry in await bad_rows(site.ann, job["id"])] == [1, 3, 4]
    report = await site.ann.get(f"/api/imports/{job['id']}/errors", headers={"accept": "text/csv"})
    assert list(csv.reader(io.StringIO(report.text, newline=""))) == [
        ["note", "Platform Name", "=x", "row", "error"],
        ['a\n"b"', "", "1", "1", "platformName must not be blank"],
        ["d;e", "", "", "3", "the row has 2 fields where the header has 3"],
        ["f", " ", "", "4", "platformName must not be blank"],
    ]


async def test_the_csv_report_keeps_columns_with_the_same_name_apart(site: CatalogueSite) -> None:
    body = b"platformName,note,note\n,1,2\n"
    job = await imported(site.ann, PLATFORMS, content=body, headers=CSV)
    assert job["warnings"] == ["Unknown fields were ignored: note, note (column 3)"]
    report = await site.ann.get(f"/api/imports/{job['id']}/errors", headers={"accept": "text/csv"})
    assert report.text.splitlines() == ["platformName,note,note,row,error", ",1,2,1,platformName must not be blank"]


async def test_empty_parameters_and_accept_headers_are_handled(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
    page = (await idle_site.ann.get("/api/imports?resource=&status=&limit=&cursor=")).json()
    assert [job["id"] for job in page["items"]] == [job_id]
    path = f"/api/imports/{job_id}/errors"
    assert (await idle_site.ann.get(f"{path}?limit=&cursor=")).json() == {"items": [], "nextCursor": None}
    answer = await idle_site.ann.get(path, headers=[("accept", "image/png"), ("accept", "text/csv")])
    assert answer.headers["content-type"].startswith("text/csv")


async def test_an_import_without_bad_rows_has_an_empty_report(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
    path = f"/api/imports/{job_id}/errors"
    assert (await idle_site.ann.get(path)).json() == {"items": [], "nextCursor": None}
    assert (await idle_site.ann.get(path, headers={"accept": "application/x-ndjson"})).text == ""
    assert (await idle_site.ann.get(path, headers={"accept": "text/csv"})).text == "platformName,row,error\r\n"
