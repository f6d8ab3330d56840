"""How few presses an operator's tasks take, with a pointer and by keyboard alone."""

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from command_browser_site import serving_commands
from jobs_browser_site import JobsBrowserSite, serving_jobs
from playwright.sync_api import Browser, Locator, Page, expect
from watched_page import is_live, watched

from bulkport.jobs import JobState

Way = Literal["pointer", "keyboard"]
WAYS = pytest.mark.parametrize("way", ["pointer", "keyboard"])
MOST_TABS = 150


class Hands:
    """A user of the page whose actions are counted: clicks, or Enter on a focused element."""

    def __init__(self, page: Page, way: Way) -> None:
        self._page = page
        self._way = way
        self.presses = 0

    def reach(self, element: Locator) -> None:
        """Go to an element."""
        expect(element).to_be_visible()
        if self._way == "pointer":
            return
        for _ in range(MOST_TABS):
            if element.evaluate("one => one === document.activeElement"):
                return
            self._page.keyboard.press("Tab")
        raise AssertionError(f"{element} is not reached by Tab")

    def press(self, element: Locator) -> None:
        """Press a link or a button."""
        self.presses += 1
        self.reach(element)
        if self._way == "pointer":
            element.click()
        else:
            self._page.keyboard.press("Enter")

    def type(self, element: Locator, text: str) -> None:
        """Replace the text of a field."""
        if self._way == "pointer":
            element.fill(text)
        else:
            self.reach(element)
            self._page.keyboard.press("Control+a")
            self._page.keyboard.type(text)


@pytest.fixture
def jobs_site(database_url: str) -> Iterator[JobsBrowserSite]:
    with serving_jobs(database_url) as site:
        yield site


def fail(site: JobsBrowserSite, reason: str) -> None:
    failed = site.do(site.jobs.enqueue(site.site.strict, reason))
    site.do(site.site.reaches(failed, JobState.FAILED))


@WAYS
def test_finding_why_a_job_failed_takes_one_click(browser: Browser, jobs_site: JobsBrowserSite, way: Way) -> None:
    fail(jobs_site, "no row 7")
    with watched(browser, jobs_site) as watch:
        page, hands = watch.page, Hands(watch.page, way)
        page.goto(jobs_site.url)
        hands.press(page.get_by_title("View the latest one"))
        expect(page.locator(".frames").first).to_contain_text("raise ValueError(reason)")
        assert hands.presses == 1
        watch.assert_clean()


@WAYS
def test_requeueing_all_jobs_with_an_error_takes_two_clicks(
    browser: Browser, jobs_site: JobsBrowserSite, way: Way
) -> None:
    for number in range(3):
        fail(jobs_site, f"no row {number}")
    with watched(browser, jobs_site) as watch:
        page, hands = watch.page, Hands(watch.page, way)
        page.goto(jobs_site.url + "failures")
        is_live(page)
        hands.press(page.get_by_role("button", name="Requeue all"))
        expect(page.get_by_role("heading", name=re.compile("Requeue all 3 failed strict jobs"))).to_be_visible()
        hands.press(page.get_by_role("button", name="Requeue jobs"))
        expect(page.locator(".flash")).to_contain_text("3 jobs requeued.")
        assert hands.presses == 2
        watch.assert_clean()


@WAYS
def test_pausing_a_queue_with_a_reason_takes_two_clicks(browser: Browser, jobs_site: JobsBrowserSite, way: Way) -> None:
    sent = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.send_report, "ada@example.org"))
    jobs_site.do(jobs_site.site.reaches(sent, JobState.SUCCEEDED))
    with watched(browser, jobs_site) as watch:
        page, hands = watch.page, Hands(watch.page, way)
        page.goto(jobs_site.url + "queues")
        is_live(page)
        hands.press(page.locator("#queue-mail").get_by_role("button", name="Pause"))
        hands.type(page.locator("#confirm").get_by_label("Reason"), "the mail host is down")
        hands.press(page.locator("#confirm").get_by_role("button", name="Pause queue"))
        expect(page.locator("#queue-mail")).to_contain_text("the mail host is down")
        assert hands.presses == 2
        watch.assert_clean()


@WAYS
def test_running_a_recurring_job_now_takes_one_click(browser: Browser, jobs_site: JobsBrowserSite, way: Way) -> None:
    call = jobs_site.site.send_report.call("all")
    jobs_site.do(jobs_site.jobs.recurring.add_or_update("nightly", call, cron="0 3 * * *"))
    with watched(browser, jobs_site) as watch:
        page, hands = watch.page, Hands(watch.page, way)
        page.goto(jobs_site.url + "recurring")
        is_live(page)
        hands.press(page.locator("#recurring-nightly").get_by_role("button", name="Run now"))
        expect(page).to_have_url(re.compile(r"jobs/\d+$"))
        assert hands.presses == 1
        watch.assert_clean()


@WAYS
def test_finding_a_job_by_an_argument_takes_one_click(browser: Browser, jobs_site: JobsBrowserSite, way: Way) -> None:
    for name in ("ada", "bob"):
        sent = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.send_report, f"{name}@example.org"))
        jobs_site.do(jobs_site.site.reaches(sent, JobState.SUCCEEDED))
    with watched(browser, jobs_site) as watch:
        page, hands = watch.page, Hands(watch.page, way)
        page.goto(jobs_site.url)
        hands.type(page.locator("[data-search]"), "args.recipient:bob@example.org")
        hands.presses += 1
        page.keyboard.press("Enter")
        expect(page.locator("tr[data-row]")).to_have_count(1)
        expect(page.locator("tr[data-row]")).to_contain_text("bob@example.org")
        assert hands.presses == 1
        watch.assert_clean()


@WAYS
def test_cancelling_an_import_takes_two_clicks(browser: Browser, database_url: str, way: Way) -> None:
    with serving_commands(database_url) as commands:
        import_id = commands.do(commands.site.send([{"platformName": "Docker"}]))
        with watched(browser, commands) as watch:
            page, hands = watch.page, Hands(watch.page, way)
            page.goto(commands.url)
            is_live(page)
            hands.press(page.locator(f"#import-{import_id}").get_by_role("button", name="Cancel import"))
            hands.press(page.locator("#confirm").get_by_role("button", name="Cancel import"))
            expect(page.locator(".flash")).to_contain_text(f"Cancelled import #{import_id}.")
            assert hands.presses == 2
            watch.assert_clean()


@WAYS
def test_editing_a_schedule_takes_three_clicks(browser: Browser, jobs_site: JobsBrowserSite, way: Way) -> None:
    call = jobs_site.site.send_report.call("all")
    jobs_site.do(jobs_site.jobs.recurring.add_or_update("nightly", call, cron="0 3 * * *"))
    with watched(browser, jobs_site) as watch:
        page, hands = watch.page, Hands(watch.page, way)
        page.goto(jobs_site.url + "recurring")
        is_live(page)
        hands.press(page.locator("#recurring-nightly").get_by_role("link", name="nightly", exact=True))
        hands.press(page.get_by_role("link", name="Edit"))
        hands.type(page.locator("[name=cron]"), "30 4 * * MON")
        hands.press(page.get_by_role("button", name="Save recurring job"))
        expect(page.locator(".flash")).to_have_text("Saved nightly.")
        expect(page.locator("main")).to_contain_text("30 4 * * MON")
        assert hands.presses == 3
        watch.assert_clean()
