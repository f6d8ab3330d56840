"""The dashboard's frame and parts in a real browser."""

import re
import time

import pytest
from playwright.sync_api import Browser, expect
from watched_page import BrowserSite, Theme, assert_accessible, assert_fits, is_live, watched

from dashboard_site import Job

PAGES = ["", "jobs", "jobs?state=failed", "jobs/1"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_error_free_accessible_and_fit_every_width(browser: Browser, site: BrowserSite, theme: Theme) -> None:
    with watched(browser, site, theme=theme) as watch:
        for path in PAGES:
            watch.page.goto(site.url + path)
            is_live(watch.page)
            assert_accessible(watch.page, theme, path)
            if theme == "light":
                for width in (360, 768, 2560, 1360):
                    assert_fits(watch.page, width, path)
        watch.assert_clean()


def test_changes_appear_within_a_second_and_disturb_nothing(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        page = watch.page
        page.goto(site.url + "jobs")
        is_live(page)
        page.locator("#pick-1").check()
        page.locator("#job-4 a").focus()
        page.evaluate("window.row = document.querySelector('#job-4')")
        site.data.jobs.insert(0, Job(9, "new_task", "processing", site.data.jobs[0].at))
        site.data.jobs[4].note = "changed"
        del site.data.jobs[2]
        site.data.counts["failed"] = 18
        news = page.locator("[data-news]")
        expect(news).to_have_text("1 new: show")
        expect(page.locator("#job-4")).to_contain_text("changed")
        expect(page.locator("#job-9")).to_have_count(0)
        expect(page.locator("#job-2")).to_be_visible()
        page.keyboard.press("n")
        expect(news).to_be_hidden()
        expect(page.locator("#job-9")).to_be_visible()
        expect(page.locator("#job-2")).to_have_count(0)
        expect(page.locator("#pick-1")).to_be_checked()
        expect(page.locator("[data-picked]")).to_have_text("1 selected")
        expect(page.locator("#job-4 a")).to_be_focused()
        assert page.evaluate("window.row === document.querySelector('#job-4')")
        assert page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.id)") == [
            f"job-{job.id}" for job in site.data.jobs
        ]
        expect(page).to_have_title("(18) Jobs · Shop")
        watch.assert_clean()


def test_live_updates_use_the_language_of_the_page(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site, locale="de-DE") as watch:
        page = watch.page
        page.goto(site.url + "jobs")
        is_live(page)
        site.data.counts["failed"] = 18
        expect(page).to_have_title(re.compile(r"^\(18\)"))
        expect(page.locator("nav.nav")).to_contain_text("Übersicht")
        watch.assert_clean()


def test_title_and_icon_show_failures_until_they_are_gone(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        watch.page.goto(site.url)
        expect(watch.page).to_have_title("(17) Overview · Shop")
        icon = watch.page.locator("link[rel=icon]")
        expect(icon).to_have_attribute("href", re.compile("favicon-failing"))
        site.data.counts["failed"] = 0
        expect(watch.page).to_have_title("Overview · Shop")
        expect(icon).to_have_attribute("href", re.compile(r"favicon\."))
        watch.assert_clean()


def test_opened_details_and_times_survive_updates(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        page = watch.page
        page.goto(site.url + "jobs/1")
        is_live(page)
        page.goto(site.url)
        is_live(page)
        page.locator("#throughput summary").click()
        expect(page.locator("#throughput-data")).to_have_attribute("open", "")
        ticking = page.locator(".short time").first
        before = ticking.text_content()
        expect(ticking).not_to_have_text(before or "")
        assert re.fullmatch(r"\d+ s ago", ticking.text_content() or "")
        watch.assert_clean()


def test_a_hidden_tab_pauses_and_catches_up(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        page = watch.page
        page.goto(site.url + "jobs")
        is_live(page)
        hide = "Object.defineProperty(document, 'hidden', {{value: {0}, configurable: true}});"
        tell = "document.dispatchEvent(new Event('visibilitychange'))"
        page.evaluate(hide.format("true") + tell)
        deadline, before = time.monotonic() + 60, -1
        while site.data.loads != before:  # what was under way comes to its end
            assert time.monotonic() < deadline, "a hidden page is still looked after"
            before = site.data.loads
            page.wait_for_timeout(700)
        site.data.jobs[0].note = "while nobody looked"
        page.evaluate(hide.format("false") + tell)
        expect(page.locator("#job-1")).to_contain_text("while nobody looked")
        watch.assert_clean()


def test_keyboard_shortcuts_work(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        page = watch.page
        page.goto(site.url + "jobs")
        is_live(page)
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#help")).to_be_hidden()
        page.keyboard.press("j")
        page.keyboard.press("j")
        expect(page.locator("#job-2 a")).to_be_focused()
        page.keyboard.press("k")
        page.keyboard.press("x")
        expect(page.locator("#pick-1")).to_be_checked()
        page.keyboard.press("/")
        expect(page.locator("[data-search]")).to_be_focused()
        page.keyboard.type("j?x/")
        expect(page.locator("[data-search]")).to_have_value("j?x/")
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"/jobs/1$"))
        watch.assert_clean()


def test_a_confirmed_action_is_done_and_reported(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        page = watch.page
        page.goto(site.url + "jobs?state=failed")
        is_live(page)
        requeue = page.get_by_role("button", name="Requeue")
        expect(requeue).to_be_disabled()
        page.locator("#pick-1").check()
        requeue.click()
        dialog = page.locator("#confirm")
        expect(dialog).to_contain_text("Requeue the")
        dialog.get_by_role("button", name="Go back").click()
        assert site.data.audit == []
        requeue.click()
        dialog.get_by_role("button", name="Requeue").click()
        expect(page.locator(".flash")).to_contain_text("1 requeued.")
        expect(page).to_have_url(re.compile(r"/jobs\?state=failed$"))
        assert site.data.audit == [("local developer", "jobs/requeue", "jobs [1]", "1 requeued.")]
        watch.assert_clean()


def test_enter_on_a_selected_row_does_nothing(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        watch.page.goto(site.url + "jobs")
        watch.page.locator("#pick-1").check()
        watch.page.locator("#pick-1").press("Enter")
        watch.page.wait_for_timeout(300)
        assert watch.page.url.endswith("/jobs")
        assert site.data.audit == []


def test_everything_works_without_javascript(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site, java_script_enabled=False) as watch:
        page = watch.page
        page.goto(site.url + "jobs")
        page.locator("#pick-1").check()
        page.locator(".bulk button").first.click()
        expect(page.locator("h1")).to_have_text("Requeue 1 jobs?")
        page.locator("main button").click()
        expect(page.locator(".flash")).to_contain_text("1 requeued.")
        page.locator("[data-theme-button]").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        watch.assert_clean()


def test_the_theme_changes_at_once_and_is_remembered(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site, theme="light") as watch:
        page = watch.page
        page.goto(site.url)
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        button = page.locator("[data-theme-button]")
        button.click()
        button.click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        dark = page.evaluate(background)
        assert dark != light
        page.reload()
        assert page.evaluate(background) == dark
        watch.assert_clean()


def test_charts_are_readable_by_pointer_and_keyboard(browser: Browser, site: BrowserSite) -> None:
    with watched(browser, site) as watch:
        page = watch.page
        page.goto(site.url)
        is_live(page)
        chart = page.locator("#throughput [data-chart]")
        chart.hover(position={"x": 400, "y": 60})
        readout = page.locator("#throughput [data-readout]")
        expect(readout).to_have_text(re.compile(r"^-\d+ s · succeeded [\d,]+ · failed \d+$"))
        page.mouse.move(0, 0)
        expect(readout).to_have_text("")
        chart.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(readout).to_have_text(re.compile(r"^-2 s · "))
        watch.assert_clean()
