"""The dashboard's JSON API."""

import json
from collections.abc import AsyncIterator

import pytest
from parts_site import PartsSite, open_parts

from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Section
from bulkport.dashboard.pages.api import api_downloads
from bulkport.dashboard.pages.attention import Attention
from bulkport.jobs import JobState
from jobs_dashboard_site import JobsSite


async def no_attention() -> list[Attention]:
    return [Attention(code="queue_paused", subject="mail", text="Queue mail is paused")]


def api_component(site: JobsSite) -> Component:
    return Component(
        section=Section("api", "API", ""), pages=[], downloads=api_downloads(site.jobs, Masking(), no_attention)
    )


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[PartsSite]:
    async with open_parts(database_url, lambda site, _: [api_component(site)]) as site:
        yield site


async def test_the_api_returns_what_the_pages_show(site: PartsSite) -> None:
    failed = await site.jobs.enqueue(site.site.strict, "no row 7")
    async with site.site.worker():
        await site.site.reaches(failed, JobState.FAILED)
    listed = json.loads(await site.page("api/v1/jobs?state=failed"))
    assert [job["id"] for job in listed["jobs"]] == [failed]
    assert "hunter2" not in json.dumps(listed)
    job = json.loads(await site.page(f"api/v1/jobs/{failed}"))
    assert job["state"] == "failed"
    assert job["attempts"][0]["errorType"] == "ValueError"
    (group,) = json.loads(await site.page("api/v1/failures"))["failures"]
    assert (group["task"], group["jobs"], group["message"]) == ("strict", 1, "no row …")
    assert json.loads(await site.page("api/v1/attention"))["attention"][0]["code"] == "queue_paused"
    for path in ("queues", "servers", "recurring", "tasks"):
        assert path in json.loads(await site.page(f"api/v1/{path}"))
    assert "/jobs/{job_id}" in json.loads(await site.page("api/v1/openapi.json"))["paths"]


async def test_errors_are_json(site: PartsSite) -> None:
    assert json.loads(await site.page("api/v1/jobs/999", status=404))["status"] == 404
    problem = json.loads(await site.page("api/v1/jobs?since=never", status=400))
    assert "Enter a date like" in problem["detail"]
    problem = json.loads(await site.page("api/v1/jobs?q=task:strict", status=400))
    assert problem["detail"].startswith('Unknown query parameter "q"; known are: state, ')
    assert "Job 999 not found" in json.loads(await site.page("api/v1/jobs/999", status=404))["detail"]
