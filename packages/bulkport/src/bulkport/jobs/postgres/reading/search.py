"""Finding jobs: pages of them, how many there are, and their ids for whoever works through all of them.

Each state is looked through on its own, a little first: most queries are met by the first jobs in their order. Where
they are not, what they ask for is rare there, and is gathered. What is neither is looked for in a larger part of the
table, and the page says where that ended. So every page is made in bounded time, whatever is asked for.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from psycopg import sql
from psycopg.rows import DictRow

from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.port.query import MOST_JOBS_A_PAGE, JobCount, JobIds, JobPage, JobQuery
from bulkport.jobs.port.queueing import is_integer
from bulkport.jobs.postgres.reading.cursors import Cursors, Place, Start, WalkCursor
from bulkport.jobs.postgres.reading.queries import (
    MOST_SCANNED,
    Statement,
    StateQuery,
    state_queries,
)
from bulkport.jobs.postgres.reading.snapshot import Snapshot, SnapshotSource
from bulkport.jobs.postgres.rows import SUMMARIES, job_id_of, summary_of
from bulkport.logs import get_logger

MOST_ARGS_BYTES: Final = 8_192
"""Arguments that take more room than this are not read for a list: 500 jobs of a page would be too much together."""
FIRST_SCANNED: Final = 1_000
"""Jobs of one state that are looked at first."""
MOST_GATHERED: Final = 20_000
"""Jobs of one state that are gathered and sorted."""
MOST_ANCHORED: Final = 2_000
"""Jobs with the rarest word of a text that are gathered by it."""
GATHER_SECONDS: Final = 0.5
"""How long gathering may take."""


_FACTS: Final = sql.SQL("""
SELECT (SELECT key FROM bulkport.signing_keys WHERE name = 'cursors') AS key,
       to_regclass('bulkport.finished_jobs_search') IS NOT NULL AS has_text_index
""")
_UNINDEXED: Final = (
    "Texts are searched without an index, some thousand jobs a page: the extension pg_trgm is not installed."
)

_log = get_logger(__name__)


class CursorKey:
    """The key that signs this database's cursors, and whether its texts have an index. All servers read it once."""

    def __init__(self) -> None:
        self._key: bytes | None = None
        self.has_text_index = True

    async def cursors(self, snapshot: Snapshot, query: JobQuery) -> Cursors:
        """The cursors of a query."""
        if self._key is None:
            row = await snapshot.fetch_one(_FACTS)
            assert row is not None
            self.has_text_index = row["has_text_index"]
            if not self.has_text_index:
                _log.warning("texts of jobs are searched without an index: pg_trgm is not installed")
            # Without the row there are cursors of this process alone.
            self._key = secrets.token_bytes(32) if row["key"] is None else bytes(row["key"])
        return Cursors(self._key, query)


class JobSearch:
    """Finds jobs.

    Parameters
    ----------
    snapshot
        Where to look.
    """

    def __init__(self, snapshot: SnapshotSource, key: CursorKey) -> None:
        self._snapshot = snapshot
        self._key = key

    async def search(self, query: JobQuery, cursor: str | None, limit: int) -> JobPage:
        """See `JobReader.search`."""
        _check_limit(limit)
        async with self._snapshot() as snapshot:
            cursors = await self._key.cursors(snapshot, query)
            start = Start() if cursor is None else cursors.read_page(cursor)
            stretch = await _look(snapshot, query, self._parts(query), start, limit)
            if start.is_backward and not stretch.places and stretch.onward is None:
                # Everything before is gone, or never was: this is the first page, whatever it has now.
                start = Start()
                stretch = await _look(snapshot, query, self._parts(query), start, limit)
            rows = await snapshot.fetch_all(
                sql.SQL(SUMMARIES),
                {"job_ids": [place.job_id for place in stretch.places], "most_args_bytes": MOST_ARGS_BYTES},
            )
        jobs = {row["job_id"]: summary_of(row) for row in rows}
        back = _way_back(query, start, stretch)
        notice = None if self._key.has_text_index or not query.text else _UNINDEXED
        if start.is_backward:
            items = tuple(jobs[place.job_id] for place in reversed(stretch.places))
            return JobPage(items, _cursor(cursors, back), _cursor(cursors, stretch.onward, is_backward=True), notice)
        items = tuple(jobs[place.job_id] for place in stretch.places)
        return JobPage(items, _cursor(cursors, stretch.onward), _cursor(cursors, back, is_backward=True), notice)

    def _parts(self, query: JobQuery) -> list[StateQuery]:
        return state_queries(query, has_text_index=self._key.has_text_index)

    async def count(self, query: JobQuery, most: int) -> JobCount:
        """See `JobReader.count`."""
        if not is_integer(most + 1) or most < 1:
            raise InvalidJobQuery(f"jobs are counted up to at least 1 and at most {2**31 - 2:,}")
        async with self._snapshot() as snapshot:
            await self._key.cursors(snapshot, query)
            counts = await _count_parts(snapshot, self._parts(query), most + 1)
        jobs = sum(count.jobs for count in counts)
        return JobCount(min(jobs, most), is_more=jobs > most or any(count.is_more for count in counts))

    async def ids(self, query: JobQuery, after: str | None, limit: int) -> JobIds:
        """See `JobReader.ids`."""
        _check_limit(limit)
        async with self._snapshot() as snapshot:
            cursors = await self._key.cursors(snapshot, query)
            start = None if after is None else cursors.read_walk(after)
            if not state_queries(query):
                return JobIds((), None)
            begun_at = await _now(snapshot) if start is None else start.begun_at
            walk = query.walked_from(begun_at)
            begin = Start(None if start is None else start.place)
            stretch = await _look(snapshot, walk, self._parts(walk), begin, limit)
        return JobIds(
            tuple(job_id_of(place.job_id) for place in stretch.places),
            None if stretch.onward is None else cursors.write_walk(WalkCursor(stretch.onward, begun_at)),
        )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What was found in one direction."""

    places: Sequence[Place]
    onward: Place | None
    """Cursor of the next page in this direction; None if there are no more."""


async def _look(snapshot: Snapshot, query: JobQuery, parts: Sequence[StateQuery], start: Start, limit: int) -> _Stretch:
    goes_down = query.descending != start.is_backward
    stretches = await _look_into_states(snapshot, parts, start, limit + 1)
    places = sorted((place for stretch in stretches for place in stretch.places), key=_order, reverse=goes_down)
    ends = sorted((stretch.onward for stretch in stretches if stretch.onward), key=_order, reverse=goes_down)
    if ends:
        # Beyond the first place where looking ended, jobs of that state would be missing.
        places = [place for place in places if place == ends[0] or (_order(place) > _order(ends[0])) == goes_down]
    if len(places) > limit:
        return _Stretch(places[:limit], places[limit - 1])
    return _Stretch(places, ends[0] if ends else None)


def _first_look(part: StateQuery, start: Start, limit: int) -> Statement:
    if not part.has_rest:
        return part.take(start, limit)
    return part.scan(start, limit, part.bounded(FIRST_SCANNED if part.can_be_gathered else MOST_SCANNED))


async def _look_into_states(
    snapshot: Snapshot, parts: Sequence[StateQuery], start: Start, limit: int
) -> list[_Stretch]:
    first = await snapshot.find_each(_first_look(part, start, limit) for part in parts)
    stretches = [_stretch(rows) for rows in first]
    unmet = [
        part
        for part, stretch in zip(parts, stretches, strict=True)
        if stretch.onward is not None and part.can_be_gathered
    ]
    if not unmet:
        return stretches
    met = [stretch for part, stretch in zip(parts, stretches, strict=True) if part not in unmet]
    first_part, others = unmet[0], unmet[1:]
    ways = [(first_part.gather(others, start, limit, MOST_GATHERED), MOST_GATHERED)]
    if first_part.anchor is not None:
        ways.insert(0, (first_part.gather_by_anchor(others, start, limit, MOST_ANCHORED), MOST_ANCHORED))
    for statement, most in ways:
        gathered = await snapshot.try_to_gather(statement, GATHER_SECONDS)
        if gathered is not None and not (gathered and gathered[0]["jobs"] > most):
            return [*met, _Stretch([_place(row) for row in gathered if row["job_id"] is not None], None)]
    closer = await snapshot.find_each(part.scan(start, limit, part.share_of(MOST_SCANNED)) for part in unmet)
    return [*met, *map(_stretch, closer)]


async def _count_parts(snapshot: Snapshot, parts: Sequence[StateQuery], most: int) -> list[JobCount]:
    first = await snapshot.find_each(
        part.count_scanned(part.bounded(FIRST_SCANNED if part.can_be_gathered else MOST_SCANNED), most)
        if part.has_rest
        else part.count((), most)
        for part in parts
    )
    counts = dict(zip(parts, map(_job_count, first), strict=True))
    unmet = [part for part, count in counts.items() if count.is_more and count.jobs < most and part.can_be_gathered]
    rare = [part for part in unmet if 2 * counts[part].jobs < part.bounded(FIRST_SCANNED)]
    frequent = [part for part in unmet if part not in rare]
    met = [count for part, count in counts.items() if part not in unmet]
    if rare:
        gathered = await snapshot.try_to_gather(rare[0].count(rare[1:], most), GATHER_SECONDS)
        if gathered is None:
            frequent = unmet
        else:
            met.append(_job_count(gathered))
    closer = await snapshot.find_each(
        part.count_scanned(part.share_of(max(2 * most, MOST_SCANNED)), most) for part in frequent
    )
    return [*met, *map(_job_count, closer)]


def _job_count(rows: Sequence[DictRow]) -> JobCount:
    return JobCount(rows[0]["jobs"], is_more=rows[0]["is_cut"])


def _stretch(rows: Sequence[DictRow]) -> _Stretch:
    ends = [_place(row) for row in rows if not row["found"]]
    return _Stretch([_place(row) for row in rows if row["found"]], ends[0] if ends else None)


def _place(row: DictRow) -> Place:
    return Place(row["value"], row["job_id"])


def _order(place: Place) -> tuple[Any, int]:
    return place.value, place.job_id


def _way_back(query: JobQuery, start: Start, stretch: _Stretch) -> Place | None:
    """Cursor of the page in the opposite direction; None if there is none."""
    if start.place is None:
        return None
    if stretch.places:
        return stretch.places[0]
    # Nothing is on this page. The job at its beginning is not either, so it must be found on the way back.
    goes_down = query.descending == start.is_backward
    return replace(start.place, job_id=start.place.job_id + (1 if goes_down else -1))


def _cursor(cursors: Cursors, place: Place | None, *, is_backward: bool = False) -> str | None:
    return None if place is None else cursors.write_page(place, is_backward=is_backward)


async def _now(snapshot: Snapshot) -> datetime:
    row = await snapshot.fetch_one(sql.SQL("SELECT clock_timestamp() AS now"))
    assert row is not None
    now: datetime = row["now"]
    return now


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_JOBS_A_PAGE:
        raise InvalidJobQuery(f"a page has 1 to {MOST_JOBS_A_PAGE} jobs")
