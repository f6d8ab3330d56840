"""Which jobs a page's address asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bulkport.dashboard.core.page import PageRequest, Query
from bulkport.dashboard.core.table import Sorting
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.job import JobState
from bulkport.jobs.reading.query import JobQuery, JobSort

WITHIN: Final = {
    "15min": (timedelta(minutes=15), "Last 15 minutes"),
    "hour": (timedelta(hours=1), "Last hour"),
    "day": (timedelta(days=1), "Last 24 hours"),
    "week": (timedelta(days=7), "Last 7 days"),
    "month": (timedelta(days=30), "Last 30 days"),
}
"""Stretches of time that end now, as the field `within` has them."""

_TEXTS: Final = ("task", "queue", "user", "text", "error", "recurring")
_TIMES: Final = ("within", "since", "until")
LISTS: Final[dict[str, JobState | None]] = {"jobs": None, "retries": JobState.RETRYING}
"""The lists whose jobs can all be meant, by the path of their page, and the state that a list is about."""
FILTERS: Final = (*_TEXTS, "batch", *_TIMES)
"""The fields that narrow down what is found, beside `state`."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The jobs that an address asks for.

    Fields: `state`, the texts `task`, `queue`, `user`, `text` (in arguments and errors), `error` (type) and
    `recurring`, the number `batch`, and the times `within`, `since` and `until` (ISO 8601, in UTC where they name no
    zone). Times are those at which jobs ended where only jobs are asked for that have, else those of their creation.
    """

    query: JobQuery
    state: JobState | None
    is_narrowed: bool
    """Whether anything but the state matters."""

    @property
    def is_about_ended(self) -> bool:
        """Whether the times are those at which jobs ended."""
        return self.state is not None and self.state.is_final

    @property
    def is_about_waiting_for_time(self) -> bool:
        """Whether the jobs wait for a time or for their next attempt."""
        return self.state in (JobState.SCHEDULED, JobState.RETRYING)

    @property
    def sorts(self) -> Sequence[JobSort]:
        """What the jobs can be sorted by."""
        if self.is_about_ended:
            return (JobSort.CREATED, JobSort.FINISHED, JobSort.DURATION)
        return (JobSort.CREATED, JobSort.DUE) if self.is_about_waiting_for_time else (JobSort.CREATED,)

    @classmethod
    def of(cls, fields: Query, *, state: JobState | None = None, now: datetime | None = None) -> "JobFilter":
        """What the fields say.

        Parameters
        ----------
        state:
            Of a page that is about one state, whatever its address says.
        now:
            When stretches of time end; None: now.

        Raises
        ------
        InvalidJobQuery
            A value that its field cannot have. (It is not left out: an order for all jobs that match would go too far.)
        """
        if state is None and (name := fields.get("state")):
            state = _state(name)
        texts = {name: fields.get(name) or None for name in _TEXTS}
        since, until = _since(fields, now or datetime.now(UTC)), _time(fields, "until")
        ended = state is not None and state.is_final
        query = JobQuery(
            states=frozenset() if state is None else {state},
            task=texts["task"],
            queue=texts["queue"],
            user_id=texts["user"],
            text=texts["text"],
            error_type=texts["error"],
            recurring_id=texts["recurring"],
            batch_id=_batch(fields),
            created_since=None if ended else since,
            created_until=None if ended else until,
            finished_since=since if ended else None,
            finished_until=until if ended else None,
        )
        return cls(query, state, any(fields.get(name) for name in FILTERS))


def sorting_of(request: PageRequest, found: JobFilter) -> Sorting:
    """By what the found jobs are sorted.

    By default those that have ended last are the first, and of those that wait for a time the ones that come next.
    Together with a filter there is no index for the end, so it is then the latest created ones, unless the address asks
    for the other. (What waits for a time is little beside what has ended, so it is sorted by that with filters too.)
    """
    default = JobSort.CREATED
    if found.is_about_ended and not any(request.query.get(name) for name in FILTERS if name not in _TIMES):
        default = JobSort.FINISHED
    elif found.is_about_waiting_for_time:
        default = JobSort.DUE
    return Sorting.of(request, found.sorts, default, rising=(JobSort.DUE,))


def in_words(fields: Query, *, state: JobState | None = None) -> str:
    """Which jobs: `all failed jobs with task send_report and text timeout`."""
    shown = state.value if state is not None else fields.get("state")
    narrowed = [f"{name} {fields.get(name)}" for name in FILTERS if fields.get(name)]
    return f"all {shown + ' ' if shown else ''}jobs" + (f" with {' and '.join(narrowed)}" if narrowed else "")


def _state(name: str) -> JobState:
    try:
        return JobState(name)
    except ValueError:
        raise InvalidJobQuery(f"Jobs have no state {name!r}.") from None


def _batch(fields: Query) -> int | None:
    text = fields.get("batch")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or int(text) == 0:
        raise InvalidJobQuery(f"A batch has a number, which {text!r} is not.")
    return int(text)


def _since(fields: Query, now: datetime) -> datetime | None:
    name = fields.get("within")
    if not name:
        return _time(fields, "since")
    if name not in WITHIN:
        raise InvalidJobQuery(f"There is no stretch of time {name!r}.")
    # In whole seconds, so that one look at a page and the next one ask nearly the same.
    earliest = now.replace(microsecond=0) - WITHIN[name][0]
    since = _time(fields, "since")
    return earliest if since is None else max(since, earliest)


def _time(fields: Query, name: str) -> datetime | None:
    text = fields.get(name)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidJobQuery(f"{text!r} is no time such as 2026-07-01T14:00.") from None
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)
