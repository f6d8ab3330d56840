"""A page of jobs with its sorting, cursor and filters, for every page that lists jobs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import PageRequest
from bulkport.dashboard.core.table import Column, Paging, Sorting
from bulkport.dashboard.pages.job_call import arguments_in_a_line
from bulkport.dashboard.pages.job_filters import FILTERS, WITHIN, JobFilter, sorting_of
from bulkport.dashboard.pages.job_names import JobNames, Names
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.dashboard.pages.managed_jobs import ManagedJobs
from bulkport.jobs.job import JobState
from bulkport.jobs.reading.details import JobSummary
from bulkport.jobs.reading.query import JobCount, JobSort

_MOST_COUNTED: Final = 1_000
_REMOVABLE: Final = ("batch", "recurring", "error", "since", "until")
"""Filters that links lead to and the form shows only when they are set."""

_COLUMNS: Final = {
    "job": Column("Job"),
    "state": Column("State"),
    "queue": Column("Queue", is_minor=True),
    "server": Column("Server", is_minor=True),
    "priority": Column("Priority", is_number=True, is_minor=True),
    "progress": Column("Progress", is_minor=True),
    "created": Column("Created", JobSort.CREATED, is_number=True),
    "waiting": Column("Waits for", is_number=True),
    "due": Column("Due", JobSort.DUE, is_number=True),
    "last": Column("Last attempt", is_number=True, is_minor=True),
    "next": Column("Next attempt", JobSort.DUE, is_number=True),
    "running": Column("Runs for", is_number=True),
    "failures": Column("Failed attempts", is_number=True, is_minor=True),
    "latency": Column("Waited", is_number=True, is_minor=True),
    "took": Column("Took", JobSort.DURATION, is_number=True),
    "finished": Column("Ended", JobSort.FINISHED, is_number=True),
}


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list."""

    job: JobSummary
    arguments: str
    """On one line, masked."""
    error: str
    """Type and message of its last error; empty without one."""


@dataclass(frozen=True, slots=True)
class FilterChip:
    """A filter that is set, and the address without it."""

    name: str
    value: str
    address: str


@dataclass(frozen=True, slots=True)
class JobList:
    """What a list of jobs shows."""

    name: str
    """As `job_filters.LISTS` has it."""
    found: JobFilter
    rows: Sequence[JobRow]
    count: JobCount | None
    """None: each would have to be looked into; that is done before all are acted on."""
    keys: Sequence[str]
    """Of the columns."""
    columns: Sequence[Column]
    sorting: Sorting
    paging: Paging
    names: Names
    chips: Sequence[FilterChip]

    @property
    def stretches(self) -> Sequence[tuple[str, str]]:
        """What the filter for time offers."""
        return [("", "Any time"), *((name, label) for name, (_, label) in WITHIN.items())]


class JobLists:
    """Reads lists of jobs.

    Parameters
    ----------
    masking:
        Hides arguments.
    """

    def __init__(self, jobs: ManagedJobs, masking: Masking) -> None:
        self._masking = masking
        self._found = JobSearch(jobs, masking)
        self._names = JobNames(jobs)

    async def read(
        self, request: PageRequest, name: str, keys: Sequence[str], *, state: JobState | None = None
    ) -> JobList:
        """The list that an address asks for.

        Parameters
        ----------
        keys:
            Of the columns.
        state:
            Of a page that is about one state.

        Raises
        ------
        InvalidJobQuery, InvalidCursor
            The address is none that a list has.
        """
        found = JobFilter.of(request.query, state=state)
        sorting = sorting_of(request, found)
        query = replace(found.query, sort=JobSort(sorting.key), descending=sorting.descending)
        size = Paging.size_of(request)
        page = await self._found.page(query, request.query.get("cursor") or None, size)
        columns = [
            replace(
                _COLUMNS[key],
                sort_key=_COLUMNS[key].sort_key if _COLUMNS[key].sort_key in found.sorts else None,
                is_minor=_COLUMNS[key].is_minor or (key == "created" and keys[-1] != key),
            )
            for key in keys
        ]
        return JobList(
            name,
            found,
            [self._row(job) for job in page.items],
            None if found.query.text else await self._found.count(found, most=_MOST_COUNTED),
            keys,
            columns,
            sorting,
            Paging(size, page.next_cursor, previous_cursor=page.previous_cursor),
            await self._names.read(),
            [
                FilterChip(field, request.query.get(field), request.here(**{field: None, "cursor": None}))
                for field in _REMOVABLE
                if request.query.get(field)
            ],
        )

    def _row(self, job: JobSummary) -> JobRow:
        error = ": ".join(part for part in (job.error_type, job.error) if part)
        return JobRow(job, arguments_in_a_line(job, self._masking), error[:300])


def address_without_filters(request: PageRequest) -> str:
    """The same list without its filters."""
    return request.here(**dict.fromkeys((*FILTERS, "cursor")))
