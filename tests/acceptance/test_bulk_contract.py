"""The wire contract of the bulk endpoints: what is accepted, how it is answered, and what the status then says."""

import asyncio
import re
from typing import Any

import httpx
import psycopg
from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite, platforms

from application_client import assert_problem
from import_steps import (
    CSV,
    LENIENT,
    NDJSON,
    NOTHING,
    STRICT,
    WAIT_SECONDS,
    accepted,
    fetch,
    imported,
    kept,
    messages,
    ndjson,
    running_worker,
    settled,
)

STATUS_MEMBERS = [
    "id",
    "hangfireJobId",
    "status",
    "totalRecords",
    "processedRecords",
    "successCount",
    "failureCount",
    "createdAt",
    "startedAt",
    "completedAt",
    "errorSummary",
]
DETAIL_MEMBERS = [
    "resource",
    "format",
    "handling",
    "bytes",
    "rowsPerSecond",
    "etaSeconds",
    "attempts",
    "warnings",
    "links",
]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BLANK = {"platformName": " "}


async def test_an_accepted_body_gets_202(idle_site: CatalogueSite) -> None:
    answer = await idle_site.ann.post(PLATFORMS, json={"platforms": platforms(10)})
    assert answer.status_code == 202
    body = answer.json()
    job_id = body["id"]
    assert isinstance(job_id, int)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/api/platforms/bulk/{job_id}/status"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["cache-control"] == "no-store"
    assert "preference-applied" not in answer.headers
    assert list(body) == ["id", "hangfireJobId", "message", "totalRecords"]
    assert body["message"] == "Bulk import job successfully queued"
    assert body["totalRecords"] == 10
    # The id is the engine's: a job of that id waits there, in the transaction that wrote the import.
    assert await fetch(idle_site.url, "SELECT job_id::text, state::text FROM bulkport.jobs") == [
        (body["hangfireJobId"], "enqueued")
    ]


async def test_the_status_has_exactly_the_documented_members(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(3)})
    path = f"{PLATFORMS}/{job_id}/status"
    answer = await idle_site.ann.get(path)
    pending = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert list(pending) == STATUS_MEMBERS
    assert (pending["status"], pending["totalRecords"], pending["processedRecords"]) == ("Pending", 3, 0)
    assert (pending["successCount"], pending["failureCount"]) == (0, 0)
    assert TIME.fullmatch(pending["createdAt"])
    assert (pending["startedAt"], pending["completedAt"], pending["errorSummary"]) == (None, None, None)

    # A lock on the table holds the worker up in the middle of the chunk.
    async with await psycopg.AsyncConnection.connect(idle_site.url) as connection:
        await connection.execute("LOCK TABLE platforms IN EXCLUSIVE MODE")
        async with running_worker(idle_site.bulkport, idle_site.url):
            processing = await _reached(idle_site.ann, path, "Processing")
            await connection.rollback()
            detail = await settled(idle_site.ann, job_id)
    assert list(processing) == STATUS_MEMBERS
    assert (processing["processedRecords"], processing["completedAt"]) == (0, None)
    assert TIME.fullmatch(processing["startedAt"])
    status = (await idle_site.ann.get(path)).json()
    assert list(status) == STATUS_MEMBERS
    # Members may be added to the detail, and to it alone.
    assert list(detail)[: len(STATUS_MEMBERS)] == STATUS_MEMBERS
    assert set(DETAIL_MEMBERS) <= detail.keys()
    assert {name: detail[name] for name in STATUS_MEMBERS} == status
    assert (status["status"], status["processedRecords"], status["successCount"]) == ("Completed", 3, 3)
    assert status["createdAt"] <= status["startedAt"] <= status["completedAt"]
    assert all(TIME.fullmatch(status[name]) for name in ("createdAt", "startedAt", "completedAt"))
    assert (detail["resource"], detail["format"], detail["attempts"]) == ("platforms", "json", 1)
    assert detail["rowsPerSecond"] > 0
    assert detail["etaSeconds"] == 0
    assert detail["links"] == {
        "self": f"/api/imports/{job_id}",
        "status": path,
        "errors": f"/api/imports/{job_id}/errors",
    }
    assert await fetch(idle_site.url, "SELECT payload FROM bulkport.import_chunks WHERE payload IS NOT NULL") == []


async def _reached(api: httpx.AsyncClient, path: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            job: dict[str, Any] = (await api.get(path)).json()
            if job["status"] == status:
                return job
            await asyncio.sleep(0.01)


async def test_envelope_error_messages(idle_site: CatalogueSite) -> None:
    nothing = "Platforms list cannot be null"
    cases: list[tuple[str, Any, dict[str, list[str]]]] = [
        (PLATFORMS, {"platforms": None}, {"platforms": [nothing]}),
        (PLATFORMS, {}, {"platforms": [nothing]}),
        (PLATFORMS, {"Platforms": [{"platformName": "A"}]}, {"platforms": [nothing]}),
        (PLATFORMS, {"platforms": []}, {"platforms": ["Platforms list must contain at least one platform"]}),
        (
            PLATFORMS,
            {"platforms": platforms(1001)},
            {"platforms": ["Bulk import cannot exceed 1000 platforms per request"]},
        ),
        (COMMANDS, {"commands": None}, {"commands": ["Commands list cannot be null"]}),
        (COMMANDS, {"commands": []}, {"commands": ["Commands list must contain at least one command"]}),
        (
            PLATFORMS,
            {
                "platforms": [
                    {"platformName": "ok"},
                    BLANK,
                    {"platformName": "x" * 101},
                    {"platformName": 5},
                    {"platformName": None},
                    {},
                    "text",
                    {"platformName": "nul \0"},
                ]
            },
            {
                "platforms[1].platformName": ["platformName must not be blank"],
                "platforms[2].platformName": ["platformName must be at most 100 characters"],
                "platforms[3].platformName": ["platformName must be text"],
                "platforms[4].platformName": ["platformName must not be null"],
                "platforms[5].platformName": ["platformName is required"],
                "platforms[6]": ["the row must be a JSON object"],
                "platforms[7].platformName": ["platformName must not contain the character NUL"],
            },
        ),
        (
            COMMANDS,
            {"commands": [{"howTo": "", "commandLine": "", "platformId": 0}, {"platformName": "Docker"}]},
            {
                "commands[0].howTo": ["howTo must not be blank"],
                "commands[0].commandLine": ["commandLine must not be blank"],
                "commands[0].platformId": ["platformId must be greater than 0"],
                "commands[1].howTo": ["howTo is required"],
                "commands[1].commandLine": ["commandLine is required"],
                "commands[1].platformId": ["platformId is required"],
            },
        ),
    ]
    for path, body, errors in cases:
        for headers in ({}, STRICT):
            problem = assert_problem(await idle_site.ann.post(path, json=body, headers=headers), 400)
            assert problem["errors"] == errors
    assert await kept(idle_site.url) == NOTHING
    await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1000)})


async def test_the_applied_handling_is_reported(site: CatalogueSite) -> None:
    bad = [*platforms(2), BLANK]
    lenient = await site.ann.post(PLATFORMS, json={"platforms": bad}, headers=LENIENT)
    assert (lenient.status_code, lenient.headers["preference-applied"]) == (202, "handling=lenient")
    job = await settled(site.ann, lenient.json()["id"])
    assert (job["status"], job["handling"], job["successCount"], job["failureCount"]) == (
        "PartialSuccess",
        "lenient",
        2,
        1,
    )
    assert await messages(site.ann, job["id"]) == {3: [("platformName", "platformName must not be blank")]}

    strict = await site.ann.post(
        PLATFORMS, content=ndjson(bad), headers={**NDJSON, "prefer": "wait=5, Handling=Strict"}
    )
    assert (strict.status_code, strict.headers["preference-applied"]) == (202, "handling=strict")
    job = await settled(site.ann, strict.json()["id"])
    assert (job["status"], job["handling"], job["processedRecords"]) == ("Failed", "strict", 3)
    assert (job["successCount"], job["failureCount"]) == (0, 1)
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(2,)]

    for headers, body in ((NDJSON, ndjson(bad)), (CSV, b"platformName\nA\n \nB\n")):
        answer = await site.ann.post(PLATFORMS, content=body, headers=headers)
        assert "preference-applied" not in answer.headers
        job = await settled(site.ann, answer.json()["id"])
        assert (job["status"], job["handling"], job["successCount"]) == ("PartialSuccess", "lenient", 2)

    strict = await site.ann.post(PLATFORMS, content=ndjson(platforms(4)), headers={**NDJSON, **STRICT})
    assert (await settled(site.ann, strict.json()["id"]))["status"] == "Completed"


async def test_an_import_with_only_bad_rows_is_failed(site: CatalogueSite) -> None:
    job = await imported(site.ann, PLATFORMS, content=ndjson([{"platformName": ""}, {}]), headers=NDJSON)
    assert (job["status"], job["successCount"], job["failureCount"]) == ("Failed", 0, 2)
    assert job["errorSummary"] == (
        "Platform '': platformName must not be blank; Platform 'row 2': platformName is required"
    )


async def test_the_error_summary_names_the_first_ten_rows(site: CatalogueSite) -> None:
    for bad in (1, 10, 11, 25):
        rows = [{"howTo": f"h{i}", "commandLine": "c", "platformId": 9} for i in range(bad)]
        job = await imported(site.ann, COMMANDS, content=ndjson(rows), headers=NDJSON)
        entries = [f"Command 'h{i}': Platform 9 does not exist" for i in range(min(bad, 10))]
        more = f" (and {bad - 10} more)" if bad > 10 else ""
        assert job["errorSummary"] == "; ".join(entries) + more


async def test_the_error_summary_joins_messages_and_is_cut_between_errors(site: CatalogueSite) -> None:
    rows = [{"howTo": "x" * 251, "commandLine": " ", "platformId": 1} for _ in range(12)]
    job = await imported(site.ann, COMMANDS, content=ndjson(rows), headers=NDJSON)
    summary = job["errorSummary"]
    assert len(summary) <= 500
    entry = re.compile(
        r"Command 'x+…?': howTo must be at most 250 characters, commandLine must not be blank(; | \(and \d+ more\)$)"
    )
    found = list(entry.finditer(summary))
    assert "".join(match[0] for match in found) == summary
    assert summary.endswith(f" (and {12 - len(found)} more)")
