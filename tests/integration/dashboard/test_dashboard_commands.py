"""Actions by the JSON API, batches, and muted failures, on a dashboard of all pages about jobs."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from bulkport.dashboard import Access, Role
from bulkport.jobs import JobState
from dashboard_site import FixedAccess, browser_of
from jobs_dashboard_site import JobsSite, open_jobs_site


class Api:
    """A program that uses the API."""

    def __init__(self, site: JobsSite, browser: httpx.AsyncClient) -> None:
        self.site = site
        self.jobs = site.jobs
        self._browser = browser

    async def get(self, path: str) -> Any:
        """The response of the API."""
        answer = await self._browser.get(f"/hangfire/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def read(self, path: str) -> httpx.Response:
        """Anything below the dashboard, or at an address of its own."""
        return await self._browser.get(path if "://" in path else f"/hangfire/{path}")

    async def page(self, path: str) -> str:
        """A page of the dashboard."""
        return (await self._browser.get(f"/hangfire/{path}")).text

    async def post(self, path: str, status: int = 200, headers: dict[str, str] | None = None, **body: Any) -> Any:
        """What came of a command."""
        answer = await self._browser.post(f"/hangfire/api/v1/{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        if status != 200:
            assert answer.headers["content-type"] == "application/problem+json"
            return answer.json()["detail"]
        return answer.json()

    async def send(self, path: str, content: bytes, content_type: str) -> httpx.Response:
        """The answer to any body."""
        return await self._browser.post(
            f"/hangfire/api/v1/{path}", content=content, headers={"content-type": content_type}
        )


@asynccontextmanager
async def open_api(url: str, access: Access) -> AsyncIterator[Api]:
    async with open_jobs_site(url) as (site, pool), browser_of(site.build(pool, access)) as browser:
        yield Api(site, browser)


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with open_api(database_url, FixedAccess()) as api:
        yield api


async def test_a_job_is_requeued_cancelled_and_deleted_with_a_reason_in_its_history(api: Api) -> None:
    failed = await api.jobs.enqueue(api.site.strict, "no row 7")
    async with api.site.worker():
        await api.site.reaches(failed, JobState.FAILED)
    done = await api.post(f"jobs/{failed}/requeue", reason="the file is there now")
    assert done["message"] == f"Requeued job {failed}."
    history = (await api.get(f"jobs/{failed}"))["history"]
    assert any("the file is there now" in str(change) for change in history)
    await api.post(f"jobs/{failed}/cancel")
    assert (await api.get(f"jobs/{failed}"))["state"] == "cancelled"
    audit = await api.page("audit")
    assert "Requeued jobs" in audit
    assert "ann" in audit


async def test_impossible_commands_are_reported_with_the_right_status(api: Api) -> None:
    assert await api.post("jobs/999/cancel", status=404)
    job = await api.jobs.enqueue(api.site.send_report, "ada@example.org")
    await api.post(f"jobs/{job}/cancel")
    await api.post(f"jobs/{job}/cancel", status=409)
    assert "Unknown members: because" in await api.post(f"jobs/{job}/cancel", status=400, because="x")
    assert (await api.send(f"jobs/{job}/cancel", b"[1]", "application/json")).status_code == 400
    assert (await api.send(f"jobs/{job}/cancel", b"reason=x", "application/x-www-form-urlencoded")).status_code == 400
    await api.post(f"jobs/{job}/cancel", status=400, headers={"sec-fetch-site": "cross-site"})
    assert "Missing members: filter" in await api.post("jobs/cancel", status=400)
    # A name that is not a filter would mean every job.
    assert "Unknown filters: taks" in await api.post("jobs/cancel", status=400, filter={"taks": "send_report"})
    await api.post("queues/mail/limit", status=400, limit=0)


async def test_all_matching_jobs_are_requeued(api: Api) -> None:
    failed = [await api.jobs.enqueue(api.site.strict, f"no row {number}") for number in range(3)]
    async with api.site.worker():
        for job in failed:
            await api.site.reaches(job, JobState.FAILED)
    done = await api.post("jobs/requeue", filter={"state": "failed", "task": "strict"})
    assert done["message"] == "3 jobs requeued."


async def test_a_job_is_enqueued_with_checked_arguments(api: Api) -> None:
    done = await api.post("jobs", task="send_report", args={"recipient": "ada@example.org"})
    job = await api.get(done["page"])
    assert job["task"] == "send_report"
    assert "recipient" in await api.post("jobs", status=400, task="send_report", args={"nobody": 1})


async def test_a_repeated_request_with_the_same_key_is_carried_out_once(api: Api) -> None:
    for _ in range(2):
        await api.post(
            "jobs", headers={"idempotency-key": "7"}, task="send_report", args={"recipient": "ada@example.org"}
        )
    assert len((await api.get("jobs"))["jobs"]) == 1
    await api.post("jobs", task="send_report", args={"recipient": "ada@example.org"})
    assert len((await api.get("jobs"))["jobs"]) == 2


async def test_queues_are_paused_with_a_note_resumed_and_limited(api: Api) -> None:
    await api.post("queues/mail/pause", note="the mail host is down")
    (queue,) = [one for one in (await api.get("queues"))["queues"] if one["name"] == "mail"]
    assert (queue["pausedBy"], queue["pausedNote"]) == ("ann", "the mail host is down")
    await api.post("queues/mail/limit", limit=3)
    await api.post("queues/mail/resume")
    (queue,) = [one for one in (await api.get("queues"))["queues"] if one["name"] == "mail"]
    assert (queue["pausedAt"], queue["concurrencyLimit"]) == (None, 3)
    await api.post("queues/mail/limit", limit=None)


async def test_read_only_users_change_nothing(database_url: str) -> None:
    async with open_api(database_url, FixedAccess(role=Role.READ_ONLY)) as api:
        job = await api.jobs.enqueue(api.site.send_report, "ada@example.org")
        assert "read-only" in await api.post(f"jobs/{job}/cancel", status=403)
        assert (await api.get(f"jobs/{job}"))["state"] == "enqueued"


async def test_members_of_the_wrong_type_are_rejected_without_effect(api: Api) -> None:
    job = await api.jobs.enqueue(api.site.send_report, "ada@example.org")
    odd = [7, 0.5, True, [], {}, ["x"], {"x": 1}]
    texts = [*odd, "x" * 201, "nul \0", "half \ud800"]
    wrong: list[tuple[str, dict[str, Any]]] = [
        *((f"queues/mail/{name}", {"note": value}) for name in ("pause",) for value in texts),
        *((f"jobs/{job}/{name}", {"reason": value}) for name in ("cancel", "requeue", "delete") for value in texts),
        *(("queues/mail/limit", {"limit": value}) for value in ("5", True, 1.5, [], {}, 0, -1, 10**9, 10**40)),
        *(("jobs/delete", {"filter": value}) for value in (7, "state=failed", [], None, True)),
        *(("jobs/delete", {"filter": {"task": value}}) for value in (None, True, 1.5, [], {}, "", " \t", "nul \0")),
        *(
            ("jobs/delete", {"filter": {"task": [*value]}})
            for value in ([""], ["x", ""], [None], [True], [["x"]], [{}])
        ),
        *(("jobs/delete", {"filter": {"batch": value}}) for value in (0, -1, 10**30, "x", True)),
        *(("jobs", {"task": value}) for value in (7, True, [], {}, "", "no such task", "nul \0")),
        *(
            ("jobs", {"task": "send_report", "args": {"recipient": "x"}, name: value})
            for name, values in {
                "queue": [*odd, "q" * 99, "q\nq"],
                "priority": ["7", True, 1.5, 2**31, 10**40],
                "at": [*odd, "never", "nul \0", "1900-01-01"],
                "args": ["x", 7, True, [], {"recipient": "\0"}, {"recipient": "\ud800"}],
            }.items()
            for value in values
        ),
        *(("failures/mute", {"task": "strict", name: value}) for name in ("errorType", "message") for value in odd),
    ]
    for path, body in wrong:
        answer = await api.send(path, json.dumps(body).encode(), "application/json")
        assert 400 <= answer.status_code < 500, (path, body, answer.status_code, answer.text)
        assert answer.json()["detail"], (path, body)
    not_json = b'{"task": "send_report", "args": {"recipient": NaN}}'
    assert (await api.send("jobs", not_json, "application/json")).status_code == 400
    assert (await api.get(f"jobs/{job}"))["state"] == "enqueued"
    assert len((await api.get("jobs"))["jobs"]) == 1
    assert "note must be a text or null" in await api.post("queues/mail/pause", status=400, note=7)
    assert "Filters without a value: task" in await api.post("jobs/delete", status=400, filter={"task": ""})


async def test_an_operator_can_be_limited_to_some_actions(database_url: str) -> None:
    access = FixedAccess(actions=frozenset({"jobs/requeue", "queues/*"}))
    async with open_api(database_url, access) as api:
        job = await api.jobs.enqueue(api.site.send_report, "ada@example.org")
        await api.post("queues/mail/pause")
        assert "You may not do this (jobs/cancel)" in await api.post(f"jobs/{job}/cancel", status=403)
        page = await api.page(f"jobs/{job}")
        assert "Cancel job" not in page
        assert "Edit job" not in page
        assert "Resume" in await api.page("queues")
        await api.post(f"jobs/{job}/requeue", status=409)


async def test_the_api_root_links_to_everything(api: Api) -> None:
    for path in ("", "/"):
        answer = await api.read(f"api/v1{path}")
        index = answer.json()
        assert answer.status_code == 200
        assert {"jobs", "imports/{import_id}", "audit"} <= {one["path"] for one in index["resources"]}
        assert {"path": "jobs/{job_id}/requeue", "summary": "Run a finished job again"} in index["commands"]
        for one in index["resources"]:
            # This dashboard has no imports and no audit of its own.
            if "href" in one and one["path"] not in ("imports", "audit"):
                address = urljoin(str(answer.url), one["href"])
                assert (await api.read(address)).status_code == 200, address
        assert (await api.read(urljoin(str(answer.url), index["openapi"]))).json()["openapi"] == "3.1.0"


async def test_every_command_is_described(api: Api) -> None:
    paths = (await api.get("openapi.json"))["paths"]
    assert {"get", "post"} <= paths["/jobs"].keys()
    assert (
        "note"
        in paths["/queues/{queue}/pause"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    )
    assert all(operation["summary"] for path in paths.values() for operation in path.values())


async def test_batches_are_listed_with_their_progress(api: Api) -> None:
    assert "No batches yet" in await api.page("batches")
    async with api.jobs.batch("Invoices of July", user_id="dana") as batch:
        for number in range(3):
            batch.add(api.site.send_report.call(f"user{number}@example.org"))
    page = await api.page("batches")
    assert "Invoices of July" in page
    assert "0 of 3 finished" in page
    assert "Cancel batch" in page
    ((one),) = (await api.get("batches"))["batches"]
    assert one["userId"] == "dana"


async def test_a_muted_error_is_listed_only_on_request(api: Api) -> None:
    failed = await api.jobs.enqueue(api.site.strict, "no row 7")
    async with api.site.worker():
        await api.site.reaches(failed, JobState.FAILED)
    (group,) = (await api.get("failures"))["failures"]
    key = {"task": group["task"], "errorType": group["errorType"], "message": group["message"]}
    assert "Muted strict" in (await api.post("failures/mute", **key))["message"]
    page = await api.page("failures")
    assert "Show 1 muted" in page
    assert "failure-" not in page
    assert "Unmute" in await api.page("failures?muted=yes")
    await api.post("failures/unmute", **key)
    assert "Mute" in await api.page("failures")
