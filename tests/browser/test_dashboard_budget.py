"""What the dashboard costs a browser, and that its pages hold still."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import httpx
import pytest
from jobs_browser_site import JobsBrowserSite, serving_jobs
from playwright.sync_api import Browser, expect
from watched_page import is_live, watched

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobState

FIRST_VISIT_BYTES = 60_000
LAYOUT_SHIFT = 0.02
STREAM_BYTES_A_SECOND = 10_000
TRANSFERRED = """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
  .filter((one) => one.initiatorType !== "other").reduce((sum, one) => sum + one.transferSize, 0)"""
WATCH_SHIFTS = """
window.shifted = 0;
window.news = 0;
new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shifted += one.value; })
  .observe({ type: "layout-shift" });
delete window.SharedWorker;
window.EventSource = class extends EventSource {
  constructor(address) {
    super(address);
    this.addEventListener("fragment", () => { window.news += 1; });
  }
};
"""
SEEN_MILLISECONDS = 2_000
"""So long pages are watched after their first news: some looks of the stream."""


@pytest.fixture
def jobs_site(database_url: str) -> Iterator[JobsBrowserSite]:
    with serving_jobs(database_url) as site:
        yield site


def test_a_first_visit_transfers_little(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    with watched(browser, jobs_site) as watch:
        watch.page.goto(jobs_site.url, wait_until="load")
        is_live(watch.page)
        taken = watch.page.evaluate(TRANSFERRED)
        assert 10_000 < taken <= FIRST_VISIT_BYTES


def assert_still(
    browser: Browser,
    jobs_site: JobsBrowserSite,
    paths: Sequence[str],
    told: Sequence[str],
    work: Callable[[], BackgroundJobId],
) -> None:
    """Pages, each in its own browser, do not shift while updates arrive."""
    with ExitStack() as stack:
        pages = {path: stack.enter_context(watched(browser, jobs_site)).page for path in paths}
        for path, page in pages.items():
            page.add_init_script(WATCH_SHIFTS)
            page.goto(jobs_site.url + path)
            is_live(page)
        before = {path: page.evaluate("[shifted, news]") for path, page in pages.items()}
        jobs_site.do(jobs_site.site.reaches(work(), JobState.SUCCEEDED))
        for path in told:
            pages[path].wait_for_function("(before) => window.news > before", arg=before[path][1])
        page.wait_for_timeout(SEEN_MILLISECONDS)
        moved = {path: page.evaluate("shifted") - before[path][0] for path, page in pages.items()}
        assert {path: far for path, far in moved.items() if far > LAYOUT_SHIFT} == {}


def send_reports(jobs_site: JobsBrowserSite, count: int) -> BackgroundJobId:
    """Enqueue jobs; the last one."""
    calls = [jobs_site.site.send_report.call(f"user{number}@example.org") for number in range(count)]
    return jobs_site.do(jobs_site.jobs.enqueue_many(calls))[-1].id


def test_live_pages_do_not_shift_while_being_read(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    jobs_site.do(jobs_site.site.reaches(send_reports(jobs_site, 60), JobState.SUCCEEDED))
    assert_still(browser, jobs_site, ["", "jobs", "queues", "servers"], [""], lambda: send_reports(jobs_site, 30))


def test_pages_that_start_empty_do_not_shift_while_being_read(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    def work() -> BackgroundJobId:
        jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.strict, "no row 7"))
        jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.flaky, "no answer"))
        return send_reports(jobs_site, 30)

    paths = ["", "jobs", "jobs?state=succeeded", "queues", "tasks", "failures", "retries"]
    assert_still(browser, jobs_site, paths, paths, work)


def test_live_updates_transfer_little(jobs_site: JobsBrowserSite) -> None:
    call = jobs_site.site.send_report.call("ada@example.org")
    jobs_site.do(jobs_site.jobs.enqueue_many([call] * 300))

    async def trade(are_watched: asyncio.Barrier) -> None:
        await are_watched.wait()
        for _ in range(25):
            await jobs_site.jobs.enqueue_many([call] * 10)
            await asyncio.sleep(0.2)

    async def receive(path: str, are_watched: asyncio.Barrier, trading: "asyncio.Task[None]") -> float:
        headers = {"accept-encoding": "gzip"}
        async with (
            httpx.AsyncClient(timeout=60, trust_env=False) as client,
            client.stream("GET", f"{jobs_site.url}live/", params={"watch": path}, headers=headers) as answer,
        ):
            chunks = answer.aiter_raw()
            # What a page begins with is not counted.
            await anext(chunks)
            await anext(chunks)
            await are_watched.wait()
            began, received = time.monotonic(), 0
            async for chunk in chunks:
                received += len(chunk)
                if trading.done():
                    break
            return received / (time.monotonic() - began)

    async def receive_all(*paths: str) -> dict[str, float]:
        are_watched = asyncio.Barrier(len(paths) + 1)
        trading = asyncio.create_task(trade(are_watched))
        return dict(
            zip(paths, await asyncio.gather(*(receive(path, are_watched, trading) for path in paths)), strict=True)
        )

    taken = jobs_site.do(receive_all("", "jobs?size=200", "queues"))
    assert {path: rate for path, rate in taken.items() if rate > STREAM_BYTES_A_SECOND} == {}


def test_chosen_time_zone_and_density_apply_to_every_page(browser: Browser, jobs_site: JobsBrowserSite) -> None:
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
