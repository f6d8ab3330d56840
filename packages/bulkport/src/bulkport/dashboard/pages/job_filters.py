"""Parses the job filters of a page's address."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from bulkport.dashboard.core.language import joined, t
from bulkport.dashboard.core.page import PageRequest, Query
from bulkport.dashboard.core.several import several
from bulkport.dashboard.core.table import Sorting
from bulkport.dashboard.core.times import parse_time
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.job import JobState
from bulkport.jobs.port.query import JobQuery, JobSort

WITHIN: Final = {
    "15min": (timedelta(minutes=15), "Last 15 minutes"),
    "hour": (timedelta(hours=1), "Last hour"),
    "day": (timedelta(days=1), "Last 24 hours"),
    "week": (timedelta(days=7), "Last 7 days"),
    "month": (timedelta(days=30), "Last 30 days"),
}
"""Periods that end now, by the value of the field `within`."""

_NAMES: Final = ("task", "queue", "user", "error", "recurring", "tag", "server")
SEVERAL: Final = ("state", *_NAMES, "priority")
"""Fields that take several values, of which a job has any: `queue=mail,reports`."""
_TIMES: Final = ("within", "since", "until")
LISTS: Final[dict[str, JobState | None]] = {"jobs": None, "retries": JobState.RETRYING}
"""The lists on whose jobs operators can act all at once, by the path of their page, with the state that they show."""
FILTERS: Final = ("task", "queue", "user", "text", "error", "recurring", "tag", "server", "priority", "batch", *_TIMES)
"""The fields that narrow down a list, beside `state`."""
TAGS: Final = "tags"
"""The field that is `all` where jobs must have each of several tags."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The jobs that an address asks for.

    Fields: `state`, the texts `task`, `queue`, `user`, `text` (in arguments and errors), `error` (type),
    `recurring`, `tag` and `server`, the numbers `priority` and `batch`, and the times `within`, `since` and `until`
    (see `bulkport.dashboard.core.times`). Those of `SEVERAL` take several values, separated by commas; with `tags=all`
    jobs must have each of the tags.
    Times are finish times if only finished jobs are requested, else creation times.
    """

    query: JobQuery
    state: JobState | None
    """The requested one; None for all or several."""
    is_narrowed: bool
    """Whether anything but one state matters."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Errors by field; such a filter finds nothing."""

    @property
    def is_about_ended(self) -> bool:
        """Whether the times are those at which jobs ended."""
        return bool(self.query.states) and all(state.is_final for state in self.query.states)

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
    def lenient(cls, fields: Query, *, state: JobState | None = None) -> "JobFilter":
        """As `of`, for a page that shows the problems of the times beside their fields."""
        now = datetime.now(UTC)
        problems: dict[str, str] = {}
        for name in ("since", "until"):
            try:
                _time(fields, name, now)
            except InvalidJobQuery as error:
                problems[name] = error.detail
        valid = cls.of(fields.with_(**dict.fromkeys(problems)), state=state, now=now)
        return replace(valid, is_narrowed=True, problems=problems) if problems else valid

    @classmethod
    def of(cls, fields: Query, *, state: JobState | None = None, now: datetime | None = None) -> "JobFilter":
        """What the fields say.

        Parameters
        ----------
        state:
            Of a page that is about one state, whatever its address says.
        now:
            What relative times are relative to; None: now.

        Raises
        ------
        InvalidJobQuery
            A value that its field cannot have. (It is not ignored: an operation on all matching jobs would go too far.)
        """
        states = {state} if state is not None else {_state(name) for name in values_of(fields, "state")}
        names = {name: values_of(fields, name) or None for name in _NAMES}
        now = now or datetime.now(UTC)
        since, until = _since(fields, now), _time(fields, "until", now)
        ended = bool(states) and all(one.is_final for one in states)
        query = JobQuery(
            states=states,
            task=names["task"],
            queue=names["queue"],
            user_id=names["user"],
            text=fields.get("text") or None,
            error_type=names["error"],
            recurring_id=names["recurring"],
            tag=names["tag"],
            has_all_tags=_has_all_tags(fields),
            server=names["server"],
            priority=_priorities(fields),
            batch_id=_batch(fields),
            created_since=None if ended else since,
            created_until=None if ended else until,
            finished_since=since if ended else None,
            finished_until=until if ended else None,
        )
        state = next(iter(states)) if len(states) == 1 else None
        return cls(query, state, len(states) > 1 or any(fields.get(name) for name in FILTERS))


def values_of(fields: Query, name: str) -> tuple[str, ...]:
    """The values of a field that takes several; it may also be given several times."""
    return tuple(dict.fromkeys(value for text in fields.all(name) for value in several(text)))


def sorting_of(request: PageRequest, found: JobFilter) -> Sorting:
    """The order of the found jobs.

    By default the latest finished ones come first, and of those that wait for a time the next due. With a filter no
    index leads by the finish, so the latest created ones come first unless the address asks otherwise. (Few jobs wait
    for a time, so these are sorted by it with filters too.)
    """
    default = JobSort.CREATED
    if found.is_about_ended and not any(request.query.get(name) for name in FILTERS if name not in _TIMES):
        default = JobSort.FINISHED
    elif found.is_about_waiting_for_time:
        default = JobSort.DUE
    return Sorting.of(request, found.sorts, default, rising=(JobSort.DUE,))


def in_words(fields: Query, *, state: JobState | None = None, count: str = "") -> str:
    """Which jobs: `87 failed send_report jobs (text: timeout)`."""
    shown = (state.value,) if state is not None else values_of(fields, "state")
    words = [
        count,
        _either(map(t, shown)),
        _either(values_of(fields, "task")),
        t("job") if count == "1" else t("jobs"),
    ]
    narrowed = [
        joined("", (t(name), ": ", _values_in_words(fields, name)))
        for name in FILTERS
        if name != "task" and fields.get(name)
    ]
    if narrowed:
        words.append(joined("", ("(", joined(", ", narrowed), ")")))
    return joined(" ", (word for word in words if word))


def _values_in_words(fields: Query, name: str) -> str:
    if name not in SEVERAL:
        return fields.get(name)
    if name == "tag" and _has_all_tags(fields):
        return joined(joined("", (" ", t("and"), " ")), values_of(fields, name))
    return _either(values_of(fields, name))


def _either(values: Iterable[str]) -> str:
    return joined(joined("", (" ", t("or"), " ")), values)


def _has_all_tags(fields: Query) -> bool:
    wanted = fields.get(TAGS)
    if wanted not in ("", "any", "all"):
        raise InvalidJobQuery(t('"{text}" is neither any nor all.', text=wanted))
    return wanted == "all"


def _state(name: str) -> JobState:
    try:
        return JobState(name)
    except ValueError:
        raise InvalidJobQuery(t('Unknown state "{state}".', state=name)) from None


def _batch(fields: Query) -> int | None:
    text = fields.get("batch")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or int(text) == 0:
        raise InvalidJobQuery(t('"{text}" is not a batch number.', text=text))
    return int(text)


def _priorities(fields: Query) -> tuple[int, ...] | None:
    found = values_of(fields, "priority")
    for text in found:
        if not re.fullmatch(r"-?\d{1,10}", text, re.ASCII) or not -(2**31) <= int(text) < 2**31:
            raise InvalidJobQuery(t('"{text}" is not a priority, which is a whole number.', text=text))
    return tuple(map(int, found)) or None


def _since(fields: Query, now: datetime) -> datetime | None:
    name = fields.get("within")
    if not name:
        return _time(fields, "since", now)
    if name not in WITHIN:
        raise InvalidJobQuery(t('Unknown period "{period}".', period=name))
    # In whole seconds, so that two reads of a page ask nearly the same.
    earliest = now.replace(microsecond=0) - WITHIN[name][0]
    since = _time(fields, "since", now)
    return earliest if since is None else max(since, earliest)


def _time(fields: Query, name: str, now: datetime) -> datetime | None:
    text = fields.get(name)
    if not text:
        return None
    time = parse_time(text, now)
    if time is None:
        raise InvalidJobQuery(t("Enter a date like 2026-07-01 14:00, yesterday or 2h ago."))
    return time
