"""A dashboard of some parts, for jobs that real workers run."""

import html
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urljoin

import httpx
from fastapi import FastAPI

from bulkport.dashboard import Access, AuditLog, Dashboard
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.pages.job_counts import job_counts
from dashboard_site import FixedAccess, browser_of
from jobs_dashboard_site import JobsSite, open_jobs_site


class PartsSite:
    """What an operator sees and does on the parts' pages."""

    def __init__(self, site: JobsSite, browser: httpx.AsyncClient) -> None:
        self.site = site
        self.jobs = site.jobs
        self._browser = browser

    def speak(self, language: str) -> None:
        """Prefer a language from now on."""
        self._browser.headers["accept-language"] = language

    async def page(self, address: str, *, status: int = 200) -> str:
        """A page of the dashboard."""
        answer = await self._browser.get(f"/hangfire/{address}")
        assert answer.status_code == status, answer.text
        return answer.text

    async def row(self, address: str, row_id: str) -> str:
        """The text of a table row on one line; empty if there is none."""
        found = re.search(rf'<tr data-row id="{re.escape(row_id)}">(.*?)</tr>', await self.page(address), re.DOTALL)
        return words(found[1]) if found else ""

    async def said(self, action: str, back: str, **fields: str) -> str:
        """Press a button, confirm, and return the message."""
        token = re.search(r'name="csrf" value="([^"]+)"', await self.page(back))
        assert token is not None
        form = {"csrf": token[1], "back": back, "confirmed": "yes", **fields}
        answer = await self._browser.post(f"/hangfire/do/{action}", data=form)
        assert answer.status_code == 303, answer.text
        page = (await self._browser.get(urljoin(f"/hangfire/do/{action}", answer.headers["location"]))).text
        flash = re.search(r'class="flash[^>]*>.*?</svg>(.*?)</div>', page, re.DOTALL)
        assert flash is not None
        return html.unescape(flash[1])


def words(page: str) -> str:
    """The text of a page on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@asynccontextmanager
async def open_parts(
    url: str, parts: Callable[[JobsSite, AuditLog], Sequence[Component]], access: Access | None = None
) -> AsyncIterator[PartsSite]:
    """The site of a fresh database."""
    async with open_jobs_site(url) as (site, pool):
        audit = AuditLog(lambda: pool)
        made = parts(site, audit)
        dashboard = Dashboard(
            [page for part in made for page in part.pages],
            [part.section for part in made],
            access=access or FixedAccess(),
            audit=audit,
            actions=[action for part in made for action in part.actions],
            downloads=[download for part in made for download in part.downloads],
            counts=job_counts(site.jobs),
        )
        app = FastAPI(redirect_slashes=False)
        dashboard.mount(app, "/hangfire")
        async with browser_of(app) as browser:
            yield PartsSite(site, browser)
