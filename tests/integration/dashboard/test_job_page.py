"""The page of one job."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator

import pytest
from dashboard_forms import Operator, operating
from live_client import until, watch

from bulkport.dashboard import JobFormat
from bulkport.dashboard.core.sse.hub import Hub
from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs import JobContext, JobState
from bulkport.jobs.port.details import JobStack
from dashboard_site import FixedAccess, browser_of
from each_case import case
from jobs_dashboard_site import open_jobs_site


@pytest.fixture
async def operator(database_url: str) -> AsyncIterator[Operator]:
    async with operating(database_url) as one:
        yield one


def steps(page: str) -> list[str]:
    return re.findall(r"<li class=\"\w*\"><div><strong>([^<]+)</strong>", page)


async def test_a_failed_job_shows_why(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.enqueue(site.strict.options(user_id="alice").call("no <recipient>"))
    async with site.worker(name="worker-a"):
        await site.reaches(job_id, JobState.FAILED)
    page = await operator.page(f"jobs/{job_id}")
    assert "strict(reason=&#34;no &lt;recipient&gt;&#34;" in page
    assert "hunter2" not in page
    assert "Traceback (most recent call last):" in page
    assert "ValueError: no &lt;recipient&gt;" in page
    assert "worker-a" in page
    assert 'user=alice"><code>alice</code></a>' in page
    assert steps(page) == ["Failed", "Created"]
    assert re.search(r"<details id=\"traceback-1\" open>", page)


async def test_the_result_and_log_of_a_job_are_shown_masked(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.enqueue(site.send_report, "ada@example.org")
    async with site.worker():
        await site.reaches(job_id, JobState.SUCCEEDED)
    page = await operator.page(f"jobs/{job_id}")
    assert "sent to ada@example.org" in page
    assert "&#34;sent&#34;: 1" in page
    assert "a-secret" not in page
    assert steps(page) == ["Succeeded", "Created"]
    assert "await jobs.enqueue(" in page


async def test_a_job_links_to_everything_it_belongs_to(operator: Operator) -> None:
    site = operator.site
    parent = await site.jobs.enqueue(site.wait, "gate")
    child = await site.jobs.continue_with(parent, site.send_report.call("next"), on="failed")
    async with site.jobs.batch("July") as batch:
        batch.add(site.send_report.call("b"))
    await site.jobs.recurring.add_or_update("nightly", site.send_report.call("n"), cron="0 3 * * *")
    recurring = await site.jobs.recurring.trigger("nightly")
    page = await operator.page(f"jobs/{parent}")
    assert f'<tr data-row id="child-{child}">' in page
    assert "once this job has failed" in page
    assert f'<tr data-row id="parent-{parent}">' in await operator.page(f"jobs/{child}")
    (in_batch,) = await operator.rows("jobs?batch=1")
    page = await operator.page(f"jobs/{in_batch}")
    assert "July" in page
    assert "0 of 1 finished" in page
    page = await operator.page(f"jobs/{recurring}")
    assert 'href="../recurring/nightly"' in page
    assert "by recurring job nightly" in page


async def test_a_running_job_updates_live(database_url: str) -> None:
    async with open_jobs_site(database_url) as (site, pool):
        job_id = await site.jobs.enqueue(site.wait, "gate")
        app = site.build(pool, FixedAccess(), hub=Hub(is_stopping=lambda: False))
        async with site.worker(), watch(app, f"jobs/{job_id}") as viewer:
            await until(lambda: "3 of 10 · reading pages" in "".join(viewer.fragments("live_work")), "progress")
            await site.open_gate("gate")
            await until(lambda: "10 of 10 · all read" in "".join(viewer.fragments("live_work")), "its end")
            await until(lambda: "Run job again" in viewer.fragments("live_job_head")[-1], "its buttons")
            await until(lambda: "Succeeded" in viewer.fragments("live_history")[-1], "its history")


async def test_a_running_job_can_be_asked_to_stop(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.enqueue(site.wait, "never")
    async with site.worker():
        await site.reaches(job_id, JobState.PROCESSING)
        page = f"jobs/{job_id}"
        said = await operator.said("jobs/cancel", {"id": job_id}, back=page)
        assert said == f"Asked job {job_id} to stop."
        assert operator.question == f"Cancel job {job_id}?"
        await site.reaches(job_id, JobState.CANCELLED)
    said = await operator.said("jobs/cancel", {"id": job_id}, back=page)
    assert said == f"Job {job_id} has already finished."
    assert await operator.said("jobs/requeue", {"id": job_id}, back=page) == f"Requeued job {job_id}."


async def test_a_succeeded_job_is_run_again_as_a_new_one(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.enqueue(site.send_report, "ada")
    async with site.worker():
        await site.reaches(job_id, JobState.SUCCEEDED)
    await operator.press("jobs/requeue", {"id": job_id}, back=f"jobs/{job_id}", confirm=False)
    new = operator.led_to.rpartition("/")[2]
    assert new != job_id
    assert f"copy of job {job_id}" in await operator.page(f"jobs/{new}")
    assert f'href="../jobs/{new}"' in await operator.page(f"jobs/{job_id}")
    assert await operator.said("jobs/delete", {"id": job_id}, back=f"jobs/{job_id}") == f"Deleted job {job_id}."


async def test_a_scheduled_job_can_be_run_now(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.schedule(site.send_report, "ada", in_=3600)
    assert "Run job now" in await operator.page(f"jobs/{job_id}")
    await operator.said("jobs/run-now", {"id": job_id}, back=f"jobs/{job_id}")
    assert await operator.rows("jobs?state=enqueued") == [int(job_id)]


async def test_large_arguments_are_omitted_from_lists_and_shown_on_the_job_page(operator: Operator) -> None:
    site = operator.site
    text = "".join(f"{number:08}" for number in range(20_000))
    job_id = await site.jobs.enqueue(site.send_report, text)
    assert "00000001" not in await operator.page("jobs")
    assert "00000001" in await operator.page(f"jobs/{job_id}")


async def test_an_unknown_job_is_reported(operator: Operator) -> None:
    for number in ["999", str(MAX_BIGINT), str(MAX_BIGINT + 1), "9" * 30]:
        with case(number):
            assert "not found. Finished jobs are removed" in await operator.page(f"jobs/{number}", status=404)


async def test_a_long_log_shows_its_end_first(operator: Operator) -> None:
    site = operator.site

    @site.jobs.task(name="chatter")
    def chatter(context: JobContext) -> None:
        for number in range(1_200):
            context.log(f"line number {number}")

    job_id = await site.jobs.enqueue(chatter)
    async with site.worker():
        await site.reaches(job_id, JobState.SUCCEEDED)
    page = await operator.page(f"jobs/{job_id}")
    assert "only the first 1,000 lines of a job are kept" in page
    assert "line number 0<" not in page
    page = await operator.page(f"jobs/{job_id}?lines=all")
    assert "line number 1<" in page


async def test_the_stack_of_a_running_job_is_read_from_its_worker(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.enqueue(site.wait, "gate")
    async with site.worker():
        await site.reaches(job_id, JobState.PROCESSING)
        back = f"jobs/{job_id}"
        assert "Asked the worker" in await operator.said("jobs/stack", {"id": str(job_id)}, back=back)
        stack = await _answered(operator, job_id)
        assert (stack.run, stack.asked_by, stack.profile) == (1, "ann", None)
        assert re.search(r'jobs_dashboard_site.py", line \d+, in .*wait\n', stack.stack or "")
        assert "hunter2" not in (stack.stack or "")
        page = await operator.page(back)
        assert re.search(r"asked for by ann.*jobs_dashboard_site\.py:\d+.*library frame", page, re.DOTALL)
        answer = await operator.said("jobs/profile", {"id": str(job_id), "seconds": "1"}, back=back)
        assert answer == f"Profiling job {job_id} for 1 s."
        stack = await _answered(operator, job_id)
        assert re.search(r"wait \(\S+jobs_dashboard_site\.py:\d+\).* \d+\n", stack.profile or "")
        assert "Download profile" in await operator.page(back)
        assert await operator.page(f"jobs/{job_id}/profile.folded") == stack.profile
        await operator.page("jobs/999/profile.folded", status=404)
        await site.open_gate("gate")
        await site.reaches(job_id, JobState.SUCCEEDED)
    assert await operator.said("jobs/stack", {"id": str(job_id)}, back=back) == f"Job {job_id} is not running."
    assert await operator.said("jobs/profile", {"id": str(job_id), "seconds": "99"}, back=back) == (
        "Enter a number of seconds from 1 to 60."
    )


async def _answered(operator: Operator, job_id: BackgroundJobId) -> JobStack:
    async with asyncio.timeout(60):
        while True:
            details = await operator.jobs.details(job_id)
            assert details is not None
            assert details.stack is not None
            if details.stack.taken_at is not None:
                return details.stack
            await asyncio.sleep(0.05)


async def test_an_application_formats_its_jobs_and_their_links(database_url: str) -> None:
    shown = JobFormat(
        arguments=lambda job: f"<b>report</b> for {job.args and job.args['recipient']}",
        result=lambda job, result: f"{result}"[:9],
        links=lambda job: {"Mailbox": f"https://mail.example/{job.args and job.args['recipient']}"},
    )
    async with open_jobs_site(database_url) as (site, pool):
        app = site.build(pool, FixedAccess(), job_format=shown, links={"Shop": "https://shop.example/"})
        async with browser_of(app) as browser:
            operator = Operator(site, browser)
            (job_id,) = await operator.ended([site.send_report.call("ada")], JobState.SUCCEEDED)
            listed = await operator.page("jobs")
            assert "&lt;b&gt;report&lt;/b&gt; for ada</span>" in listed
            assert '<a class="btn bare" href="https://shop.example/">Shop</a>' in listed
            page = await operator.page(f"jobs/{job_id}")
            assert "send_report: &lt;b&gt;report&lt;/b&gt; for ada" in page
            assert '<a href="https://mail.example/ada" rel="noreferrer">Mailbox</a>' in page
            assert "{&#39;sent&#39;:</p>" in page


async def test_a_similar_job_keeps_masked_arguments_and_applies_changes(operator: Operator) -> None:
    site = operator.site
    job_id = await site.jobs.enqueue(site.strict.options(priority=3).call("no row", password="open-sesame"))
    back = f"jobs/new?like={job_id}"
    page = await operator.page(back)
    assert "no row" in page
    assert "open-sesame" not in page
    args = '{"reason": "another row", "password": "••••••"}'
    said = await operator.said(
        "jobs/enqueue", {"task": "strict", "args": args, "priority": "4", "like": str(job_id)}, back=back
    )
    new = int(re.search(r"job (\d+)", said)[1])  # type: ignore[index]
    details = await operator.jobs.details(BackgroundJobId(str(new)))
    assert details is not None
    assert details.job.args == {"reason": "another row", "password": "open-sesame"}
    assert details.job.priority == 4
    said = await operator.said("jobs/enqueue", {"task": "strict", "args": args}, back="jobs/new")
    assert said == "Replace ••••••: it stands for a hidden value."
    assert "another row" in await operator.page(operator.led_to.removeprefix("../../"))


async def test_arguments_too_large_for_a_page_are_downloaded(operator: Operator) -> None:
    site = operator.site
    # Digests do not compress: what counts is the room that they take as they are stored.
    large = "".join(hashlib.sha256(bytes([number % 256, number // 256])).hexdigest() for number in range(3_000))
    job_id = await site.jobs.enqueue(site.strict.call(large, password="open-sesame"))
    assert await operator.rows("jobs?task=strict") == [int(job_id)]
    page = await operator.page(f"jobs/{job_id}")
    assert "The arguments are too large for a page" in page
    assert large[:100] not in page
    found = json.loads(await operator.page(f"jobs/{job_id}/arguments.json"))
    assert found == {"reason": large, "password": "••••••"}
    await operator.page("jobs/999/arguments.json", status=404)
