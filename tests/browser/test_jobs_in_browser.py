"""The pages about jobs in a real browser, with real jobs and a real worker."""

import re
from collections.abc import Iterator

import pytest
from jobs_browser_site import JobsBrowserSite, serving_jobs
from playwright.sync_api import Browser, expect
from watched_page import SIDEWAYS, Theme, assert_accessible, assert_fits, is_live, watched

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobState


@pytest.fixture
def jobs_site(database_url: str) -> Iterator[JobsBrowserSite]:
    with serving_jobs(database_url) as site:
        yield site


def fail(site: JobsBrowserSite, count: int) -> list[BackgroundJobId]:
    """Jobs that have failed."""
    calls = [site.site.strict.call(f"row {number}") for number in range(count)]
    ids = [job.id for job in site.do(site.jobs.enqueue_many(calls))]
    for job_id in ids:
        site.do(site.site.reaches(job_id, JobState.FAILED))
    return ids


def some_of_everything(site: JobsBrowserSite) -> dict[str, BackgroundJobId]:
    """A job in each state, and a recurring one."""
    jobs, tasks = site.jobs, site.site
    (failed,) = fail(site, 1)
    long = "a name that goes on and on and has no end at all in the width of any screen@example.org"
    made = {
        "failed": failed,
        "succeeded": site.do(jobs.enqueue(tasks.send_report.options(user_id="auth0|alice", priority=5).call(long))),
        "retrying": site.do(jobs.enqueue(tasks.flaky, f"{long} did not answer")),
        "processing": site.do(jobs.enqueue(tasks.wait, "gate")),
        "scheduled": site.do(jobs.schedule(tasks.send_report, "later", in_=3600)),
        "cancelled": site.do(jobs.schedule(tasks.send_report, "never", in_=3600)),
    }
    made["awaiting"] = site.do(jobs.continue_with(made["processing"], tasks.send_report.call("next")))
    site.do(jobs.cancel(made["cancelled"]))
    site.do(jobs.recurring.add_or_update("nightly", tasks.send_report.call("all"), cron="0 3 * * *"))
    site.do(jobs.recurring.add_or_update("paused-" + "long-" * 20, tasks.wait.call("g"), cron="*/15 * * * MON-FRI"))
    site.do(jobs.recurring.pause("paused-" + "long-" * 20))
    for name, job_id in made.items():
        site.do(tasks.reaches(job_id, JobState(name)))
    return made


async def make_batch(site: JobsBrowserSite) -> int:
    """A batch of two jobs."""
    async with site.jobs.batch("Invoices of July", user_id="ada") as batch:
        for number in range(2):
            batch.add(site.site.send_report.call(f"user{number}@example.org"))
    return batch.id


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_error_free_accessible_and_fit_every_width(
    browser: Browser, jobs_site: JobsBrowserSite, theme: Theme
) -> None:
    made = some_of_everything(jobs_site)
    batch = jobs_site.do(make_batch(jobs_site))
    # One page of each kind, then the same kinds with other contents.
    pages = ["jobs", "jobs?state=failed", f"jobs/{made['failed']}", f"jobs/{made['processing']}", "retries"]
    pages += ["recurring", "jobs/new", "recurring/edit/nightly", "recurring/nightly", "servers/worker-a"]
    pages += ["batches", f"batches/{batch}"]
    if theme == "light":
        pages += [f"jobs?state={state}" for state in JobState if state is not JobState.FAILED]
        pages += [f"jobs/{job_id}" for name, job_id in made.items() if name not in {"failed", "processing"}]
        pages += ["jobs?text=nothing&batch=7&since=2026-01-01", "recurring?text=nothing", "recurring/new"]
    with watched(browser, jobs_site, theme=theme) as watch:
        page = watch.page
        for path in pages:
            page.goto(jobs_site.url + path)
            is_live(page)
            assert_accessible(page, theme, path)
            if theme == "dark":
                continue
            for width in (320, 390, 768, 1024, 2560, 1360):
                assert_fits(page, width, path)
                if width >= 768:
                    assert page.evaluate(SIDEWAYS) == [], (path, width)
        watch.assert_clean()


def test_lists_update_live(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + "jobs?state=processing")
        is_live(page)
        expect(page.locator(".empty")).to_contain_text("No jobs running")
        job_id = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.wait, "gate"))
        row = page.locator(f"#job-{job_id}")
        expect(row).to_contain_text("3 of 10 · reading pages")
        expect(page.locator(".side a[aria-current]")).to_have_text(re.compile(r"Running\s*1"))
        jobs_site.do(jobs_site.site.open_gate("gate"))
        expect(page.locator("[data-news]")).to_be_visible()
        page.keyboard.press("n")
        expect(row).to_have_count(0)
        watch.assert_clean()


_SEES_FIRST_UPDATE = """
window.fragments = new Set();
delete window.SharedWorker;
window.EventSource = class extends EventSource {
  constructor(address) {
    super(address);
    this.addEventListener("fragment", (event) => window.fragments.add(JSON.parse(event.data).name));
  }
};
document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll("*")) element.isOfThePage = true;
});
"""
_HAS_ALL = """() => [...document.querySelectorAll("[data-fragment]")]
.every(({dataset}) => fragments.has(dataset.fragment))"""
_FOREIGN = "[...document.querySelectorAll('main *')].filter((e) => !e.isOfThePage).map((e) => e.outerHTML)"


def test_the_first_update_keeps_the_elements_of_the_page(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    """They keep selection, open details and focus."""
    failed, *_ = some_of_everything(jobs_site).values()
    with watched(browser, jobs_site) as watch:
        watch.page.add_init_script(_SEES_FIRST_UPDATE)
        for path in ("jobs", "jobs?state=failed", f"jobs/{failed}", "retries", "recurring"):
            watch.page.goto(jobs_site.url + path)
            watch.page.wait_for_function(_HAS_ALL)
            assert watch.page.locator("[data-fragment] *").count() > 10
            assert watch.page.evaluate(_FOREIGN) == [], path
        watch.assert_clean()


def test_the_job_page_updates_live(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    job_id = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.wait, "gate"))
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(f"{jobs_site.url}jobs/{job_id}")
        bar = page.get_by_role("progressbar", name="Progress of the job")
        expect(bar).to_have_attribute("aria-valuenow", "30")
        jobs_site.do(jobs_site.site.open_gate("gate"))
        expect(bar).to_have_attribute("aria-valuenow", "100")
        expect(page.locator(".timeline li").first).to_contain_text("Succeeded")
        expect(page.get_by_role("button", name="Run job again")).to_be_visible()
        watch.assert_clean()


def test_filters_are_in_the_address_and_in_the_form(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    made = some_of_everything(jobs_site)
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + "jobs?state=succeeded")
        page.get_by_label("User").fill("auth0|alice")
        page.locator("select[name=within]").select_option("Last hour")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page).to_have_url(re.compile(r"jobs\?state=succeeded&.*user=auth0%7Calice&within=hour"))
        expect(page.get_by_label("User")).to_have_value("auth0|alice")
        expect(page.locator("tr[data-row]")).to_have_count(1)
        expect(page.locator(f"#job-{made['succeeded']}")).to_be_visible()
        page.get_by_role("link", name="Duration").click()
        expect(page.locator("th[aria-sort=descending]")).to_contain_text("Duration")
        expect(page).to_have_url(re.compile("sort=duration"))
        page.get_by_role("link", name="Clear filters").click()
        expect(page).to_have_url(re.compile(r"jobs\?.*state=succeeded"))
        page.keyboard.press("/")
        page.keyboard.type("ROW 0")
        page.keyboard.press("Enter")
        expect(page.locator("tr[data-row]")).to_have_count(1)
        expect(page.locator(f"#job-{made['failed']}")).to_be_visible()
        watch.assert_clean()


def test_selected_jobs_are_requeued_after_confirmation(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    ids = fail(jobs_site, 3)
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + "jobs?state=failed")
        is_live(page)
        page.keyboard.press("j")
        page.keyboard.press("x")
        page.keyboard.press("j")
        page.keyboard.press("x")
        expect(page.locator("[data-picked]")).to_have_text("2 selected")
        page.get_by_role("button", name="Requeue jobs", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Requeue the 2 selected jobs?")
        dialog.get_by_role("button", name="Go back").click()
        expect(page.locator("[data-picked]")).to_have_text("2 selected")
        page.get_by_role("button", name="Requeue jobs", exact=True).click()
        dialog.get_by_role("button", name="Requeue").click()
        expect(page.locator(".flash")).to_have_text("2 jobs requeued.")
        assert len(ids) == 3
        watch.assert_clean()


def test_deleting_all_matching_jobs_shows_their_number(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    fail(jobs_site, 27)
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + "jobs?state=failed&task=strict&size=25")
        page.get_by_role("button", name=re.compile("^Delete all")).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Delete all 27 failed strict jobs?")
        page.get_by_role("button", name="Delete").click()
        expect(page.locator(".flash")).to_have_text("27 jobs deleted.")
        expect(page.locator(".empty")).to_contain_text("No matching jobs")
        watch.assert_clean()


def test_a_job_can_be_requeued_cancelled_and_deleted(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    made = some_of_everything(jobs_site)
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(f"{jobs_site.url}jobs/{made['processing']}")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.locator(".flash")).to_have_text(f"Asked job {made['processing']} to stop.")
        expect(page.get_by_role("button", name="Requeue")).to_be_visible()
        page.goto(f"{jobs_site.url}jobs/{made['scheduled']}")
        page.get_by_role("button", name="Run job now").click()
        expect(page.locator(".timeline li").first).to_contain_text("Succeeded")
        page.get_by_role("button", name="Run job again").click()
        expect(page.locator(".facts-list")).to_contain_text(f"Copy of#{made['scheduled']}")
        page.goto(f"{jobs_site.url}jobs/{made['failed']}")
        expect(page.get_by_label("Traceback")).to_contain_text("ValueError: row 0")
        page.get_by_role("button", name="Delete job").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.locator(".flash")).to_have_text(f"Deleted job {made['failed']}.")
        watch.assert_clean()


def test_retrying_jobs_can_be_retried_now(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    job_id = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.flaky, "no answer"))
    jobs_site.do(jobs_site.site.reaches(job_id, JobState.RETRYING))
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + "retries")
        row = page.locator(f"#job-{job_id}")
        expect(row).to_contain_text("ConnectionError: no answer")
        expect(row.locator("time").last).to_have_text(re.compile(r"in \d+ (s|min)"))
        page.get_by_label(f"Select job {job_id}").check()
        page.get_by_role("button", name=re.compile("^Retry|^Run jobs now")).click()
        page.get_by_role("dialog").get_by_role("button", name=re.compile("^Retry|^Run jobs now")).click()
        expect(page.locator(".flash")).to_contain_text("starts as soon as a worker is free")
        expect(row.locator("td.n").first).to_have_text("2")
        watch.assert_clean()


def test_recurring_jobs_can_be_controlled(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    add = jobs_site.jobs.recurring.add_or_update
    jobs_site.do(add("nightly", jobs_site.site.send_report.call("all"), cron="0 3 * * *", timezone="Europe/Berlin"))
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(jobs_site.url + "recurring")
        row = page.locator("#recurring-nightly")
        expect(row).to_contain_text("At 03:00 every day (Europe/Berlin)")
        row.get_by_role("button", name="Pause").click()
        expect(page.locator(".flash")).to_have_text("Paused nightly.")
        expect(row).to_contain_text("Paused")
        row.get_by_role("button", name="Resume").click()
        row.get_by_role("button", name="Run now").click()
        expect(page).to_have_url(re.compile(r"jobs/\d+$"))
        expect(page.locator(".timeline li").first).to_contain_text("Succeeded")
        page.goto(jobs_site.url + "recurring?text=night")
        expect(row).to_contain_text("Succeeded")
        row.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.locator(".flash")).to_have_text("Removed nightly.")
        watch.assert_clean()


def test_pages_work_without_javascript(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    fail(jobs_site, 2)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(jobs_site.url + "jobs?state=failed")
    for box in page.get_by_label(re.compile("Select job")).all():
        box.check()
    page.get_by_role("button", name="Delete jobs", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete the 2 selected jobs?")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".flash")).to_have_text("2 jobs deleted.")
    context.close()


def test_a_button_replaced_during_confirmation_does_nothing(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    job_id = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.wait, "gate"))
    with watched(browser, jobs_site) as watch:
        page = watch.page
        page.goto(f"{jobs_site.url}jobs/{job_id}")
        is_live(page)
        page.get_by_role("button", name="Cancel").click()
        jobs_site.do(jobs_site.site.open_gate("gate"))
        expect(page.locator(".head button", has_text="Run job again")).to_have_count(1)
        page.locator("#confirm").get_by_role("button", name="Cancel").click()
        expect(page.locator("#confirm")).to_be_hidden()
        page.wait_for_timeout(300)
        assert page.locator(".flash").count() == 0
        assert jobs_site.do(jobs_site.jobs.statistics()).states[JobState.SUCCEEDED] == 1
        assert sum(jobs_site.do(jobs_site.jobs.statistics()).states.values()) == 1
        watch.assert_clean()


_PRESS_TWICE = """(button) => {
  const refused = [];
  addEventListener("submit", (event) => refused.push(event.defaultPrevented));
  button.click();
  button.click();
  return refused;
}"""


def test_a_double_click_acts_once(browser: Browser, jobs_site: JobsBrowserSite) -> None:
    job_id = jobs_site.do(jobs_site.jobs.enqueue(jobs_site.site.send_report, "ada@example.org"))
    jobs_site.do(jobs_site.site.reaches(job_id, JobState.SUCCEEDED))
    with watched(browser, jobs_site) as watch:
        page = watch.page
        orders: list[str] = []
        page.on("request", lambda request: orders.append(request.url) if "/do/" in request.url else None)
        page.goto(f"{jobs_site.url}jobs/{job_id}")
        # Both before the page is left: a later press meets the page of the new job.
        refused = page.get_by_role("button", name="Run job again").evaluate(_PRESS_TWICE)
        assert refused == [False, True]
        expect(page.locator(".flash")).to_contain_text("Enqueued a copy of job")
        assert len(orders) == 1
        assert sum(jobs_site.do(jobs_site.jobs.statistics()).states.values()) == 2
        page.go_back()
        page.get_by_role("button", name="Run job again").click()
        expect(page.locator(".flash")).to_contain_text("Enqueued a copy of job")
        assert len(orders) == 2


def test_the_current_entry_of_long_navigation_is_visible_on_a_narrow_screen(
    browser: Browser, jobs_site: JobsBrowserSite
) -> None:
    with watched(browser, jobs_site, width=360) as watch:
        for path in ("jobs?state=cancelled", "recurring"):
            watch.page.goto(jobs_site.url + path)
            for place in watch.page.locator(":is(.nav, .side) > [aria-current]").all():
                box = place.bounding_box()
                assert box is not None
                assert box["x"] + box["width"] <= 360, path
