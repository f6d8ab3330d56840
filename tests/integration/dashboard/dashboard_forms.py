"""What a browser does with the pages about jobs: read them, press buttons, answer questions."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urljoin

import httpx

from bulkport.dashboard import Access, Role
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobCall, JobState
from dashboard_site import FixedAccess, browser_of
from jobs_dashboard_site import JobsSite, open_jobs_site


class Operator:
    """A viewer who uses the dashboard of a site."""

    def __init__(self, site: JobsSite, browser: httpx.AsyncClient) -> None:
        self.site = site
        self.jobs = site.jobs
        self._browser = browser

    async def page(self, address: str, *, status: int = 200) -> str:
        """The page at an address relative to the dashboard."""
        answer = await self._browser.get(f"/hangfire/{address}")
        assert answer.status_code == status, answer.text
        return answer.text

    async def led_by(self, address: str) -> str:
        """Where the page at an address leads."""
        answer = await self._browser.get(f"/hangfire/{address}")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def rows(self, address: str) -> list[int]:
        """Numbers of the jobs in the list at an address, in its order."""
        return [int(number) for number in re.findall(r'<tr data-row id="job-(\d+)"', await self.page(address))]

    async def press(
        self, action: str, fields: Mapping[str, str | Sequence[str]], *, back: str = "jobs", confirm: bool = True
    ) -> str:
        """Press a button on the page `back`, confirm if asked, and return the next page."""
        query = back.partition("?")[2]
        form = {"csrf": await self._token(back), "back": back, "filter": query, **fields}
        answer = await self._browser.post(f"/hangfire/do/{action}", data=form)
        if answer.status_code == 200 and confirm:
            self.question = html.unescape(re.findall(r"<h1>(.*?)</h1>", answer.text)[0])
            answer = await self._browser.post(f"/hangfire/do/{action}", data={**form, "confirmed": "yes"})
        if answer.status_code == 200:
            return answer.text
        assert answer.status_code == 303, answer.text
        self.led_to = answer.headers["location"]
        return (await self._browser.get(urljoin(f"/hangfire/do/{action}", self.led_to))).text

    async def send_twice(self, action: str, fields: Mapping[str, str], *, back: str) -> str:
        """Send a form twice concurrently and return the message after the second."""
        form = {"csrf": await self._token(back), "back": back, "confirmed": "yes", **fields}
        answers = [self._browser.post(f"/hangfire/do/{action}", data=form) for _ in range(2)]
        locations = {answer.headers["location"] for answer in await asyncio.gather(*answers)}
        (self.led_to,) = locations
        await self._browser.post(f"/hangfire/do/{action}", data=form)
        return said_on((await self._browser.get(urljoin(f"/hangfire/do/{action}", self.led_to))).text)

    async def said(self, action: str, fields: Mapping[str, str | Sequence[str]], *, back: str = "jobs") -> str:
        """Press a button and return the message of the next page."""
        return said_on(await self.press(action, fields, back=back))

    async def ended(self, calls: Sequence[JobCall], state: JobState) -> list[BackgroundJobId]:
        """Jobs that a worker has run, each to the state."""
        ids = [job.id for job in await self.jobs.enqueue_many(calls)]
        async with self.site.worker():
            for job_id in ids:
                await self.site.reaches(job_id, state)
        return ids

    async def _token(self, address: str) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', await self.page(address))
        assert found is not None
        return found[1]


def said_on(page: str) -> str:
    """What a page says was done."""
    found = re.search(r'class="flash[^>]*>.*?</svg>(.*?)</div>', page, re.DOTALL)
    assert found is not None, page
    return html.unescape(found[1])


@asynccontextmanager
async def operating(url: str, access: Access | None = None, *, step_seconds: float = 2.0) -> AsyncIterator[Operator]:
    """A site in a fresh database, and an operator called ann at it."""
    async with open_jobs_site(url) as (site, pool):
        app = site.build(pool, access or FixedAccess(), step_seconds=step_seconds)
        async with browser_of(app) as browser:
            yield Operator(site, browser)


READER = FixedAccess(Role.READ_ONLY)
"""A read-only viewer."""
