"""A bulk operation in a real browser: it continues by itself, can be paused, and works without JavaScript."""

import re
from collections.abc import Iterator

import psycopg
import pytest
from jobs_browser_site import JobsBrowserSite, serving_jobs
from playwright.sync_api import Browser, Page, expect
from watched_page import Theme, assert_accessible, assert_fits, is_live, watched

from bulkport.dashboard.pages import bulk_operation_store, job_search
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobQuery, JobState


@pytest.fixture
def jobs_site(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsBrowserSite]:
    """A site where a request does ten jobs of an order."""
    monkeypatch.setattr(job_search, "MOST_JOBS_A_PAGE", 10)
    monkeypatch.setattr(bulk_operation_store, "MOST_SECONDS_WAITED", 1)
    with serving_jobs(database_url, step_seconds=0) as site:
        yield site


def schedule(site: JobsBrowserSite, count: int) -> list[BackgroundJobId]:
    task = site.site.send_report
    return [site.do(site.jobs.schedule(task, f"to {number}", in_=3600 + number)) for number in range(count)]


def order_all_deleted(page: Page, site: JobsBrowserSite) -> None:
    page.goto(f"{site.url}jobs?state=scheduled&size=25")
    page.get_by_role("button", name=re.compile("^Delete all")).click()
    page.get_by_role("button", name="Delete jobs", exact=True).click()


def test_a_bulk_operation_continues_by_itself_and_shows_its_progress(
    browser: Browser, jobs_site: JobsBrowserSite
) -> None:
    schedule(jobs_site, 45)
    with watched(browser, jobs_site) as watch:  # type: ignore[arg-type]
        page = watch.page
        order_all_deleted(page, jobs_site)
        expect(page).to_have_url(f"{jobs_site.url}bulk-operations/1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Delete all scheduled jobs")
        expect(page.locator(".order")).to_contain_text("Done: 45 jobs")
        expect(page.locator(".order")).to_contain_text("45 jobs deleted.")
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)
        watch.assert_clean()
    assert jobs_site.do(jobs_site.jobs.count(JobQuery(states={JobState.SCHEDULED}))).jobs == 0


def test_a_bulk_operation_can_be_paused_and_resumed(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    ids = schedule(jobs_site, 45)
    with watched(browser, jobs_site) as watch, psycopg.connect(jobs_site.site.url) as other:  # type: ignore[arg-type]
        page = watch.page
        # The third step waits for this job, gives up, and is tried again.
        other.execute("SELECT FROM bulkport.jobs WHERE job_id = %s FOR UPDATE", [int(ids[25])])
        order_all_deleted(page, jobs_site)
        expect(page.locator(".order")).to_contain_text("20 of 45 jobs")
        expect(page.get_by_role("button", name="Continue")).to_be_hidden()
        expect(page.get_by_text("Keep this page open until it is done.")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".order")).to_contain_text("Stopped after 20 of 45 jobs")
        other.rollback()
        page.reload()
        expect(page.locator(".order")).to_contain_text("Stopped after 20 of 45 jobs")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".order")).to_contain_text("Done: 45 jobs")


def test_a_bulk_operation_resumes_when_the_server_is_back(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    ids = schedule(jobs_site, 28)
    with watched(browser, jobs_site) as watch, psycopg.connect(jobs_site.site.url) as other:  # type: ignore[arg-type]
        page = watch.page
        other.execute("SELECT FROM bulkport.jobs WHERE job_id = %s FOR UPDATE", [int(ids[15])])
        with page.expect_response(lambda answer: answer.status == 503):
            order_all_deleted(page, jobs_site)
        expect(page.locator(".order")).to_contain_text("10 of 28 jobs")
        other.rollback()
        expect(page.locator(".order")).to_contain_text("Done: 28 jobs")


def test_a_bulk_operation_continues_by_a_button_without_javascript(
    browser: Browser, jobs_site: JobsBrowserSite
) -> None:
    schedule(jobs_site, 35)
    with watched(browser, jobs_site, java_script_enabled=False) as watch:  # type: ignore[arg-type]
        page = watch.page
        order_all_deleted(page, jobs_site)
        expect(page.locator(".order")).to_contain_text("10 of 35 jobs")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".order")).to_contain_text("20 of 35 jobs")
        page.reload()
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".order")).to_contain_text("Done: 35 jobs")
        watch.assert_clean()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible_and_fits_every_width(
    browser: Browser, jobs_site: JobsBrowserSite, theme: Theme
) -> None:
    schedule(jobs_site, 35)
    with watched(browser, jobs_site, width=360, theme=theme, java_script_enabled=False) as watch:  # type: ignore[arg-type]
        order_all_deleted(watch.page, jobs_site)
        watch.page.get_by_role("button", name="Stop").click()
        expect(watch.page.locator(".order")).to_contain_text("Stopped after 10 of 35 jobs")
    with watched(browser, jobs_site, theme=theme) as watch:  # type: ignore[arg-type]
        watch.page.goto(f"{jobs_site.url}bulk-operations/1")
        is_live(watch.page)
        for width in (360, 1360):
            assert_fits(watch.page, width, "the order")
            assert_accessible(watch.page, theme, "the order")
        watch.assert_clean()
