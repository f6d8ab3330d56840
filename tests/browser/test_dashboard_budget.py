"""What the dashboard costs a browser, and that its pages hold still."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest
from jobs_browser_site import JobsBrowserSite, serving_jobs
from playwright.sync_api import Browser, Page, expect
from watched_page import watched

from bulkport.jobs import JobState

FIRST_VISIT_BYTES = 60_000
LAYOUT_SHIFT = 0.02
STREAM_BYTES_A_SECOND = 10_000
TRANSFERRED = """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
  .filter((one) => one.initiatorType !== "other").reduce((sum, one) => sum + one.transferSize, 0)"""
WATCH_SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shifted += one.value; })
    .observe({ type: "layout-shift" });
}"""


@pytest.fixture
def jobs_site(database_url: str) -> Iterator[JobsBrowserSite]:
    with serving_jobs(database_url) as site:
        yield site


def is_live(page: Page) -> None:
    expect(page.locator(".live")).to_have_attribute("data-state", "on")


def test_a_first_visit_takes_little(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    with watched(browser, jobs_site) as watch:
        watch.page.goto(jobs_site.url, wait_until="load")
        is_live(watch.page)
        taken = watch.page.evaluate(TRANSFERRED)
        assert 10_000 < taken <= FIRST_VISIT_BYTES


@pytest.mark.parametrize("path", ["", "jobs", "queues", "servers"])
def test_live_pages_move_nothing_that_is_read(browser: Browser, jobs_site: JobsBrowserSite, path: str) -> None:
    calls = [jobs_site.site.send_report.call(f"user{number}@example.org") for number in range(60)]
    for job in jobs_site.do(jobs_site.jobs.enqueue_many(calls)):
        jobs_site.do(jobs_site.site.reaches(job.id, JobState.SUCCEEDED))
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + path)
        is_live(page)
        page.evaluate(WATCH_SHIFTS)
        last = "0"
        for number in range(30):
            last = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.send_report, f"user{number}@example.org"))
        jobs_site.do(jobs_site.site.reaches(last, JobState.SUCCEEDED))
        page.wait_for_timeout(3_000)  # three looks of the stream
        assert page.evaluate("window.shifted") <= LAYOUT_SHIFT


@pytest.mark.parametrize("path", ["", "jobs", "jobs?state=succeeded", "queues", "tasks", "failures", "retries"])
def test_pages_that_begin_empty_move_nothing_that_is_read(
    browser: Browser, jobs_site: JobsBrowserSite, path: str
) -> None:
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + path)
        is_live(page)
        page.evaluate(WATCH_SHIFTS)
        last = "0"
        for number in range(30):
            last = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.send_report, f"user{number}@example.org"))
        jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.strict, "no row 7"))
        jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.flaky, "no answer"))
        jobs_site.do(jobs_site.site.reaches(last, JobState.SUCCEEDED))
        page.wait_for_timeout(4_000)  # some looks of the stream
        assert page.evaluate("window.shifted") <= LAYOUT_SHIFT


@pytest.mark.parametrize("path", ["", "jobs?size=200", "queues"])
def test_live_updates_take_little(jobs_site: JobsBrowserSite, path: str) -> None:
    call = jobs_site.site.send_report.call("ada@example.org")
    jobs_site.do(jobs_site.jobs.enqueue_many([call] * 300))

    async def trade() -> None:
        for _ in range(25):
            await jobs_site.jobs.enqueue_many([call] * 10)
            await asyncio.sleep(0.2)

    async def receive() -> float:
        headers = {"accept-encoding": "gzip"}
        async with (
            httpx.AsyncClient(timeout=60, trust_env=False) as client,
            client.stream("GET", f"{jobs_site.url}live/", params={"watch": path}, headers=headers) as answer,
        ):
            chunks = answer.aiter_raw()
            # What a page begins with is not counted.
            await anext(chunks)
            await anext(chunks)
            trading, began, received = asyncio.create_task(trade()), time.monotonic(), 0
            async for chunk in chunks:
                received += len(chunk)
                if trading.done():
                    break
            return received / (time.monotonic() - began)

    assert jobs_site.do(receive()) <= STREAM_BYTES_A_SECOND


def test_times_and_density_are_as_chosen_on_every_page(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.send_report, "ada@example.org"))
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + "jobs")
        is_live(page)
        page.get_by_role("button", name="UTC", exact=True).click()
        page.get_by_role("button", name="Compact").click()
        expect(page.locator("tr[data-row] time").first).to_contain_text("UTC")
        page.goto(jobs_site.url + "jobs?state=succeeded")
        expect(page.locator("html")).to_have_attribute("data-density", "compact")
        expect(page.locator("tr[data-row] time").first).to_contain_text("UTC")
