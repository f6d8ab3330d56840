"""A client follows an import: answers that wait for its end, a stream of events, and cancelling it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from catalogue_site import PLATFORMS, CatalogueSite, opened, platforms

from application_client import assert_problem
from each_case import case
from import_steps import NDJSON, accepted, fetch, ndjson, running_worker, settled


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream, in order: id, name and data."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            events.append({"id": fields["id"], "event": fields["event"], "data": json.loads(fields["data"])})
    return events


async def test_a_waiting_post_returns_the_final_status(site: CatalogueSite) -> None:
    answer = await site.ann.post(
        PLATFORMS, json={"platforms": platforms(3)}, headers={"prefer": "respond-async, wait=10"}
    )
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "respond-async, wait=10"
    assert answer.json()["status"] == "Completed"
    assert answer.json()["successCount"] == 3
    status = await site.ann.get(answer.headers["location"])
    assert status.json() == answer.json()


async def test_a_post_whose_wait_expires_gets_202(idle_site: CatalogueSite) -> None:
    answer = await idle_site.ann.post(
        PLATFORMS, json={"platforms": platforms(3)}, headers={"prefer": "handling=lenient, respond-async, wait=1"}
    )
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "handling=lenient, respond-async, wait=1"
    assert set(answer.json()) == {"id", "hangfireJobId", "message", "totalRecords"}


async def test_a_list_filter_that_cannot_be_stored_is_rejected(idle_site: CatalogueSite) -> None:
    for name in ["name", "clientId", "tag"]:
        with case(name):
            assert list(assert_problem(await idle_site.ann.get(f"/api/imports?{name}=%00"), 400)["errors"]) == [name]


async def test_a_wait_that_is_not_a_number_of_seconds_is_ignored(idle_site: CatalogueSite) -> None:
    for wait in ["wait=", "wait=-1", "wait=soon", "wait=99999999999", "wait"]:
        with case(wait):
            answer = await idle_site.ann.post(
                PLATFORMS, json={"platforms": platforms(1)}, headers={"prefer": f"respond-async, {wait}"}
            )
            assert answer.status_code == 202
            assert "preference-applied" not in answer.headers


async def test_a_waiting_status_request_returns_when_the_import_ends(database_url: str) -> None:
    async with opened(database_url, worker=False) as site:
        job_id = await accepted(site.ann, PLATFORMS, json={"platforms": platforms(3)})
        waiting = [
            asyncio.create_task(site.ann.get(f"{address}?wait=30"))
            for address in (f"{PLATFORMS}/{job_id}/status", f"/api/imports/{job_id}")
        ]
        pending = await site.ann.get(f"{PLATFORMS}/{job_id}/status?wait=0")
        assert pending.json()["status"] == "Pending"
        assert pending.headers["retry-after"] == "1"
        async with running_worker(site.bulkport, database_url):
            answers = await asyncio.gather(*waiting)
        assert [answer.json()["status"] for answer in answers] == ["Completed", "Completed"]
        assert "retry-after" not in answers[0].headers


async def test_an_invalid_wait_on_a_status_request_is_rejected(idle_site: CatalogueSite) -> None:
    for wait in ["-1", "601", "soon", "1.5"]:
        with case(wait):
            job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
            problem = assert_problem(await idle_site.ann.get(f"{PLATFORMS}/{job_id}/status?wait={wait}"), 400)
            assert list(problem["errors"]) == ["wait"]


async def test_events_report_an_import_until_it_ends(database_url: str) -> None:
    async with opened(database_url, worker=False) as site:
        job_id = await accepted(site.ann, PLATFORMS, content=ndjson(platforms(30_000)), headers=NDJSON)
        following = [asyncio.create_task(site.ann.get(f"/api/imports/{job_id}/events")) for _ in range(3)]
        async with running_worker(site.bulkport, database_url):
            answers = await asyncio.gather(*following)
        for answer in answers:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-accel-buffering"] == "no"
            events = events_of(answer.text)
            assert events[0]["event"] == "state"
            assert events[0]["data"]["status"] == "Pending"
            assert events[-1]["event"] == "done"
            assert events[-1]["data"] == (await site.ann.get(f"/api/imports/{job_id}")).json()
            processed = [event["data"]["processedRecords"] for event in events]
            assert processed == sorted(processed)
            assert [event["event"] for event in events].count("done") == 1


async def test_a_client_that_has_seen_the_end_gets_no_more_events(site: CatalogueSite) -> None:
    job_id = await accepted(site.ann, PLATFORMS, json={"platforms": platforms(1)})
    await settled(site.ann, job_id)
    first = await site.ann.get(f"/api/imports/{job_id}/events")
    (event,) = events_of(first.text)
    assert event["event"] == "done"
    again = await site.ann.get(f"/api/imports/{job_id}/events", headers={"last-event-id": event["id"]})
    assert again.status_code == 204
    another = await site.ann.get(f"/api/imports/{job_id}/events", headers={"last-event-id": "Pending-0"})
    assert [one["event"] for one in events_of(another.text)] == ["done"]


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_an_owner_can_cancel_an_import(idle_site: CatalogueSite, method: str) -> None:
    site = idle_site
    job_id = await accepted(site.ann, PLATFORMS, json={"platforms": platforms(3)})
    address = f"/api/imports/{job_id}" + ("/cancel" if method == "POST" else "")
    assert_problem(await site.bob.request(method, address), 403)
    assert_problem(await site.stranger.request(method, address), 401)
    answer = await site.ann.request(method, address)
    assert answer.status_code == 200
    assert answer.json()["status"] == "Cancelled"
    assert answer.json()["successCount"] == 0
    # Once more does no harm.
    assert (await site.ann.request(method, address)).json()["status"] == "Cancelled"
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(0,)]
    assert (await site.ann.request(method, f"/api/imports/{job_id + 1}")).status_code in (404, 405)


async def test_a_finished_import_cannot_be_cancelled(site: CatalogueSite) -> None:
    job_id = await accepted(site.ann, PLATFORMS, json={"platforms": platforms(3)})
    await settled(site.ann, job_id)
    problem = assert_problem(await site.ann.delete(f"/api/imports/{job_id}"), 409)
    assert problem["detail"] == f"Import {job_id} has already finished: its status is Completed."


async def test_cancelling_a_running_import_keeps_and_counts_the_stored_rows(site: CatalogueSite) -> None:
    job_id = await accepted(site.ann, PLATFORMS, content=ndjson(platforms(200_000)), headers=NDJSON)
    answer = await site.ann.delete(f"/api/imports/{job_id}")
    assert answer.status_code in (200, 202)
    job = await settled(site.ann, job_id)
    assert job["status"] == "Cancelled"
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(job["successCount"],)]


@pytest.mark.parametrize("size", [3, 40_000])
async def test_an_import_waits_until_its_scheduled_time(site: CatalogueSite, size: int) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
    request = {"content": ndjson(platforms(size)), "headers": NDJSON, "params": {"startAt": at}}
    job_id = await accepted(site.ann, PLATFORMS, **request)
    waiting = (await site.ann.get(f"/api/imports/{job_id}")).json()
    assert waiting["status"] == "Scheduled"
    for status, ids in (("Scheduled", [job_id]), ("Pending", [])):
        listed = (await site.ann.get("/api/imports", params={"status": status})).json()["items"]
        assert [item["id"] for item in listed] == ids
    assert datetime.fromisoformat(waiting["startAt"]) == datetime.fromisoformat(at)
    assert (await site.ann.get(f"{PLATFORMS}/{job_id}/status")).json()["status"] == "Pending"
    done = await settled(site.ann, job_id)
    assert done["status"] == "Completed"
    assert done["startedAt"] >= at
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(size,)]


async def test_a_scheduled_import_can_be_cancelled(site: CatalogueSite) -> None:
    later = {"startAt": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    job_id = await accepted(site.ann, PLATFORMS, json={"platforms": platforms(1)}, params=later)
    waiting = await site.ann.get(f"{PLATFORMS}/{job_id}/status")
    assert (waiting.json()["status"], waiting.headers["retry-after"]) == ("Pending", "30")
    cancelled = (await site.ann.delete(f"/api/imports/{job_id}")).json()
    assert (cancelled["status"], cancelled["startedAt"]) == ("Cancelled", None)
    # A time that has passed means at once; an unescaped plus of a zone arrives as a blank.
    for passed in ("2020-01-01T00:00:00Z", "0001-01-01T00:00:00%2B01:00", "2020-01-01T00:00:00+01:00"):
        job_id = await accepted(site.ann, f"{PLATFORMS}?startAt={passed}", json={"platforms": platforms(1)})
        assert (await settled(site.ann, job_id))["status"] == "Completed"


async def test_an_invalid_start_time_is_rejected(idle_site: CatalogueSite) -> None:
    for at in ("soon", "2026", "-1", "0", "2026-07-01", "2026-07-01T22:00:00", "2999-01-01T00:00:00Z"):
        answer = await idle_site.ann.post(PLATFORMS, json={"platforms": platforms(1)}, params={"startAt": at})
        assert list(assert_problem(answer, 400)["errors"]) == ["startAt"], at
