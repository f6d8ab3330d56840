"""Which pages are taken, and how."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from bulkport.background import JobQuery, JobState
from screenshots.server import Site

WARM_UP_SECONDS: Final = 95
"""How long the shop trades before: the realtime graph shows 90 seconds."""

_REPLACE: Final = """([path, other]) => {
  for (const code of document.querySelectorAll("pre")) code.textContent = code.textContent.replaceAll(path, other);
}"""
_STREAM_MILLISECONDS: Final = 2_000
_WIDTH: Final = 1360
_HEIGHT: Final = 860


async def _job(site: Site, **query: object) -> str:
    page = await site.shop.jobs.search(JobQuery(**query), limit=1)  # type: ignore[arg-type]
    return f"jobs/{page.items[0].id}"


async def _running_job(site: Site) -> str:
    return await _job(site, task="rebuild_search_index", states={JobState.PROCESSING})


async def _failed_job(site: Site) -> str:
    return await _job(site, task="send_webhook", states={JobState.FAILED})


Address = str | Callable[[Site], Awaitable[str]]

PAGES: Final[Mapping[str, Address]] = {
    "dashboard-jobs": "jobs",
    "dashboard-failed": "jobs?state=failed",
    "dashboard-job": _failed_job,
    "dashboard-running-job": _running_job,
    "dashboard-retries": "retries",
    "dashboard-recurring": "recurring",
}
"""Name of the picture, and the address of its page relative to the dashboard."""

DARK: Final = frozenset({"dashboard-job"})
"""Those that are taken in the dark theme as well."""


async def take_pictures(site: Site, folder: Path) -> None:
    """Take all pictures; those of the dark theme have `-dark` at the end of their names."""
    await site.shop.open()
    trading = asyncio.create_task(site.shop.trade())
    try:
        await asyncio.sleep(WARM_UP_SECONDS)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name, address in PAGES.items():
                path = address if isinstance(address, str) else await address(site)
                await _take(browser, site.dashboard + path, folder / f"{name}.png", "light")
                if name in DARK:
                    await _take(browser, site.dashboard + path, folder / f"{name}-dark.png", "dark")
            await browser.close()
    finally:
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)


async def _take(browser: Browser, address: str, file: Path, theme: str) -> None:
    page = await browser.new_page(
        viewport={"width": _WIDTH, "height": _HEIGHT},
        color_scheme="dark" if theme == "dark" else "light",
    )
    answer = await page.goto(address)
    assert answer is not None
    assert answer.status == 200, f"{address}: {answer.status}"
    # The state of the stream shows on the page.
    await page.locator('.live[data-state="on"]').wait_for()
    # Where this folder lies is nobody's business. It is in tracebacks, and in those that the stream begins with.
    await page.wait_for_timeout(_STREAM_MILLISECONDS)
    await page.evaluate(_REPLACE, [f"{Path(__file__).parents[1]}/", "/srv/shop/"])
    await page.screenshot(path=file)
    await page.close()
