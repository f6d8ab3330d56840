"""Job queries: filters, order and pages."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from bulkport.identifiers import MAX_BIGINT, AnyUserId, BackgroundJobId, with_text_id
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.port.queueing import is_integer
from bulkport.sanitize import NotStorable, require_storable

MOST_JOBS_A_PAGE: Final = 500

MOST_CHOSEN: Final = 100
"""Values that one criterion may have."""

Chosen: TypeAlias = str | Collection[str] | None
"""One value, or several of which a job has any."""

_WITH_DUE_TIME: Final = frozenset({JobState.SCHEDULED, JobState.RETRYING})


class JobSort(StrEnum):
    """What jobs are sorted by, then by id."""

    CREATED = "created"
    FINISHED = "finished"
    """When the job ended. Jobs that have not ended are left out."""
    DURATION = "duration"
    """How long the last run took, in whole milliseconds. Jobs that have not ended are left out; those that never ran
    took no time."""
    DUE = "due"
    """When a job is due. Only scheduled and retrying jobs have such a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Selects and sorts jobs. Criteria that are not given do not restrict.

    Most take one value, or several of which a job has any: `queue="mail"`, `queue=["mail", "reports"]`.

    Raises
    ------
    InvalidJobQuery
        A time without zone, an unknown state, a text or number that no job can have, or none or more than 100 of them.
    """

    states: Collection[JobState] = frozenset()
    """Any of these; empty: whatever the state. ENQUEUED are those that wait, PROCESSING those that run."""
    task: Chosen = None
    queue: Chosen = None
    user_id: AnyUserId | Collection[AnyUserId] | None = None
    text: str | None = None
    """Part of the arguments, written as JSON or as they are, or of the type or message of the last error; upper
    and lower case are the same. `"order_id": 7`, an argument with a number, true, false or null, means that value
    alone, not 77."""
    error_type: Chosen = None
    """Type of the last error, as the job has it."""
    batch_id: int | None = None
    recurring_id: Chosen = None
    tag: Chosen = None
    """One of the words that the application marked the job with."""
    has_all_tags: bool = False
    """Of several tags, a job must have each, not any."""
    server: Chosen = None
    """Name of the server of the present run, or of the last one."""
    priority: int | Collection[int] | None = None
    created_since: datetime | None = None
    """At this time (aware) or later."""
    created_until: datetime | None = None
    """Before this time (aware)."""
    finished_since: datetime | None = None
    """Ended at this time (aware) or later."""
    finished_until: datetime | None = None
    sort: JobSort = JobSort.CREATED
    descending: bool = True
    """Newest, latest or longest first."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", _states(self.states))
        object.__setattr__(self, "sort", _sort(self.sort))
        for name in _CHOSEN:
            object.__setattr__(self, name, _chosen(name, getattr(self, name)))
        _require_text("text", self.text)
        for name in _TIMES:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
                raise InvalidJobQuery(f"{name} is a datetime with a time zone: {value!r:.80}")
        number = self.batch_id
        if number is not None and not (isinstance(number, int) and 0 < number <= MAX_BIGINT):
            raise InvalidJobQuery(f"batch_id is not the id of a batch: {number!r:.80}")

    @property
    def possible_states(self) -> frozenset[JobState]:
        """The states that jobs which the query finds can be in; empty: it finds none."""
        possible = frozenset(self.states or JobState)
        by_end = self.finished_since is not None or self.finished_until is not None
        if by_end or self.sort in (JobSort.FINISHED, JobSort.DURATION):
            possible = frozenset(state for state in possible if state.is_final)
        if self.sort is JobSort.DUE:
            possible &= _WITH_DUE_TIME
        return possible

    def walked_from(self, begun_at: datetime) -> "JobQuery":
        """The same jobs from the oldest to the youngest, without those created since `begun_at`, and without those
        that have ended since where only ended ones are found.

        The query must find some state: see `possible_states`.
        """
        are_ended = all(state.is_final for state in self.possible_states)
        return replace(
            self,
            states=self.possible_states,
            created_until=min(begun_at, self.created_until or begun_at),
            finished_until=min(begun_at, self.finished_until or begun_at) if are_ended else self.finished_until,
            sort=JobSort.CREATED,
            descending=False,
        )


_CHOSEN: Final = ("task", "queue", "user_id", "error_type", "recurring_id", "tag", "server", "priority")
_TIMES: Final = ("created_since", "created_until", "finished_since", "finished_until")


def _states(given: Collection[JobState]) -> frozenset[JobState]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidJobQuery(f"states takes several, such as {{JobState.FAILED}}: {given!r:.80}")
    try:
        return frozenset(map(JobState, given))
    except ValueError as error:
        raise InvalidJobQuery(f"states: {error}; there are {', '.join(JobState)}") from None


def _sort(given: JobSort) -> JobSort:
    try:
        return JobSort(given)
    except ValueError as error:
        raise InvalidJobQuery(f"sort: {error}; there are {', '.join(JobSort)}") from None


def _chosen(name: str, given: Any) -> Any:
    """One value, or several as a sorted tuple."""
    if given is None or isinstance(given, str) or not isinstance(given, Collection):
        return _value(name, given)
    if not 1 <= len(given) <= MOST_CHOSEN:
        raise InvalidJobQuery(f"{name} takes one value, or up to {MOST_CHOSEN}: {len(given)} are given")
    values = sorted({_value(name, each) for each in given if each is not None})
    return tuple(values) if len(values) != 1 else values[0]


def _value(name: str, given: Any) -> Any:
    if name == "priority":
        if given is not None and not is_integer(given):
            raise InvalidJobQuery(f"priority is not the priority of a job: {given!r:.80}")
        return given
    text = with_text_id(given) if name == "user_id" else given
    _require_text(name, text)
    return text


def _require_text(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        hint = ": give the task's name" if name == "task" else ""
        raise InvalidJobQuery(f"{name} is text, not {value!r:.80}{hint}")
    try:
        require_storable(value)
    except NotStorable as error:
        raise InvalidJobQuery(f"{name}: {error}") from None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some of the jobs that a query finds, in its order."""

    items: tuple[JobSummary, ...]
    next_cursor: str | None
    """Where the next page begins; None: this is the last one. A page may be short, even empty, and yet have a next
    one: a search for text looks through so many jobs a page that no index covers."""
    previous_cursor: str | None
    """Where the page before ends; None: this is the first one."""
    notice: str | None = None
    """Why the search took longer than it need to; None: it did not."""


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs a query finds."""

    jobs: int
    is_more: bool
    """There are more than `jobs`, but it was not worth counting them."""


@dataclass(frozen=True, slots=True)
class JobIds:
    """Some of the ids of jobs that a query finds."""

    ids: tuple[BackgroundJobId, ...]
    next_cursor: str | None
    """Where to go on; None: these were the last ones."""
