"""Overview, imports, servers, queues, tasks and audit in a real browser, with real imports and a real worker."""

import os
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from command_browser_site import CommandBrowserSite, serving_commands
from playwright.sync_api import Browser, expect
from watched_page import Theme, assert_accessible, is_live, watched
from widest_rows import SERVER, insert_widest_rows

from import_steps import settled

PLATFORMS = [{"platformName": f"Platform {number}"} for number in range(60)]

_CUT = """() => {
  const seen = [...document.querySelectorAll("main .scroll")].filter((one) => one.clientWidth > 0);
  const wide = seen.filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => [one.scrollWidth, one.clientWidth, one.querySelector("caption")?.textContent]);
  for (const one of document.querySelectorAll("main .panel > table, main .panel .short > table, main .alerts li")) {
    const over = one.getBoundingClientRect().right - one.closest(".panel").getBoundingClientRect().right;
    if (over > 1) wide.push([over, one.className, one.textContent.slice(0, 80)]);
  }
  return wide;
}"""
"""Tables that are wider than their box: a part of them is cut off, or must be scrolled to."""
_WIDTHS = (1440, 1366, 1241, 1024, 1001, 768)
"""The narrowest of each layout, and those of common screens."""


@pytest.fixture
def commands(database_url: str) -> Iterator[CommandBrowserSite]:
    with serving_commands(database_url) as site:
        yield site


def fill(commands: CommandBrowserSite) -> tuple[int, int]:
    """An import with bad rows and one in the middle of its work; their numbers."""
    site = commands.site
    commands.do(commands.stack.enter_async_context(site.worker(chunk_slots=1)))
    records = [*PLATFORMS[:20], {"platformName": ""}, {"platformName": "long " * 40}]
    ended = commands.do(site.send(records))
    commands.do(settled(site.api, ended))
    commands.do(site.jobs.pause_queue("mail", actor="ann"))
    commands.do(commands.stack.enter_async_context(site.held()))
    return ended, commands.do(site.send(PLATFORMS))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_operations_pages_are_error_free_accessible_and_fit_every_width(
    browser: Browser, commands: CommandBrowserSite, theme: Theme
) -> None:
    ended, running = fill(commands)
    addresses = ["", "imports", f"imports/{ended}", f"imports/{running}", "servers", "queues", "tasks"]
    addresses += ["failures", "batches", "tasks/bulkport.process_large_import?window=hour", "audit"]
    if theme == "light":  # the same pages with other contents
        addresses += ["?by=task", "?by=queue", "?by=server", "imports?tag=none"]
    pictures = os.environ.get("DASHBOARD_PICTURES")
    with watched(browser, commands, theme=theme) as watch:
        for address in addresses:
            watch.page.set_viewport_size({"width": 1360, "height": 900})
            watch.page.goto(commands.url + address)
            is_live(watch.page)
            name = re.sub(r"\W+", "-", address) or "overview"
            if pictures:
                watch.page.screenshot(path=Path(pictures) / f"{name}-{theme}.png", full_page=True)
            assert_accessible(watch.page, theme, address)
            if theme == "dark" and not pictures:
                continue
            watch.page.set_viewport_size({"width": 360, "height": 800})
            overflow = watch.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, (address, overflow)
            assert watch.page.evaluate(_CUT) == [], address
            if pictures:
                watch.page.screenshot(path=Path(pictures) / f"{name}-narrow-{theme}.png", full_page=True)
        watch.assert_clean()


def test_every_table_fits_whatever_it_shows(browser: Browser, commands: CommandBrowserSite) -> None:
    commands.do(insert_widest_rows(commands.site.url))
    pages = ["", "jobs?state=processing", "jobs?state=failed", "jobs?state=awaiting", "retries", "recurring"]
    pages += ["failures", "queues", "servers", f"servers/{SERVER}1", "batches", "tasks", "audit", "sessions", "imports"]
    pages += ["imports/9876543214", "jobs/98765432102"]
    # In German, whose words are the longest.
    with watched(browser, commands, locale="de") as watch:
        for path in pages:
            watch.page.goto(commands.url + path)
            expect(watch.page.locator("html")).to_have_attribute("lang", "de")
            for width in _WIDTHS:
                watch.page.set_viewport_size({"width": width, "height": 800})
                assert watch.page.evaluate(_CUT) == [], (path, width)
            for width in (768, 360):
                watch.page.set_viewport_size({"width": width, "height": 800})
                assert watch.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
        watch.assert_clean()


def test_an_import_is_cancelled_and_the_page_follows_live(browser: Browser, commands: CommandBrowserSite) -> None:
    with watched(browser, commands) as watch:
        page = watch.page
        page.goto(commands.url + "imports")
        is_live(page)
        expect(page.get_by_text("No imports yet")).to_be_visible()
        import_id = commands.do(commands.site.send(PLATFORMS))
        row = page.locator(f"#import-{import_id}")
        expect(row).to_contain_text("Pending")
        row.get_by_role("button", name="Cancel").click()
        page.locator("#confirm").get_by_role("button", name="Cancel").click()
        expect(page.locator(".flash")).to_have_text(f"Cancelled import #{import_id}. Rows already imported are kept.")
        expect(row).to_contain_text("Cancelled")
        expect(row.get_by_role("button")).to_have_count(0)
        page.goto(commands.url + "imports?status=Cancelled")
        expect(row).to_be_visible()
        page.goto(commands.url + "audit")
        expect(page.locator("tbody tr")).to_contain_text([f"import {import_id}"])
        watch.assert_clean()


def test_the_import_page_updates_live(browser: Browser, commands: CommandBrowserSite) -> None:
    commands.do(commands.stack.enter_async_context(commands.site.worker(chunk_slots=1)))
    held = AsyncExitStack()
    commands.do(held.enter_async_context(commands.site.held()))
    running = commands.do(commands.site.send(PLATFORMS))
    with watched(browser, commands) as watch:
        page = watch.page
        page.goto(commands.url + f"imports/{running}")
        is_live(page)
        page.evaluate("window.isTheFirstPage = true")
        expect(page.locator("main")).to_contain_text("1 in progress")
        expect(page.get_by_role("button", name="Cancel import", exact=True)).to_be_visible()
        commands.do(held.aclose())
        expect(page.locator("main")).to_contain_text("0 in progress")
        expect(page.get_by_role("progressbar").first).to_have_attribute("aria-valuenow", "100")
        expect(page.locator(".tile", has_text="Imported")).to_contain_text(str(len(PLATFORMS)))
        expect(page.locator("main")).to_contain_text("Completed")
        expect(page.get_by_role("button", name="Cancel import", exact=True)).to_have_count(0)
        assert page.evaluate("window.isTheFirstPage")
        watch.assert_clean()


_SUCCEEDED = """() => {
  const cells = document.querySelectorAll("#throughput tbody td:first-of-type");
  const counts = [...cells].map((cell) => Number(cell.textContent));
  return [counts.reduce((sum, one) => sum + one, 0), counts.findIndex((one) => one > 0)];
}"""


def test_the_chart_updates_while_jobs_run(browser: Browser, commands: CommandBrowserSite) -> None:
    commands.do(commands.stack.enter_async_context(commands.site.worker()))
    with watched(browser, commands) as watch:
        page = watch.page
        page.goto(commands.url)
        is_live(page)
        page.evaluate("window.isTheFirstPage = true")
        assert page.evaluate(_SUCCEEDED) == [0, -1]
        curve = page.locator("#throughput .line").first
        flat = curve.get_attribute("d") or curve.get_attribute("points")
        for _ in range(3):
            commands.do(settled(commands.site.api, commands.do(commands.site.send(PLATFORMS[:3]))))
        page.wait_for_function(f"() => ({_SUCCEEDED})()[0] === 3")
        assert (curve.get_attribute("d") or curve.get_attribute("points")) != flat
        # A point a second: what has happened moves away from now.
        then = page.evaluate(_SUCCEEDED)[1]
        page.wait_for_function(f"() => ({_SUCCEEDED})()[1] <= {then - 2}")
        assert page.evaluate(_SUCCEEDED)[0] == 3
        assert page.evaluate("window.isTheFirstPage")
        watch.assert_clean()


def test_a_queue_is_resumed_and_a_report_downloaded(browser: Browser, commands: CommandBrowserSite) -> None:
    ended, _ = fill(commands)
    with watched(browser, commands) as watch:
        page = watch.page
        commands.do(commands.site.jobs.pause_queue("imports", actor="ann"))
        page.goto(commands.url + "queues")
        is_live(page)
        expect(page.locator("#queue-imports")).to_contain_text("Paused")
        page.locator("#queue-imports").get_by_role("button", name="Resume").click()
        expect(page.locator(".flash")).to_have_text("Resumed imports.")
        expect(page.locator("#queue-imports")).not_to_contain_text("Paused")
        page.goto(commands.url + f"imports/{ended}")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download errors (CSV)").click()
        assert download.value.suggested_filename == f"import-{ended}-errors.csv"
        watch.assert_clean()
