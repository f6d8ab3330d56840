"""Lists of jobs with sorting, paging and filters, for every page that has one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import PageRequest
from bulkport.dashboard.core.several import exactly, listed
from bulkport.dashboard.core.table import Column, Paging, Sorting
from bulkport.dashboard.pages.job_call import arguments_in_a_line
from bulkport.dashboard.pages.job_filters import FILTERS, SEVERAL, TAGS, WITHIN, JobFilter, sorting_of, values_of
from bulkport.dashboard.pages.job_format import AS_THEY_ARE, JobFormat
from bulkport.dashboard.pages.job_names import JobNames, Names
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.dashboard.pages.waiting import reason_for_job
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.port.metrics import QueueStatus
from bulkport.jobs.port.query import JobCount, JobPage, JobSort

_MOST_COUNTED: Final = 1_000
_REMOVABLE: Final = (
    *("batch", "recurring", "task", "queue", "user", "tag", "server", "priority", "text", "error"),
    *("within", "since", "until"),
)
"""Filters that are shown above the list, each with a way to remove it."""

_FIELD_LABELS: Final = {
    "state": "State",
    "batch": "Batch",
    "recurring": "Recurring job",
    "task": "Task",
    "queue": "Queue",
    "user": "User",
    "tag": "Tag",
    "server": "Server",
    "priority": "Priority",
    "text": "Text",
    "error": "Error type",
    "within": "Time",
    "since": "From",
    "until": "To",
}
_NO_JOBS: Final = JobPage((), None, None)

_COLUMNS: Final = {
    "job": Column("Job"),
    "state": Column("State"),
    "queue": Column("Queue", is_minor=True),
    "server": Column("Server", is_minor=True),
    "priority": Column("Priority", is_number=True, is_minor=True),
    "progress": Column("Progress", is_minor=True),
    "created": Column("Created", JobSort.CREATED, is_number=True),
    "waiting": Column("Waiting", is_number=True),
    "due": Column("Due", JobSort.DUE, is_number=True),
    "last": Column("Last attempt", is_number=True, is_minor=True),
    "next": Column("Next attempt", JobSort.DUE, is_number=True),
    "running": Column("Running for", is_number=True),
    "failures": Column("Attempts", is_number=True, is_minor=True),
    "latency": Column("Queue latency", is_number=True, is_minor=True),
    "took": Column("Duration", JobSort.DURATION, is_number=True),
    "finished": Column("Finished", JobSort.FINISHED, is_number=True),
}


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list."""

    job: JobSummary
    arguments: str
    """On one line, masked; or what the application shows in their place."""
    error: str
    """Type and message of its last error; empty without one."""
    pick_label: str
    reason: str
    """Why it waits, beyond its turn; empty if nothing keeps it."""
    queue_address: str
    user_address: str


@dataclass(frozen=True, slots=True)
class FilterChip:
    """An active filter, or one of its values, and the address without it."""

    name: str
    value: str
    address: str
    before: str = ""
    """How it combines with the previous value: any or all."""


@dataclass(frozen=True, slots=True)
class JobList:
    """A list of jobs as its page shows it."""

    name: str
    """As `job_filters.LISTS` has it."""
    found: JobFilter
    rows: Sequence[JobRow]
    count: JobCount | None
    """None: each job would have to be read; that happens before an operation on all of them."""
    keys: Sequence[str]
    """Of the columns."""
    columns: Sequence[Column]
    sorting: Sorting
    paging: Paging
    names: Names
    chips: Sequence[FilterChip]
    is_unindexed: bool = False
    """Whether texts are searched without an index."""

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
    job_format:
        What the application shows in place of arguments.
    """

    def __init__(self, jobs: JobCalls, masking: Masking, job_format: JobFormat = AS_THEY_ARE) -> None:
        self._jobs = jobs
        self._format = job_format
        self._masking = masking
        self._queues = TTLCache(self._read_queues, seconds=1.0)
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
            The address is not valid.
        """
        found = JobFilter.lenient(request.query, state=state)
        sorting = sorting_of(request, found)
        query = replace(found.query, sort=JobSort(sorting.key), descending=sorting.descending)
        size = Paging.size_of(request)
        page, count = _NO_JOBS, None
        if not found.problems:
            cursor = request.query.get("cursor") or None
            async with self._jobs.reader.at_one_moment() as reader:
                page = await self._found.page(query, cursor, size, reader=reader)
                if not found.query.text:
                    count = await self._found.count(found, most=_MOST_COUNTED, reader=reader)
        waits = any(job.state is JobState.ENQUEUED for job in page.items)
        queues = await self._queues.get(None) if waits else ()
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
            [self._row(job, queues, request) for job in page.items],
            count,
            keys,
            columns,
            sorting,
            Paging(size, page.next_cursor, previous_cursor=page.previous_cursor),
            await self._names.read(),
            [chip for field in ("state", *_REMOVABLE) for chip in _chips(request, found, field)],
            is_unindexed=page.notice is not None,
        )

    async def _read_queues(self, _: None) -> Sequence[QueueStatus]:
        return await self._jobs.queues()

    def _row(self, job: JobSummary, queues: Iterable[QueueStatus], request: PageRequest) -> JobRow:
        error = ": ".join(part for part in (job.error_type, job.error) if part)
        reason = ""
        if job.is_held_back:
            reason = t("limit of {key} reached", key=job.concurrency_key)
        elif job.state is JobState.ENQUEUED:
            reason = reason_for_job(queues, job.queue, job.task)
        return JobRow(
            job,
            self._format.arguments_of(job, self._masking) or arguments_in_a_line(job, self._masking),
            error[:300],
            t("Select job {job}", job=job.id),
            reason,
            request.here(queue=exactly(job.queue), cursor=None),
            request.here(user=exactly(job.user_id), cursor=None),
        )


def _chips(request: PageRequest, found: JobFilter, field: str) -> Iterable[FilterChip]:
    """A chip for each value of a field. One state has a page of its own, and none."""
    label = t(_FIELD_LABELS[field])
    if field not in SEVERAL:
        if value := request.query.get(field):
            yield FilterChip(label, _shown_value(field, value), request.here(**{field: None, "cursor": None}))
        return
    values = values_of(request.query, field)
    if field == "state" and len(values) < 2:
        return
    join = t("and") if field == "tag" and found.query.has_all_tags else t("or")
    for place, value in enumerate(values):
        left = listed(other for other in values if other != value)
        changes = {field: left or None, "cursor": None} | ({TAGS: None} if field == "tag" and not left else {})
        shown = t(value) if field == "state" else value
        yield FilterChip(label, shown, request.here(**changes), join if place else "")


def _shown_value(field: str, value: str) -> str:
    return t(WITHIN[value][1]) if field == "within" and value in WITHIN else value


def address_without_filters(request: PageRequest) -> str:
    """The same list without its filters."""
    several_states = {} if len(values_of(request.query, "state")) < 2 else {"state": None}
    return request.here(**dict.fromkeys((*FILTERS, TAGS, "cursor")), **several_states)
