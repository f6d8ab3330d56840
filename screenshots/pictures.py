"""The pages to photograph, and how."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobQuery, JobState
from screenshots.history import make_up_yesterday
from screenshots.operating import operate, press
from screenshots.server import Site

_BEFORE_OPERATING_SECONDS: Final = 60
"""How long the shop trades until something has failed for good."""
_AFTER_OPERATING_SECONDS: Final = 65
"""How long until something has failed again; the realtime graph shows 90 seconds."""
_ROWS_BEFORE: Final = 50_000
"""Rows of a long import that are processed before its pictures are taken."""

_REPORTS: Final = 60_000
"""Jobs of a bulk operation, enough to take its pictures while it runs."""
_REPORTS_AT_ONCE: Final = 5_000

_REPLACE: Final = """([path, other]) => {
  for (const code of document.querySelectorAll("pre")) code.textContent = code.textContent.replaceAll(path, other);
  for (const place of document.querySelectorAll(".place")) {
    place.textContent = place.textContent.replace(/^[^/]+\\/screenshots\\//, "shop/");
  }
}"""
_STREAM_MILLISECONDS: Final = 2_000
_WIDE: Final = 1366
_NARROW: Final = 390
_PLAIN_HEIGHT: Final = 860


async def _job(site: Site, **query: object) -> str:
    page = await site.shop.jobs.search(JobQuery(**query), limit=1)  # type: ignore[arg-type]
    return f"jobs/{page.items[0].id}"


async def _running_job(site: Site) -> str:
    """A running job, with the code that it is in."""
    address = await _job(site, task="rebuild_search_index", states={JobState.PROCESSING})
    job_id = address.rpartition("/")[2]
    await press(site.dashboard, address, "jobs/stack", {"id": job_id})
    async with asyncio.timeout(60):
        while True:
            details = await site.shop.jobs.details(BackgroundJobId(job_id))
            if details is None or details.stack is None or details.stack.taken_at is not None:
                return address
            await asyncio.sleep(0.1)


async def _failed_job(site: Site) -> str:
    return await _job(site, task="send_webhook", states={JobState.FAILED})


async def _long_import(site: Site) -> str:
    import_id = await site.clients.begin_long()
    await site.clients.until_rows(import_id, _ROWS_BEFORE)
    return f"imports/{import_id}"


async def _order_under_way(site: Site) -> str:
    """A bulk operation on more jobs than one request handles: reports in a paused queue."""
    call = site.shop.send_report.call("ada@example.org", month="July")
    for _ in range(_REPORTS // _REPORTS_AT_ONCE):
        await site.shop.jobs.enqueue_many([call] * _REPORTS_AT_ONCE)
    jobs = "state=enqueued&task=send_report"
    return await press(site.dashboard, f"jobs?{jobs}", "jobs/delete", {"all": "jobs", "filter": jobs})


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a page."""

    name: str
    address: str | Callable[[Site], Awaitable[str]]
    """Relative to the dashboard."""
    is_dark_too: bool = False
    """Whether a picture in the dark theme is taken as well, with the suffix `-dark`."""
    width: int = _WIDE
    height: int | None = _PLAIN_HEIGHT
    """None: as high as the page is."""


PICTURES: Final = (
    # The first ones while the long import is under way.
    Picture("dashboard-import", _long_import, height=1080),
    Picture("dashboard-overview", "", is_dark_too=True, height=None),
    Picture("dashboard-imports", "imports"),
    Picture("dashboard-jobs", "jobs"),
    Picture("dashboard-failed", "jobs?state=failed"),
    Picture("dashboard-narrow", "jobs?state=failed", width=_NARROW, height=844),
    Picture("dashboard-job", _failed_job, is_dark_too=True),
    Picture("dashboard-running-job", _running_job, height=1080),
    Picture("dashboard-retries", "retries"),
    Picture("dashboard-recurring", "recurring"),
    Picture("dashboard-failures", "failures", height=480),
    Picture("dashboard-servers", "servers", height=480),
    Picture("dashboard-server", "servers/shop-1:2210", height=760),
    Picture("dashboard-batches", "batches", height=480),
    Picture("dashboard-queues", "queues", height=680),
    Picture("dashboard-tasks", "tasks?period=24h", height=720),
    Picture("dashboard-task", "tasks/send_webhook?period=24h", height=None),
    Picture("dashboard-audit", "audit", height=760),
    # The last one, as it fills the lists.
    Picture("dashboard-order", _order_under_way, height=420),
)


async def take_pictures(site: Site, folder: Path) -> None:
    """Take all pictures."""
    await site.shop.open()
    trading = asyncio.create_task(site.shop.trade())
    try:
        await site.clients.open()
        await asyncio.sleep(_BEFORE_OPERATING_SECONDS)
        await operate(site.dashboard)
        await asyncio.sleep(_AFTER_OPERATING_SECONDS)
        await make_up_yesterday(site.database_url)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for picture in PICTURES:
                path = picture.address if isinstance(picture.address, str) else await picture.address(site)
                await _take(browser, site.dashboard + path, folder / f"{picture.name}.png", picture, "light")
                if picture.is_dark_too:
                    await _take(browser, site.dashboard + path, folder / f"{picture.name}-dark.png", picture, "dark")
            await browser.close()
    finally:
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
    await _make_smaller(folder)


async def _take(browser: Browser, address: str, file: Path, picture: Picture, theme: str) -> None:
    page = await browser.new_page(
        viewport={"width": picture.width, "height": picture.height or _PLAIN_HEIGHT},
        color_scheme="dark" if theme == "dark" else "light",
    )
    answer = await page.goto(address)
    assert answer is not None
    assert answer.status == 200, f"{address}: {answer.status}"
    # The state of the stream shows on the page.
    await page.locator('.live[data-state="on"]').wait_for()
    # The path of this folder, which appears in tracebacks, must not be in the pictures.
    await page.wait_for_timeout(_STREAM_MILLISECONDS)
    await page.evaluate(_REPLACE, [f"{Path(__file__).parents[1]}/", "/srv/shop/"])
    await page.screenshot(path=file, full_page=picture.height is None)
    await page.close()


async def _make_smaller(folder: Path) -> None:
    """Reduce the pictures to a palette if a tool is installed."""
    tool = shutil.which("pngquant")
    if tool is not None:
        names = [f"{picture.name}{theme}.png" for picture in PICTURES for theme in ("", "-dark")]
        files = [folder / name for name in names if (folder / name).exists()]
        process = await asyncio.create_subprocess_exec(tool, "--force", "--ext=.png", "--speed=1", *map(str, files))
        assert await process.wait() == 0
