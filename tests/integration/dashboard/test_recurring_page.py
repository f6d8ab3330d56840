"""Recurring jobs, as they are shown and steered."""

from collections.abc import AsyncIterator

import pytest
from dashboard_forms import Operator, operating

from bulkport.jobs import JobState


@pytest.fixture
async def operator(database_url: str) -> AsyncIterator[Operator]:
    async with operating(database_url) as one:
        await one.jobs.recurring.add_or_update(
            "nightly", one.site.send_report.call("all@example.org"), cron="0 3 * * *", timezone="Europe/Berlin"
        )
        yield one


async def test_the_schedule_and_the_last_run_are_shown(operator: Operator) -> None:
    site = operator.site
    page = await operator.page("recurring")
    assert "At 03:00 every day (Europe/Berlin)" in page
    assert "0 3 * * *" in page
    assert "not yet" in page
    job_id = await site.jobs.recurring.trigger("nightly")
    async with site.worker():
        await site.reaches(job_id, JobState.SUCCEEDED)
    page = await operator.page("recurring")
    assert f'href="./jobs/{job_id}"' in page
    assert "Succeeded" in page
    assert await operator.rows("jobs?recurring=nightly") == [int(job_id)]
    await site.jobs.recurring.trigger("nightly")
    page = await operator.page("recurring")
    assert 'aria-label="Last 2 runs: 0 failed"' in page
    assert f'class="dot ok" title="job {job_id}: succeeded"' in page


async def test_a_recurring_job_can_be_triggered_paused_resumed_and_removed(operator: Operator) -> None:
    fields = {"recurring": "nightly"}
    await operator.press("recurring/trigger", fields, back="recurring")
    assert operator.led_to == "../../jobs/1"
    assert await operator.said("recurring/pause", fields, back="recurring") == "Paused nightly."
    page = await operator.page("recurring")
    assert "Paused" in page
    assert "Resume" in page
    assert (await operator.said("recurring/resume", fields, back="recurring")).startswith(
        "Resumed nightly; next run in "
    )
    assert await operator.said("recurring/remove", fields, back="recurring") == "Removed nightly."
    assert operator.question == "Remove recurring job nightly? Its past jobs are kept."
    assert "No recurring jobs" in await operator.page("recurring")
    assert await operator.said("recurring/remove", fields, back="recurring") == "nightly was already removed."
    assert await operator.said("recurring/pause", fields, back="recurring") == "Recurring job nightly no longer exists."
    assert await operator.said("recurring/pause", {}, back="recurring") == "No recurring job selected."


async def test_recurring_jobs_are_searched_and_paged(operator: Operator) -> None:
    for number in range(3):
        await operator.jobs.recurring.add_or_update(f"clean-{number}", operator.site.wait.call("g"), cron="@daily")
    page = await operator.page("recurring?text=night")
    assert 'id="recurring-nightly"' in page
    assert 'id="recurring-clean-0"' not in page
    assert "No matching recurring jobs" in await operator.page("recurring?text=nothing")
    for field in ("text", "cursor"):
        assert "cannot contain that character" in await operator.page(f"recurring?{field}=%00", status=400)
    page = await operator.page("recurring?size=2")
    assert 'id="recurring-clean-1"' in page
    assert 'id="recurring-clean-2"' not in page
    page = await operator.page("recurring?size=2&cursor=clean-1")
    assert 'id="recurring-clean-2"' in page
    assert 'rel="next"' not in page
