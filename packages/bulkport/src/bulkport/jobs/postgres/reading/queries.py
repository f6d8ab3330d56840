"""Statements that find jobs of one state, each of them reading a bounded part of the table.

The order of a query is that of an index that begins with the state, or with one filter and the state. The part of
the query that this index cannot answer is its *rest*: a text, a second filter, a time that is not the one sorted by. It
is met in one of two ways. *Scanning* looks at the next so many jobs in the order, and says where it ended. *Gathering*
collects what there is by whatever other indexes answer it, unless that is too much, and sorts it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import sql

from bulkport.jobs.job import JobState
from bulkport.jobs.port.query import JobQuery, JobSort
from bulkport.jobs.postgres.reading.cursors import Start

MOST_SCANNED: Final = 10_000
"""Jobs of one state that are looked at for one page."""
MOST_LOOKED_UP: Final = 3_000
"""The same where each is looked up."""
MOST_LED: Final = 10
"""Values of one filter that are looked for one by one, each by its index; more are asked of each job."""
_VALUES: Final[dict[JobSort, LiteralString]] = {
    JobSort.CREATED: "job.created_at",
    JobSort.FINISHED: "job.finished_at",
    JobSort.DURATION: "date_trunc('milliseconds', COALESCE(job.finished_at - job.started_at, interval '0'))",
    JobSort.DUE: "job.due_at",
}

# What the index of an order leaves out.
_HAVING_VALUE: Final[dict[JobSort, LiteralString]] = {
    JobSort.FINISHED: "true",
    JobSort.DURATION: "true",
    JobSort.DUE: "job.due_at IS NOT NULL",
}

# In the order in which they are likely to leave the fewest jobs; each has an index (…, state, created_at, job_id).
_LEADING_FILTERS: Final = ("batch_id", "user_id", "error_type", "task", "queue")
_OTHER_FILTERS: Final = ("recurring_id",)
# Its index leaves out the priority that most jobs have.
_PRIORITY: Final = "priority"

_TIMES: Final[dict[str, LiteralString]] = {
    "created_since": "job.created_at >= %(created_since)s",
    "created_until": "job.created_at < %(created_until)s",
    "finished_since": "job.finished_at >= %(finished_since)s",
    "finished_until": "job.finished_at < %(finished_until)s",
}

# What the index of an order says of the times. No job ends before it is created.
_ORDERED_TIMES: Final[dict[JobSort, dict[str, LiteralString]]] = {
    JobSort.CREATED: {
        "created_since": _TIMES["created_since"],
        "created_until": _TIMES["created_until"],
        "finished_until": "job.created_at < %(finished_until)s",
    },
    JobSort.FINISHED: {
        "finished_since": _TIMES["finished_since"],
        "finished_until": _TIMES["finished_until"],
        "created_since": "job.finished_at >= %(created_since)s",
    },
    JobSort.DURATION: {},
    JobSort.DUE: {},
}

# One look-up for each job that is looked at, and none for those after the last one found; a join of another kind would
# read the whole table.
_JOBS: Final = sql.SQL("CROSS JOIN LATERAL (SELECT * FROM {} AS one WHERE one.job_id = next.job_id OFFSET 0) AS job")

_TAGGED: Final = sql.SQL("job.job_id IN (SELECT job_id FROM bulkport.job_tags WHERE {})")
_RUN_BY: Final = sql.SQL("job.worker_id IN (SELECT worker_id FROM bulkport.servers WHERE {})")
# Tags are by id: no look-up.
_IDS: Final = sql.SQL("CROSS JOIN LATERAL (SELECT next.job_id) AS job").format()
_LEAST_ANCHOR: Final = 4
_ARGUMENT: Final = re.compile(r'": (-?\d+(\.\d+)?|true|false|null)$')
"""Matches a JSON argument that is not text up to its end, so that 7 does not match 77."""

_ASKED_OF_WAITING: Final = (
    *("job_id", "task", "queue", "priority", "user_id", "batch_id", "recurring_id", "server", "worker_id"),
    *("error_type", "error", "created_at", "due_at"),
)
"""What the rest of a query asks of a job that waits or runs, beside its arguments."""
_CHECKED: Final = ("job_id", "server", "priority", "created_at", "finished_at")
"""The same of one that has ended, where no index is of use."""
_FINISHED_TEXT: Final[LiteralString] = "job.search_text"
# As bulkport.search_text, in two parts: most of these jobs have no error, and a call costs as much as the comparison.
_UNFINISHED_TEXT: Final[LiteralString] = (
    "(left(job.args::text, 8000) ILIKE ANY ({texts}) "
    "OR (job.error_type IS NOT NULL AND concat_ws(': ', job.error_type, job.error) ILIKE ANY ({texts})))"
)
_LIVE: Final = sql.SQL("bulkport.jobs")
_FINISHED: Final = sql.SQL("bulkport.finished_jobs")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and its arguments."""

    text: sql.Composed
    arguments: dict[str, Any]


class StateQuery:
    """A query for the jobs of one state.

    Jobs that wait or run have few indexes, so that they cost little: filters are met by looking at the next ones.

    Parameters
    ----------
    leading
        The filter of several values that is met by an index for each, and the one that is meant here.
    """

    def __init__(
        self, query: JobQuery, state: JobState, leading: tuple[str, Any] | None = None, *, has_text_index: bool = True
    ) -> None:
        values = None if leading is None else getattr(query, leading[0])
        self._shares = len(values) if isinstance(values, tuple) else 1
        self._query = query
        self._has_text_index = has_text_index
        self.state = state
        self.leading = leading
        self._table = _FINISHED if state.is_final else _LIVE
        self._value = sql.SQL(_VALUES[query.sort])
        ordered: list[sql.Composed] = []
        self._tags = list(self._tag_conditions())
        rest = [*self._filters(leading_filter(query, state)), *self._tags]
        if query.sort is not JobSort.CREATED:
            ordered.append(sql.SQL(_HAVING_VALUE[query.sort]).format())
        elif leading is None and leading_filter(query, state) is not None:
            ordered.append(rest.pop(0))
        for name, condition in _ORDERED_TIMES[query.sort].items():
            if getattr(query, name) is not None:
                ordered.append(sql.SQL(condition).format())
        for name, condition in _TIMES.items():
            if getattr(query, name) is not None and condition not in _ORDERED_TIMES[query.sort].values():
                rest.append(sql.SQL(condition).format())
        if query.text:
            rest.append(self._text_condition(query.text))
        self._shared, self._rest = ordered, rest
        self._ordered = [_of([self]), *ordered]

    @property
    def has_rest(self) -> bool:
        """Whether the index of the order cannot answer all of the query."""
        return bool(self._rest)

    def bounded(self, most: int) -> int:
        """How many jobs are looked at for one page at first, of at most so many of one state. A finished one is looked
        up by itself, unlike one that waits."""
        looked_up = self.state.is_final and not self._query.text
        return self.share_of(min(most, MOST_LOOKED_UP if looked_up else most))

    def share_of(self, most: int) -> int:
        """Of so many jobs of the state those of one value, where several are looked for."""
        return max(1, most // self._shares)

    @property
    def can_be_gathered(self) -> bool:
        """Whether other indexes answer the rest. There are none for jobs that are not finished, and the one on texts
        says little of those without three letters or digits in a row."""
        query = self._query
        if query.text and not (self._has_text_index and re.search(r"[^\W_]{3}", query.text)):
            return False
        return self.state.is_final and not self._is_only_checked

    @property
    def _is_only_checked(self) -> bool:
        """Whether only servers and the default priority are filtered, which no index covers: most jobs belong to few
        servers."""
        query = self._query
        if (query.server is None and query.priority is None) or query.tag is not None or query.text:
            return False
        return not _indexed_filters(query)

    def scan(self, start: Start, limit: int, most: int) -> Statement:
        """The first `limit` jobs among the `most` next ones in the order.

        Rows have `found`, `value` and `job_id`. One with `found` false is the last one looked at, of more than `most`.
        """
        text = sql.SQL(
            "WITH found AS MATERIALIZED (SELECT next.value, next.job_id FROM {jobs} WHERE {rest} "
            "ORDER BY next.value {direction}, next.job_id {direction} LIMIT {limit}) "
            "SELECT true AS found, value, job_id FROM found "
            "UNION ALL SELECT false, value, job_id FROM ({last}) AS last WHERE (SELECT count(*) FROM found) < {limit}"
        ).format(
            jobs=self._looked_at(start, most),
            rest=_all(self._rest),
            direction=self._direction(start),
            limit=limit,
            last=self._next(start, sql.SQL("OFFSET {} LIMIT 1").format(most - 1)),
        )
        return Statement(text, self._arguments(start))

    def take(self, start: Start, limit: int) -> Statement:
        """The first `limit` jobs, for a query without rest. Rows as of `scan`, all of them found."""
        text = sql.SQL("SELECT true AS found, value, job_id FROM ({}) AS next").format(
            self._next(start, sql.SQL("LIMIT {}").format(limit))
        )
        return Statement(text, self._arguments(start))

    def gather(self, others: Sequence["StateQuery"], start: Start, limit: int, most: int) -> Statement:
        """The first `limit` jobs of this state and of others of the same query, if there are at most `most` in all.

        Rows have `jobs`, their number, `value` and `job_id`; with more than `most` jobs they are worth nothing. All
        states together, because the index on texts does not distinguish states.
        """
        text = sql.SQL(
            "WITH gathered AS MATERIALIZED ("
            "SELECT {value} AS value, job.job_id FROM {table} job WHERE {conditions} LIMIT {enough}) "
            "SELECT (SELECT count(*) FROM gathered) AS jobs, value, job_id FROM gathered "
            "ORDER BY value {direction}, job_id {direction} LIMIT {limit}"
        ).format(
            table=self._table,
            value=self._value,
            conditions=_all([_of([self, *others])], self._shared, self._rest, self._beyond(start)),
            enough=most + 1,
            direction=self._direction(start),
            limit=limit,
        )
        return Statement(text, self._arguments(start))

    @property
    def anchor(self) -> str | None:
        """The word of the text that is likely to be rare: the longest with a digit in it, such as the number of
        something. None: there is none, or it is the whole text."""
        words = [word for word in re.findall(r"[^\W_]+", self._query.text or "") if re.search(r"\d", word)]
        longest = max(words, key=len, default="")
        return longest if _LEAST_ANCHOR <= len(longest) < len(self._query.text or "") else None

    def gather_by_anchor(self, others: Sequence["StateQuery"], start: Start, limit: int, most: int) -> Statement:
        """As `gather`, but by the `anchor` of the text alone, if at most `most` jobs have that.

        The index on texts reads an entry for each job that has any three letters of the text, so what is asked of it
        costs the more the more words there are. Rows as of `gather`; there is one at least, without `job_id` if no job
        was found.
        """
        text = sql.SQL(
            "WITH anchored AS MATERIALIZED ("
            "SELECT * FROM {table} job WHERE {text} ILIKE %(anchor)s LIMIT {enough}), "
            "gathered AS MATERIALIZED (SELECT {value} AS value, job.job_id FROM anchored job WHERE {conditions}) "
            "SELECT all_of_them.jobs, value, job_id FROM (SELECT count(*) AS jobs FROM anchored) AS all_of_them "
            "LEFT JOIN gathered ON true ORDER BY value {direction}, job_id {direction} LIMIT {limit}"
        ).format(
            table=self._table,
            text=sql.SQL(_FINISHED_TEXT),
            enough=most + 1,
            value=self._value,
            conditions=_all([_of([self, *others])], self._shared, self._rest, self._beyond(start)),
            direction=self._direction(start),
            limit=limit,
        )
        return Statement(text, {**self._arguments(start), "anchor": _pattern(self.anchor or "")})

    def count(self, others: Sequence["StateQuery"], most: int) -> Statement:
        """How many jobs of this state and of others of the same query there are, up to `most`, as `jobs`; `is_cut` is
        false."""
        text = sql.SQL(
            "SELECT count(*) AS jobs, false AS is_cut FROM ("
            "SELECT FROM {table} job WHERE {conditions} LIMIT {most}) AS job"
        ).format(table=self._table, conditions=_all([_of([self, *others])], self._shared, self._rest), most=most)
        return Statement(text, self._arguments(Start()))

    def count_scanned(self, scanned: int, most: int) -> Statement:
        """How many jobs there are among the first `scanned` in the order, up to `most`, as `jobs`; and whether there
        may be more than these, as `is_cut`."""
        start = Start()
        text = sql.SQL(
            "SELECT jobs, jobs = {most} OR EXISTS ({last}) AS is_cut FROM (SELECT count(*) AS jobs FROM ("
            "SELECT FROM {jobs} WHERE {rest} LIMIT {most}) AS found) AS counted"
        ).format(
            most=most,
            last=self._next(start, sql.SQL("OFFSET {} LIMIT 1").format(scanned - 1)),
            jobs=self._looked_at(start, scanned),
            rest=_all(self._rest),
        )
        return Statement(text, self._arguments(start))

    def _looked_at(self, start: Start, most: int) -> sql.Composed:
        """The `most` next jobs in `next` order that meet the remaining conditions."""
        if not self.state.is_final:
            return self._read_along(start, most, [*_ASKED_OF_WAITING, *(["args"] if self._query.text else [])])
        if self._is_only_checked:
            return self._read_along(start, most, _CHECKED)
        following = self._next(start, sql.SQL("LIMIT {}").format(most))
        jobs = _IDS if self._rest == self._tags else _JOBS.format(self._table)
        return sql.SQL("({}) AS next {}").format(following, jobs)

    def _read_along(self, start: Start, most: int, columns: Sequence[str]) -> sql.Composed:
        """The same, each job read along the index and not looked up: jobs that follow each other there mostly lie side
        by side, and those that wait or run are few."""
        return sql.SQL(
            "(SELECT {value} AS value, {columns} FROM {table} job WHERE {ordered} "
            "ORDER BY {value} {direction}, job.job_id {direction} LIMIT {most}) AS job "
            "CROSS JOIN LATERAL (SELECT job.value, job.job_id) AS next"
        ).format(
            value=self._value,
            columns=sql.SQL(", ").join(sql.SQL("job.{}").format(sql.Identifier(column)) for column in columns),
            table=self._table,
            ordered=_all(self._ordered, self._beyond(start)),
            direction=self._direction(start),
            most=most,
        )

    def _next(self, start: Start, limit: sql.Composable) -> sql.Composed:
        """The jobs beyond the start, in the order, as `value` and `job_id`; nothing else, so that one index answers it
        all and the planner takes that one."""
        return sql.SQL(
            "SELECT {value} AS value, job.job_id FROM {table} job WHERE {ordered} "
            "ORDER BY {value} {direction}, job.job_id {direction} {limit}"
        ).format(
            table=self._table,
            value=self._value,
            ordered=_all(self._ordered, self._beyond(start)),
            direction=self._direction(start),
            limit=limit,
        )

    def _filters(self, first: str | None) -> Iterator[sql.Composed]:
        """What is asked of each job, the filter that an index leads with before the others."""
        query = self._query
        names = sorted((*_LEADING_FILTERS, *_OTHER_FILTERS, _PRIORITY), key=lambda name: name != first)
        for name in names:
            if getattr(query, name) is not None and (self.leading is None or name != first):
                yield _is_one_of(sql.SQL("job.{}").format(sql.Identifier(name)), name, getattr(query, name))
        if query.server is not None:
            if self.state is JobState.PROCESSING:
                yield _RUN_BY.format(_is_one_of(sql.SQL("name"), "server", query.server))
            else:
                yield _is_one_of(sql.SQL("job.server"), "server", query.server)

    def _tag_conditions(self) -> Iterator[sql.Composed]:
        tag = self._query.tag
        if tag is None:
            return
        if self._query.has_all_tags and not isinstance(tag, str):
            for each in tag:
                yield _TAGGED.format(sql.SQL("tag = {}").format(each))
        else:
            yield _TAGGED.format(_is_one_of(sql.SQL("tag"), "tag", tag))

    def _text_condition(self, text: str) -> sql.Composed:
        patterns = ["text"] if _as_json(text) == text else ["text", "json_text"]
        if not self.state.is_final:
            texts = sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Placeholder, patterns)))
            found = sql.SQL(_UNFINISHED_TEXT).format(texts=texts)
        else:
            # Each on its own, for the index on texts.
            either = [
                sql.SQL("{} ILIKE {}").format(sql.SQL(_FINISHED_TEXT), sql.Placeholder(name)) for name in patterns
            ]
            found = sql.SQL("({})").format(sql.SQL(" OR ").join(either))
        if not _ARGUMENT.search(text):
            return found
        # As an expression that no index has: the other condition has found few.
        whole = sql.SQL("({} AND (job.args::text || '') ~* %(argument)s)")
        return whole.format(found)

    def _beyond(self, start: Start) -> list[sql.Composed]:
        if start.place is None:
            return []
        comparison = sql.SQL("<" if self._goes_down(start) else ">")
        return [
            sql.SQL("({}, job.job_id) {} (%(place_value)s, %(place_id)s)").format(self._value, comparison),
        ]

    def _goes_down(self, start: Start) -> bool:
        return self._query.descending != start.is_backward

    def _direction(self, start: Start) -> sql.SQL:
        return sql.SQL("DESC" if self._goes_down(start) else "ASC")

    def _arguments(self, start: Start) -> dict[str, Any]:
        query = self._query
        names = (*_LEADING_FILTERS, *_OTHER_FILTERS, _PRIORITY, "server", *_TIMES)
        arguments: dict[str, Any] = {name: _as_argument(getattr(query, name)) for name in (*names, "tag")}
        if query.text:
            arguments |= {"text": _pattern(query.text), "json_text": _pattern(_as_json(query.text))}
            arguments["argument"] = re.sub(r"([^\w\s])", r"\\\1", query.text) + "[],}]"
        if start.place is not None:
            arguments |= {"place_value": start.place.value, "place_id": start.place.job_id}
        return arguments


def state_queries(query: JobQuery, *, has_text_index: bool = True) -> list[StateQuery]:
    """The queries for single states that together find what `query` does; none: there can be no such job.

    Parameters
    ----------
    has_text_index
        Whether texts have an index; without the extension pg_trgm there is none.
    """
    possible = query.possible_states
    parts: list[StateQuery] = []
    for state in (state for state in JobState if state in possible):
        name = leading_filter(query, state)
        values = None if name is None else getattr(query, name)
        if name is not None and isinstance(values, tuple) and len(values) <= MOST_LED:
            parts += [StateQuery(query, state, (name, value), has_text_index=has_text_index) for value in values]
        else:
            parts.append(StateQuery(query, state, has_text_index=has_text_index))
    return parts


def leading_filter(query: JobQuery, state: JobState) -> str | None:
    """The filter with which an index begins that has jobs of this state in the order of the query; None: there is
    none. One with a single value leaves fewer jobs than one with several.
    """
    if not state.is_final or query.sort is not JobSort.CREATED:
        return None
    given = _indexed_filters(query)
    led = [name for name in given if not isinstance(getattr(query, name), tuple)]
    led += [name for name in given if name not in led and len(getattr(query, name)) <= MOST_LED]
    return led[0] if led else None


def _indexed_filters(query: JobQuery) -> list[str]:
    """The filters of a query by which jobs that have ended are found."""
    names = [name for name in (*_LEADING_FILTERS, *_OTHER_FILTERS) if getattr(query, name) is not None]
    priorities = query.priority if isinstance(query.priority, tuple) else (query.priority,)
    return [*names, _PRIORITY] if all(priorities) else names


def _of(parts: Sequence[StateQuery]) -> sql.Composed:
    """The states of these parts, and the values of the filter that leads if there are several."""
    if parts[0].leading is not None:
        each = [
            sql.SQL("(job.state = {} AND job.{} = {})").format(
                part.state.value, sql.Identifier(part.leading[0]), part.leading[1]
            )
            for part in parts
            if part.leading is not None
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(each))
    if len(parts) == 1:
        return sql.SQL("job.state = {}").format(parts[0].state.value)
    names = sql.SQL(", ").join(sql.Literal(part.state.value) for part in parts)
    return sql.SQL("job.state IN ({})").format(names)


def _is_one_of(column: sql.Composable, name: str, value: Any) -> sql.Composed:
    """A condition on a column, by the argument of this name: its one value or its list of values."""
    comparison = "{} = ANY ({})" if isinstance(value, tuple) else "{} = {}"
    return sql.SQL(comparison).format(column, sql.Placeholder(name))


def _as_argument(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _all(*conditions: list[sql.Composed]) -> sql.Composable:
    return sql.SQL(" AND ").join([sql.SQL("true"), *(each for some in conditions for each in some)])


def _as_json(text: str) -> str:
    """The text as escaped inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _pattern(text: str) -> str:
    escaped = re.sub(r"([%_\\])", r"\\\1", text)
    return f"%{escaped}%"
