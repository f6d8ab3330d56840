"""A real Chromium and a real server whose dashboard data the test controls."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, expect, sync_playwright
from watched_page import WAIT_MILLISECONDS, BrowserSite

from dashboard_site import build_site, sample_data

# The shell alone draws the same and takes half of a processor.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")

if CHROMIUM is None:
    if os.environ.get("CI"):
        raise pytest.UsageError("The browser tests need Chromium: apt-get install chromium")
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header() -> str | None:
    return None if CHROMIUM else "NOT RUN: tests/browser, since there is no Chromium (apt-get install chromium)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one file: while Playwright is open, no other test of this process can have a loop."""
    expect.set_options(timeout=WAIT_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site() -> Iterator[BrowserSite]:
    """The dashboard over HTTP, in a thread of this process."""
    data = sample_data()
    app = build_site(data)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.02)
        try:
            yield BrowserSite(data, f"http://127.0.0.1:{bound.getsockname()[1]}/hangfire/")
        finally:
            app.state.dashboard.end_streams()
            server.should_exit = True
            thread.join(60)
