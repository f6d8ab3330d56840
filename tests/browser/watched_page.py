"""A browser whose requests, console errors and blocked resources are recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dashboard_site import SiteData

WAIT_MILLISECONDS: Final = 60_000
"""Timeout for events in a page on a busy machine."""
Theme = Literal["light", "dark"]
AXE: Final[dict[str, Any]] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}
"""Options of axe: another theme has other colours, and is the same page else."""
SIDEWAYS: Final = """[...document.querySelectorAll(".scroll")]
  .filter((one) => one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.querySelector("caption")?.textContent ?? one.outerHTML)"""
"""Tables of which only a part is seen."""


@dataclass(frozen=True)
class BrowserSite:
    """A running dashboard."""

    data: SiteData
    url: str


@dataclass
class WatchedPage:
    """A page, and all that went wrong in it."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)

    def assert_clean(self) -> None:
        """No console message, no script error, no CSP violation, and no request elsewhere."""
        assert self.complaints == []


@contextmanager
def watched(
    browser: Browser,
    site: BrowserSite,
    *,
    width: int = 1360,
    height: int = 900,
    theme: Theme = "light",
    **options: Any,
) -> Iterator[WatchedPage]:
    """A page of a new profile."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **options)
    page = context.new_page()
    page.set_default_timeout(WAIT_MILLISECONDS)
    watch = WatchedPage(page, "{0.scheme}://{0.netloc}".format(urlsplit(site.url)))

    def see_request(address: str) -> None:
        if not address.startswith((watch.origin, "data:")):
            watch.complaints.append(f"a request to {address}")

    page.on("console", lambda message: watch.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: watch.complaints.append(f"error: {error}"))
    page.on("request", lambda request: see_request(request.url))
    if options.get("java_script_enabled", True):
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => console.error('CSP', event.violatedDirective))"
        )
    try:
        yield watch
    finally:
        context.close()


def is_live(page: Page) -> None:
    """Wait until the page receives live updates."""
    expect(page.locator(".live")).to_have_attribute("data-state", "on")


def assert_accessible(page: Page, theme: Theme, where: str) -> None:
    """Axe finds nothing, with all that can be opened open."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found: Any = Axe().run(page, options=AXE[theme]).response["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == [], where


def assert_fits(page: Page, width: int, where: str) -> None:
    """The page is not wider than a screen of this width."""
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (where, width)
