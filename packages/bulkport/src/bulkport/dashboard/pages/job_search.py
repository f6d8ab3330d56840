"""Searches jobs without revealing masked values: a match only in a masked value does not count."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.pages.job_filters import JobFilter
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JSONValue
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.port.query import MOST_JOBS_A_PAGE, JobCount, JobPage, JobQuery
from bulkport.jobs.port.reading import JobReader

_READ_A_PAGE: Final = 100
"""Jobs with their arguments, for an order: each of them is looked into."""
_LOOKED_INTO_SECONDS: Final = 1.0
"""How long jobs are looked into for one page or one number."""


@dataclass(frozen=True, slots=True)
class WalkedJobs:
    """Some of the jobs that a filter finds, oldest first."""

    ids: Sequence[BackgroundJobId]
    next_cursor: str | None
    """Where to go on; None: these were the last ones."""


class JobSearch:
    """Counts jobs and walks through them.

    Parameters
    ----------
    masking:
        Says what may not be seen. A search for a text that only such a value has finds nothing.
    """

    def __init__(self, jobs: JobCalls, masking: Masking) -> None:
        self._jobs = jobs
        self._masking = masking

    async def page(self, query: JobQuery, cursor: str | None, size: int, *, reader: JobReader | None = None) -> JobPage:
        """A page of the jobs that a query finds and that may be shown; read at the moment of `reader`, if one is given.

        If some jobs on the first page may not, it continues for up to a second until it is full: an empty page that
        has a next one would reveal that there are such jobs.
        """
        source = reader or self._jobs.reader
        page = await source.search(query, cursor=cursor, limit=size)
        visible = await self._visible(page, query, source)
        if cursor is None and len(visible) < len(page.items):
            until = time.monotonic() + _LOOKED_INTO_SECONDS
            while len(visible) < size and page.next_cursor is not None and time.monotonic() < until:
                page = await source.search(query, cursor=page.next_cursor, limit=size - len(visible))
                visible += await self._visible(page, query, source)
            return JobPage(tuple(visible), page.next_cursor, None, page.notice)
        return replace(page, items=tuple(visible))

    async def count(self, found: JobFilter, *, most: int, reader: JobReader | None = None) -> JobCount:
        """How many jobs a filter finds, counted up to `most`; all jobs of a state are known without counting.

        Those with a text are looked into one by one, for about a second: there may be more of them.
        """
        if found.query.text:
            return await self._count_visible(found, most)
        source = reader or self._jobs.reader
        if found.is_narrowed:
            return await source.count(found.query, most=most)
        states = (await source.statistics()).states
        return JobCount(sum(states.values()) if found.state is None else states[found.state], is_more=False)

    async def walk(self, found: JobFilter, begun_at: datetime, cursor: str | None) -> WalkedJobs:
        """Some hundred jobs of those that a filter found when a walk began.

        Parameters
        ----------
        begun_at:
            When the walk began. Jobs that are younger are left out; where only ended jobs are asked for, those as well
            that have ended since.
        cursor:
            Where to go on; None: from the first one.
        """
        query = found.query.walked_from(begun_at)
        if not query.text:
            some = await self._jobs.reader.ids(query, after=cursor, limit=MOST_JOBS_A_PAGE)
            return WalkedJobs(some.ids, some.next_cursor)
        page = await self._jobs.search(query, cursor=cursor, limit=_READ_A_PAGE)
        return WalkedJobs([job.id for job in await self._visible(page, query, self._jobs.reader)], page.next_cursor)

    async def _visible(self, page: JobPage, query: JobQuery, source: JobReader) -> list[JobSummary]:
        return [job for job in page.items if await self._is_visible(job, query.text, source)]

    async def _is_visible(self, job: JobSummary, text: str | None, source: JobReader) -> bool:
        """Whether the text occurs outside masked values: a search must not reveal them."""
        if not text:
            return True
        args: JSONValue = job.args
        if args is None:
            # Too long for a list.
            details = await source.details(job.id)
            if details is None:
                return False
            args = details.job.args
        shown = self._masking.apply(args)
        if shown == args:
            return True
        visible = f"{json.dumps(shown, ensure_ascii=False)} {job.error_type or ''}: {job.error or ''}".casefold()
        return any(part.casefold() in visible for part in (text, json.dumps(text, ensure_ascii=False)[1:-1]))

    async def _count_visible(self, found: JobFilter, most: int) -> JobCount:
        jobs, cursor = 0, None
        until = time.monotonic() + _LOOKED_INTO_SECONDS
        while True:
            page = await self._jobs.search(found.query, cursor=cursor, limit=MOST_JOBS_A_PAGE)
            jobs += len(await self._visible(page, found.query, self._jobs.reader))
            cursor = page.next_cursor
            if cursor is None or jobs > most or time.monotonic() > until:
                return JobCount(min(jobs, most), is_more=cursor is not None or jobs > most)
