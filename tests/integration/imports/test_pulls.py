"""A worker pulls the body of an import from a source, and reports failures."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from source_server import File, SourceServer, open_source_server

from application_client import assert_problem, client_of, make_key, open_application
from bulkport import AttemptPolicy
from each_case import case
from import_steps import FINAL, accepted, execute, fetch, ndjson, running_worker, settled

HASTY = AttemptPolicy(base_seconds=0.01, max_seconds=0.05)
LOOPBACK = {"egress_allowed_networks": "127.0.0.0/8", "egress_allow_http": True}
BULK = "/api/platforms/bulk"
ROWS = [{"platformName": f"p{i}"} for i in range(50)]
CSV = b"platform name\n" + b"".join(b"p%d\n" % i for i in range(50))


class Site:
    """The Command API with two users' clients, and a server with files."""

    def __init__(self, url: str, ann: Any, bob: Any, server: SourceServer, folder: Path) -> None:
        self.url, self.ann, self.bob, self.server, self.folder = url, ann, bob, server, folder

    def source(self, path: str, **members: str) -> dict[str, Any]:
        return {"json": {"source": {"url": self.server.url + path, **members}}}

    async def pulled(self, path: str, query: str = "", **members: str) -> dict[str, Any]:
        return await settled(self.ann, await accepted(self.ann, BULK + query, **self.source(path, **members)))

    async def names(self) -> list[str]:
        return sorted(row[0] for row in await fetch(self.url, "SELECT platform_name FROM platforms"))


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Sources may be on loopback, and in a folder; failed attempts come again at once."""
    stores = {"drop": {"url": tmp_path.as_uri()}, "bobs": {"url": tmp_path.as_uri(), "users": ["bob"]}}
    async with (
        open_source_server() as server,
        open_application(database_url, **LOOPBACK, stores=stores, max_body_bytes=1_000_000) as app,
        client_of(app, await make_key(database_url, "ann")) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
        running_worker(app.state.bulkport, database_url, attempts=HASTY),
    ):
        yield Site(database_url, ann, bob, server, tmp_path)


async def test_a_pulled_body_is_read_in_its_format(site: Site) -> None:
    for path, file in [
        ("/rows.csv", File(CSV)),
        ("/rows.csv", File(CSV, "text/plain; charset=utf-8")),
        ("/rows", File(CSV, "text/csv")),
        ("/rows", File(ndjson(ROWS), "application/x-ndjson")),
        ("/download", File(CSV, "application/octet-stream", headers={"content-disposition": 'x; filename="r.csv"'})),
        ("/rows.csv.gz", File(gzip.compress(CSV), "application/gzip")),
        ("/rows.csv.gz", File(gzip.compress(CSV), "text/csv", headers={"content-encoding": "gzip"})),
        ("/rows.csv", File(CSV, "text/csv", gzips=True)),
        ("/rows.json", File(b'{"platforms":' + str(ROWS).replace("'", '"').encode() + b"}")),
        ("/rows.json", File(str(ROWS).replace("'", '"').encode(), "application/json")),
    ]:
        with case(path, file):
            site.server.files[path] = file
            answer = await site.ann.post(BULK, **site.source(path))
            assert answer.status_code == 202
            assert answer.json()["message"] == "Bulk import job successfully queued"
            assert answer.json()["totalRecords"] == 0
            job = await settled(site.ann, answer.json()["id"])
            assert (job["status"], job["totalRecords"], job["successCount"]) == ("Completed", 50, 50), job
            assert job["hangfireJobId"] == answer.json()["hangfireJobId"]
            assert job["source"] == {"url": site.server.url + path}
            assert len(await site.names()) == 50
            await execute(site.url, "DELETE FROM platforms")


async def test_a_source_declares_its_own_format(site: Site) -> None:
    site.server.files["/x.bin"] = File(gzip.compress(CSV), "image/png")
    job = await site.pulled("/x.bin?token=secret", contentType="text/csv", contentEncoding="gzip")
    assert job["status"] == "Completed"
    assert job["source"]["url"] == f"{site.server.url}/x.bin?…"
    assert "secret" not in str(await fetch(site.url, "SELECT source FROM bulkport.bulk_import_jobs"))


async def test_a_redirect_of_a_source_is_followed(site: Site) -> None:
    site.server.files["/old"] = File(status=302, headers={"location": "/new/rows.csv"})
    site.server.files["/new/rows.csv"] = File(CSV)
    assert (await site.pulled("/old"))["status"] == "Completed"


FAILING = [
    (File(status=404), "answered 404 Not Found", 1),
    (File(status=403), "answered 403 Forbidden", 1),
    (File(status=410), "answered 410 Gone", 1),
    (File(status=500), "answered 500 Internal Server Error", 5),
    (File(CSV, "text/csv", length=10_000), "peer closed connection", 5),
    (File(CSV, "text/csv", length=2_000_000), "it has 2,000,000 bytes, and 1,000,000 are accepted", 1),
    (File(gzip.compress(CSV + b"x\n" * 600_000), "text/csv", headers={"content-encoding": "gzip"}), "larger than", 1),
    (File(b"platform name\n", "text/csv"), "The body contains no records", 1),
    (File(b"nothing,of it\n1,2\n", "text/csv"), "platformName", 1),
    (File(CSV, "image/png"), "What the file is can be told neither by its type nor by its name", 1),
    (File(b'{"platforms": [{"platformName": ""}]}', "application/json"), "platformName", 1),
    (File(b"\x1f\x8bxx", "text/csv", headers={"content-encoding": "gzip"}), "corrupt", 1),
    (File(b"x", "text/csv", headers={"content-encoding": "br"}), "Content-Encoding", 1),
    (File(status=302, headers={"location": "http://10.0.0.1/rows.csv"}), "private network", 1),
    (File(status=302, headers={"location": "http://[::1]/rows.csv"}), "private network", 1),
    (File(status=302, headers={"location": "ftp://example.org/x"}), "must begin with https", 1),
    (File(status=302, headers={"location": "/16"}), "more than 5 redirects", 6),
    (File(status=304), "answered 304", 1),
]


async def test_a_source_that_cannot_be_pulled_fails_its_import_with_a_clear_message(site: Site) -> None:
    jobs = []
    for number, (file, _, _) in enumerate(FAILING):
        site.server.files[f"/{number}"] = file
        jobs.append(await accepted(site.ann, BULK, **site.source(f"/{number}")))
    for number, (file, words, asks) in enumerate(FAILING):
        job = await settled(site.ann, jobs[number])
        assert job["status"] == "Failed", (words, job)
        assert job["errorSummary"].startswith(f"Fatal error: {site.server.url}/{number}"), job["errorSummary"]
        assert words in job["errorSummary"]
        assert (job["totalRecords"], job["processedRecords"]) == (0, 0)
        assert site.server.paths().count(f"/{number}") == asks, file
    assert await site.names() == []


async def test_a_transient_fault_of_a_source_costs_an_attempt(site: Site) -> None:
    answers = [
        File(status=503, headers={"retry-after": "0"}),
        File(CSV, "text/csv", length=9999),
        File(CSV, "text/csv"),
    ]
    site.server.files["/rows"] = lambda _: answers.pop(0)
    job = await site.pulled("/rows")
    assert (job["status"], job["successCount"]) == ("Completed", 50)
    assert len(await site.names()) == 50


NOT_TO_BE_NAMED: list[tuple[Any, str]] = [
    ("https://example.org/x.csv", "source"),
    (None, "source"),
    ([], "source"),
    ({}, "source"),
    ({"url": "https://example.org/x.csv", "store": "drop", "path": "x"}, "source"),
    ({"store": "drop"}, "source"),
    ({"path": "x.csv"}, "source"),
    ({"url": 5}, "source.url"),
    ({"url": ""}, "source.url"),
    ({"url": "ftp://example.org/x.csv"}, "source.url"),
    ({"url": "https://10.0.0.1/x.csv"}, "source.url"),
    ({"url": "https://[::1]/x.csv"}, "source.url"),
    ({"url": "https://169.254.169.254/latest/meta-data"}, "source.url"),
    ({"url": "https://ann:secret@example.org/x.csv"}, "source.url"),
    ({"url": "https://example.org/" + "x" * 2000}, "source.url"),
    ({"url": "https://example.org/x.csv", "password": "x"}, "source.password"),
    ({"url": "https://example.org/x.csv", "contentType": "image/png"}, "source.contentType"),
    ({"url": "https://example.org/x.csv", "contentEncoding": "br"}, "source.contentEncoding"),
    ({"store": "none", "path": "x.csv"}, "source.store"),
    ({"store": "bobs", "path": "x.csv"}, "source.store"),
    ({"store": "drop", "path": "../x.csv"}, "source.path"),
    ({"store": "drop", "path": "/etc/passwd"}, "source.path"),
    ({"store": "drop", "path": "a//b.csv"}, "source.path"),
    ({"store": "drop", "path": "a\\..\\b.csv"}, "source.path"),
    ({"store": "drop", "path": "a\x00.csv"}, "source.path"),
]


async def test_a_forbidden_source_is_rejected_at_once(site: Site) -> None:
    for source, field in NOT_TO_BE_NAMED:
        errors = assert_problem(await site.ann.post(BULK, json={"source": source}), 400)["errors"]
        assert list(errors) == [field], source
    assert await fetch(site.url, "SELECT count(*) FROM bulkport.bulk_import_jobs") == [(0,)]


async def test_a_reference_with_other_members_is_rejected(site: Site) -> None:
    body = {"source": {"url": "https://example.org/x.csv"}, "mode": "upsert"}
    assert list(assert_problem(await site.ann.post(BULK, json=body), 400)["errors"]) == ["mode"]


async def test_an_object_in_a_configured_store_is_pulled(site: Site) -> None:
    (site.folder / "july").mkdir()
    (site.folder / "july" / "rows.csv.gz").write_bytes(gzip.compress(CSV))
    job_id = await accepted(site.ann, BULK, json={"source": {"store": "drop", "path": "july/rows.csv.gz"}})
    job = await settled(site.ann, job_id)
    assert (job["status"], job["successCount"], job["fileName"]) == ("Completed", 50, "rows.csv.gz")
    assert job["source"] == {"store": "drop", "path": "july/rows.csv.gz"}
    job = await settled(site.bob, await accepted(site.bob, BULK, json={"source": {"store": "bobs", "path": "no.csv"}}))
    assert job["errorSummary"] == "Fatal error: bobs/no.csv: the object does not exist"
    (site.folder / "rows.bin").write_bytes(CSV)
    job = await settled(
        site.ann, await accepted(site.ann, BULK, json={"source": {"store": "drop", "path": "rows.bin"}})
    )
    assert job["status"] == "Failed"


async def test_options_of_the_request_apply_to_the_pulled_body(site: Site) -> None:
    site.server.files["/rows"] = File(b"Namen|x\nDocker|1\n|2\n", "text/csv")
    query = "?delimiter=|&map=Namen:platformName&name=July&clientId=7&results=ids"
    job_id = await accepted(site.ann, BULK + query, **site.source("/rows"))
    job = await settled(site.ann, job_id)
    assert (job["successCount"], job["failureCount"], job["name"]) == (1, 1, "July")
    assert_problem(await site.ann.post(BULK + query, **site.source("/rows")), 409)
    strict = await settled(
        site.ann,
        await accepted(
            site.ann,
            BULK + "?delimiter=|&map=Namen:platformName",
            headers={"prefer": "handling=strict"},
            **site.source("/rows"),
        ),
    )
    assert (strict["status"], strict["failureCount"]) == ("Failed", 1)
    tried = await site.pulled("/rows", "?delimiter=|&map=Namen:platformName&dryRun=true")
    assert (tried["dryRun"], tried["created"]) == (True, 1)
    assert await site.names() == ["Docker"]


async def test_one_idempotency_key_pulls_once(site: Site) -> None:
    site.server.files["/rows"] = File(CSV, "text/csv")
    key = {"headers": {"idempotency-key": "one"}}
    first = await accepted(site.ann, BULK, **key, **site.source("/rows"))
    assert await accepted(site.ann, BULK, **key, **site.source("/rows")) == first
    assert_problem(await site.ann.post(BULK, **key, **site.source("/other")), 422)
    await settled(site.ann, first)
    assert len(await site.names()) == 50


async def test_slow_sources_occupy_few_worker_slots(site: Site) -> None:
    gate = asyncio.Event()
    site.server.files["/slow"] = File(CSV, "text/csv", gate=gate)
    site.server.files["/rows"] = File(CSV, "text/csv")
    jobs = [await accepted(site.ann, BULK, **site.source("/slow")) for _ in range(9)]
    deadline = time.monotonic() + 60
    while site.server.paths().count("/slow") < 4:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    others = await settled(site.bob, await accepted(site.bob, BULK, **site.source("/rows")))
    assert others["status"] == "Completed"
    assert site.server.paths().count("/slow") == 4
    gate.set()
    assert {(await settled(site.ann, job))["status"] for job in jobs} == {"Completed"}


async def test_an_import_shows_that_it_is_being_pulled_and_can_be_cancelled(site: Site) -> None:
    site.server.files["/rows"] = File(CSV, "text/csv", gate=asyncio.Event())
    job_id = await accepted(site.ann, BULK, **site.source("/rows"))
    job = await _until(site, job_id, lambda job: job["status"] == "Pulling" and job["bytes"] > 0)
    assert job["bytes"] == len(CSV) // 2
    for listed, ids in (("Pulling", [job_id]), ("Processing", [])):
        items = (await site.ann.get("/api/imports", params={"status": listed})).json()["items"]
        assert [item["id"] for item in items] == ids
    status = (await site.ann.get(f"{BULK}/{job_id}/status")).json()
    assert (status["status"], status["totalRecords"]) == ("Processing", 0)
    answer = await site.ann.delete(f"/api/imports/{job_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "Cancelled")
    deadline = time.monotonic() + 60
    while (await fetch(site.url, "SELECT state FROM bulkport.all_jobs"))[0][0] != "cancelled":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert await site.names() == []


async def _until(site: Site, job_id: int, is_it: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        job: dict[str, Any] = (await site.ann.get(f"/api/imports/{job_id}")).json()
        if is_it(job):
            return job
        assert job["status"] not in FINAL, job
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.02)


# By the clock


async def _look(site: Site, pull: dict[str, Any]) -> dict[str, Any]:
    """Look now; the pull once it has looked."""
    before = pull["lastCheckedAt"]
    assert (await site.ann.post(f"/api/pulls/{pull['id']}/run")).status_code == 202
    deadline = time.monotonic() + 60
    while True:
        now: dict[str, Any] = (await site.ann.get(f"/api/pulls/{pull['id']}")).json()
        if now["lastCheckedAt"] != before:
            return now
        assert time.monotonic() < deadline, now
        await asyncio.sleep(0.02)


async def test_a_recurring_pull_imports_only_what_has_changed(site: Site) -> None:
    site.server.files["/rows"] = File(CSV, "text/csv", etag='"1"')
    body = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "name": "nightly", **site.source("/rows")["json"]}
    answer = await site.ann.post("/api/platforms/pulls?results=ids", json=body)
    assert answer.status_code == 201, answer.text
    pull = answer.json()
    assert answer.headers["location"] == f"/api/pulls/{pull['id']}"
    assert (pull["isActive"], pull["lastOutcome"], pull["nextAt"] is not None) == (True, None, True)
    pull = await _look(site, pull)
    assert pull["lastOutcome"] == "imported"
    first = await settled(site.ann, pull["lastImportId"])
    assert (first["status"], first["name"], first["successCount"]) == ("Completed", "nightly", 50)
    pull = await _look(site, pull)
    assert (pull["lastOutcome"], pull["lastImportId"]) == ("unchanged", first["id"])
    site.server.files["/rows"] = File(b"platform name\nnew\n", "text/csv", etag='"2"')
    pull = await _look(site, pull)
    second = await settled(site.ann, pull["lastImportId"])
    assert (pull["lastOutcome"], second["successCount"]) == ("imported", 1)
    assert len((await site.ann.get("/api/imports")).json()["items"]) == 2


async def test_a_failing_recurring_pull_is_a_failed_import_and_continues(site: Site) -> None:
    pull = (await site.ann.post("/api/platforms/pulls", json={"cron": "@daily", **site.source("/rows")["json"]})).json()
    pull = await _look(site, pull)
    assert (await settled(site.ann, pull["lastImportId"]))["status"] == "Failed"
    site.server.files["/rows"] = File(CSV, "text/csv")
    pull = await _look(site, pull)
    assert (await settled(site.ann, pull["lastImportId"]))["status"] == "Completed"


async def test_a_check_during_the_last_import_starts_no_second_one(site: Site) -> None:
    gate = asyncio.Event()
    site.server.files["/rows"] = File(CSV, "text/csv", gate=gate)
    pull = (await site.ann.post("/api/platforms/pulls", json={"cron": "@daily", **site.source("/rows")["json"]})).json()
    pull = await _look(site, pull)
    again = await _look(site, pull)
    assert (again["lastOutcome"], again["lastImportId"]) == ("busy", pull["lastImportId"])
    gate.set()
    assert (await settled(site.ann, pull["lastImportId"]))["status"] == "Completed"


async def test_recurring_pulls_of_a_folder_detect_a_changed_file(site: Site) -> None:
    file = site.folder / "rows.csv"
    file.write_bytes(CSV)
    body = {"cron": "@daily", "source": {"store": "drop", "path": "rows.csv"}}
    pull = await _look(site, (await site.ann.post("/api/platforms/pulls", json=body)).json())
    await settled(site.ann, pull["lastImportId"])
    assert (await _look(site, pull))["lastOutcome"] == "unchanged"
    file.write_bytes(b"platform name\nnew\n")
    pull = await _look(site, (await site.ann.get(f"/api/pulls/{pull['id']}")).json())
    assert pull["lastOutcome"] == "imported"


async def test_recurring_pulls_belong_to_their_user_and_can_be_disabled_and_deleted(site: Site) -> None:
    body = {"cron": "@daily", **site.source("/rows")["json"]}
    pull = (await site.ann.post("/api/platforms/pulls", json=body)).json()
    path = f"/api/pulls/{pull['id']}"
    for method in ("GET", "DELETE"):
        assert_problem(await site.bob.request(method, path), 404)
    assert_problem(await site.bob.patch(path, json={"isActive": False}), 404)
    assert_problem(await site.bob.post(f"{path}/run"), 404)
    assert (await site.bob.get("/api/pulls")).json() == {"items": []}
    off = (await site.ann.patch(path, json={"isActive": False})).json()
    assert (off["isActive"], off["nextAt"]) == (False, None)
    on = (await site.ann.patch(path, json={"isActive": True})).json()
    assert on["nextAt"] is not None
    assert [one["id"] for one in (await site.ann.get("/api/pulls")).json()["items"]] == [pull["id"]]
    assert (await site.ann.delete(path)).status_code == 204
    assert_problem(await site.ann.get(path), 404)
    assert await fetch(site.url, "SELECT count(*) FROM bulkport.recurring_jobs") == [(0,)]


NOT_RECURRING: list[tuple[dict[str, Any], str]] = [
    ({"cron": "x", "source": {"url": "https://example.org/x.csv"}}, "cron"),
    ({"cron": "* * * *", "source": {"url": "https://example.org/x.csv"}}, "cron"),
    ({"cron": "@daily", "timezone": "Mars/Olympus", "source": {"url": "https://example.org/x.csv"}}, "timezone"),
    ({"cron": "@daily", "source": {"url": "https://127.0.0.1.example/"}, "name": " "}, "name"),
    ({"cron": "@daily", "source": {"url": "https://10.1.1.1/x.csv"}}, "source.url"),
    ({"cron": "@daily", "source": {"url": "https://example.org/"}, "metadata": {"a": "x" * 5000}}, "metadata"),
    ({"cron": "@daily", "source": {"url": "https://example.org/"}, "metadata": {"a": "\0"}}, "metadata"),
    ({"cron": "@daily"}, "source"),
    ({"cron": "@daily", "source": {"url": "https://example.org/x.csv"}, "mode": "upsert"}, "mode"),
    ({"source": {"url": "https://example.org/x.csv"}}, "cron"),
]


async def test_an_invalid_recurring_pull_is_rejected(site: Site) -> None:
    for body, field in NOT_RECURRING:
        answer = await site.ann.post("/api/platforms/pulls", json=body)
        assert list(assert_problem(answer, 400)["errors"]) == [field], body


async def test_an_erased_users_recurring_pulls_stop(site: Site) -> None:
    body = {"cron": "@daily", **site.source("/rows")["json"]}
    pull = (await site.ann.post("/api/platforms/pulls", json=body)).json()
    await execute(site.url, "DELETE FROM bulkport.recurring_pulls")
    await execute(site.url, "UPDATE bulkport.recurring_jobs SET next_at = now() - interval '1 second'")
    deadline = time.monotonic() + 60
    while await fetch(site.url, "SELECT 1 FROM bulkport.recurring_jobs"):
        assert time.monotonic() < deadline, pull
        await asyncio.sleep(0.05)
    assert site.server.asked == []
