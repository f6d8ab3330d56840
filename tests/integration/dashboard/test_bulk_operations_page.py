"""Bulk operations on all matching jobs: one step per request, each job once, with progress shown and audited."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from dashboard_forms import Operator, operating

from bulkport.dashboard import Role, Viewer
from bulkport.dashboard.pages import job_search
from bulkport.dashboard.pages.bulk_operation_store import BulkOperationStore
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobQuery, JobState
from dashboard_site import FixedAccess

ACCESS = FixedAccess()


@pytest.fixture
async def operator(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    """A dashboard whose bulk operations handle ten jobs per request."""
    monkeypatch.setattr(job_search, "MOST_JOBS_A_PAGE", 10)
    monkeypatch.setattr(job_search, "_READ_A_PAGE", 10)
    ACCESS.current = Viewer("ann", Role.OPERATOR)
    async with operating(database_url, ACCESS, step_seconds=0) as one:
        yield one


async def enqueue(operator: Operator, count: int) -> list[BackgroundJobId]:
    site = operator.site
    return [job.id for job in await site.jobs.enqueue_many([site.wait.call(f"g{n}") for n in range(count)])]


async def succeeded(operator: Operator, count: int) -> list[BackgroundJobId]:
    call = operator.site.send_report.call
    return await operator.ended([call(f"to {n}") for n in range(count)], JobState.SUCCEEDED)


async def begin(operator: Operator, action: str, back: str) -> str:
    """Give an order for all of a list; where its page is."""
    await operator.press(action, {"all": "jobs"}, back=back)
    found = re.search(r"bulk-operations/(\d+)$", operator.led_to)
    assert found is not None, operator.led_to
    return found[1]


async def step(operator: Operator, action: str, order: str) -> str:
    """Press a button on the page of a bulk operation and return the next page's message."""
    await operator.press(action, {"operation": order}, back=f"bulk-operations/{order}")
    return await told(operator, order)


async def told(operator: Operator, order: str) -> str:
    page = await operator.page(f"bulk-operations/{order}")
    found = re.search(r'<div class="pad order">(.*?)</div>', page, re.DOTALL)
    assert found is not None
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found[1])).split())


async def audit(operator: Operator) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(operator.site.url) as connection:
        found = await connection.execute("SELECT actor, action, target, outcome FROM bulkport.audit ORDER BY id")
        return await found.fetchall()


async def states(operator: Operator, state: JobState) -> int:
    return (await operator.jobs.count(JobQuery(states={state}))).jobs


async def test_a_bulk_operation_on_many_jobs_continues_across_requests(operator: Operator) -> None:
    await enqueue(operator, 25)
    order = await begin(operator, "jobs/delete", "jobs?state=enqueued&task=wait")
    assert operator.question == "Delete all 25 enqueued wait jobs?"
    page = await operator.page(f"bulk-operations/{order}")
    assert "<h1>Delete all enqueued wait jobs</h1>" in page
    assert (await told(operator, order)).startswith("10 of 25 jobs 10 jobs deleted. Started by ann now")
    assert (await states(operator, JobState.CANCELLED), await states(operator, JobState.ENQUEUED)) == (10, 15)
    entry = ("ann", "jobs/delete", "enqueued wait jobs")
    assert await audit(operator) == [(*entry, "10 of 25 jobs: 10 jobs deleted.")]
    assert (await step(operator, "bulk-operations/continue", order)).startswith("20 of 25 jobs 20 jobs deleted.")
    assert (await step(operator, "bulk-operations/continue", order)).startswith("Done: 25 jobs 25 jobs deleted.")
    assert (await step(operator, "bulk-operations/continue", order)).startswith("Done: 25 jobs 25 jobs deleted.")
    assert await audit(operator) == [(*entry, "25 jobs deleted.")]
    assert "bulk-operations/continue" not in await operator.page(f"bulk-operations/{order}")
    assert f'href="./bulk-operations/{order}"' in await operator.page("audit")


async def test_a_bulk_operation_that_finishes_at_once_reports_on_its_own_page(operator: Operator) -> None:
    await enqueue(operator, 9)
    assert await operator.said("jobs/delete", {"all": "jobs"}, back="jobs?state=enqueued") == "9 jobs deleted."
    assert operator.led_to == "../../jobs?state=enqueued"


async def test_a_paused_bulk_operation_stays_paused_until_it_is_resumed(operator: Operator) -> None:
    await enqueue(operator, 25)
    order = await begin(operator, "jobs/delete", "jobs?state=enqueued")
    assert (await step(operator, "bulk-operations/stop", order)).startswith(
        "Stopped after 10 of 25 jobs 10 jobs deleted."
    )
    assert [entry[3] for entry in await audit(operator)] == ["Stopped. 10 of 25 jobs: 10 jobs deleted."]
    # A page that goes on by itself may ask for one more step.
    assert (await step(operator, "bulk-operations/continue", order)).startswith("Stopped after 10 of 25 jobs")
    assert await states(operator, JobState.ENQUEUED) == 15
    assert (await step(operator, "bulk-operations/resume", order)).startswith("20 of 25 jobs")


async def test_jobs_that_match_later_are_not_affected(operator: Operator) -> None:
    ids = await enqueue(operator, 35)
    for job_id in ids[:25]:
        await operator.jobs.cancel(job_id)
    order = await begin(operator, "jobs/requeue", "jobs?state=cancelled")
    # One that was requeued, and some that had not been cancelled.
    for job_id in (ids[0], *ids[25:]):
        await operator.jobs.cancel(job_id)
    await step(operator, "bulk-operations/continue", order)
    assert (await step(operator, "bulk-operations/continue", order)).startswith("Done: 25 jobs 25 jobs requeued.")
    assert await states(operator, JobState.CANCELLED) == 11


async def test_concurrent_steps_act_on_each_job_once(operator: Operator) -> None:
    ids = await succeeded(operator, 45)
    order = await begin(operator, "jobs/requeue", "jobs?state=succeeded")
    for _ in range(4):
        # Whoever finds that another has gone on meanwhile leaves it at that.
        await asyncio.gather(*(step(operator, "bulk-operations/continue", order) for _ in range(3)))
    assert (await told(operator, order)).startswith("Done: 45 jobs 45 jobs enqueued again.")
    for job_id in ids:
        details = await operator.jobs.details(job_id)
        assert details is not None
        assert len(details.copies) == 1, job_id


async def test_a_failed_step_is_rolled_back(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    await succeeded(operator, 25)
    advance = BulkOperationStore.advance

    async def break_down(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(BulkOperationStore, "advance", break_down)
    order = await begin(operator, "jobs/requeue", "jobs?state=succeeded")
    assert (await told(operator, order)).startswith("0 of 25 jobs Not started yet.")
    assert await states(operator, JobState.ENQUEUED) == 0
    monkeypatch.setattr(BulkOperationStore, "advance", advance)
    await step(operator, "bulk-operations/continue", order)
    await step(operator, "bulk-operations/continue", order)
    assert (await step(operator, "bulk-operations/continue", order)).startswith("Done: 25 jobs 25 jobs enqueued again.")
    assert await states(operator, JobState.ENQUEUED) == 25


async def test_a_bulk_operation_submitted_twice_runs_once(operator: Operator) -> None:
    await enqueue(operator, 45)
    back = "jobs?state=enqueued"
    said = await operator.send_twice("jobs/delete", {"all": "jobs", "filter": "state=enqueued"}, back=back)
    assert said == "Already done: 10 of 45 jobs: 10 jobs deleted."
    assert len(await audit(operator)) == 1
    assert await states(operator, JobState.CANCELLED) == 10


async def test_only_the_user_who_started_a_bulk_operation_can_continue_it(operator: Operator) -> None:
    await enqueue(operator, 25)
    order = await begin(operator, "jobs/delete", "jobs?state=enqueued")
    ACCESS.current = Viewer("bob", Role.OPERATOR)
    assert "bulk-operations/stop" not in await operator.page(f"bulk-operations/{order}")
    for action in ("bulk-operations/continue", "bulk-operations/stop", "bulk-operations/resume"):
        said = await operator.said(action, {"operation": order}, back=f"bulk-operations/{order}")
        assert said == "Only ann, who started this, can continue or stop it."
    ACCESS.current = Viewer("ann", Role.READ_ONLY)
    token = await operator.page(f"bulk-operations/{order}")
    assert "bulk-operations/stop" not in token
    ACCESS.current = Viewer("ann", Role.OPERATOR)
    assert (await told(operator, order)).startswith("10 of 25 jobs")
    assert "No bulk operation selected." in await operator.press("bulk-operations/continue", {}, back="jobs")
    assert "Bulk operation 999 not found." in await operator.page("bulk-operations/999", status=404)


async def test_a_bulk_operation_by_text_skips_jobs_whose_match_is_masked(operator: Operator) -> None:
    site = operator.site
    hidden = [job.id for job in await site.jobs.enqueue_many([site.strict.call("x", password="sesame")] * 12)]
    spoken = [job.id for job in await site.jobs.enqueue_many([site.strict.call("sesame")] * 12)]
    order = await begin(operator, "jobs/delete", "jobs?text=sesame")
    assert operator.question == "Delete all 12 jobs (text: sesame)?"
    assert (await told(operator, order)).startswith("0 of 12 jobs")
    await step(operator, "bulk-operations/continue", order)
    assert (await step(operator, "bulk-operations/continue", order)).startswith("Done: 12 jobs 12 jobs deleted.")
    for ids, state in ((hidden, JobState.ENQUEUED), (spoken, JobState.CANCELLED)):
        for job_id in ids:
            details = await site.jobs.details(job_id)
            assert details is not None
            assert details.job.state is state
