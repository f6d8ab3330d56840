"""Writes rows after their stored rows were looked up; see `matched`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.matched import (
    Match,
    delete_each_statement,
    delete_statement,
    difference_statement,
    match_rows,
    update_each_statement,
    update_statement,
    with_ids,
)
from bulkport.imports.writing.merge import changeable
from bulkport.imports.writing.old_rows import keep_old_rows
from bulkport.imports.writing.outcomes import Tally, Written
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.refusal_messages import Fault, refusal
from bulkport.imports.writing.rejections import EachStatement, WriteRows, is_row_refusal
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.table import TargetTable

WriteBy = Callable[[TargetTable, WritableRows, WriteRows, EachStatement], Awaitable[Written]]
"""Writes rows by a statement, and around those that are refused."""

MAX_DIFFERENCES: Final = 20
"""Changes that a dry run shows."""


class MatchedWriter:
    """Writes rows by their key.

    Parameters
    ----------
    insert:
        Writes rows whose key is not stored.
    write_by:
        Writes rows by a statement on stored rows.
    """

    def __init__(
        self,
        connection: AsyncConnection[Any],
        table: TargetTable,
        *,
        insert: Callable[[TargetTable, WritableRows], Awaitable[Written]],
        write_by: WriteBy,
    ) -> None:
        self._connection = connection
        self._table = table
        self._insert = insert
        self._write_by = write_by
        self._mode = table.resource.default_mode

    async def write(self, rows: WritableRows) -> Written:
        """Write rows inside the caller's transaction."""
        try:
            async with self._connection.transaction():
                match = await match_rows(self._connection, self._table, rows)
        except psycopg.Error as error:
            if not is_row_refusal(error, self._table):
                raise
            return await self._write_halves(rows, error)
        written = Written()
        earlier = [
            place
            for place, winner in match.superseded.items()
            if self._changes() and not _is_covered(rows, place, winner)
        ]
        if earlier:  # what they give and the last row of their key does not
            written.absorb(await self.write(rows.take(earlier)), earlier)
            left = [place for place in range(rows.size) if place not in set(earlier)]
            written.absorb(await self.write(rows.take(left)), left)
            return written
        await self._write_winners(written, rows, match)
        refused = {refused.position for refused in written.refusals}
        again = [place for place, winner in match.superseded.items() if winner in refused]
        if again:  # the row that was to win is a bad one: then an earlier one counts
            written.absorb(await self.write(rows.take(again)), again)
        absent = set(match.absent)
        for place, winner in match.superseded.items():
            if winner not in refused:
                ignored = not self._changes() or (winner in absent and self._mode is WriteMode.UPDATE)
                id_ = match.same.get(winner) or match.other.get(winner)
                written.note(place, "skipped" if ignored else "updated", id_)
        return written

    def _changes(self) -> bool:
        return self._mode in (WriteMode.UPSERT, WriteMode.UPDATE)

    async def _write_winners(self, written: Written, rows: WritableRows, match: Match) -> None:
        table = self._table
        if self._mode in (WriteMode.UPSERT, WriteMode.SKIP):
            await self._insert_absent(written, rows, match.absent)
        else:
            for place in match.absent:
                written.note(place, "skipped", None)
        if self._mode is WriteMode.DELETE:
            await self._apply(written, rows, {**match.same, **match.other}, delete_rows, delete_each_statement)
            return
        for place, id_ in match.same.items():
            written.note(place, "unchanged" if self._changes() else "skipped", id_)
        if self._changes():
            if table.wants_differences and match.other:
                await self._note_differences(written, rows, match)
            await self._apply(written, rows, match.other, _update, update_each_statement)
        else:
            for place, id_ in match.other.items():
                written.note(place, "skipped", id_)

    async def _insert_absent(self, written: Written, rows: WritableRows, absent: Sequence[int]) -> None:
        """Insert rows whose key was not stored, unless another import has stored it meanwhile."""
        if not absent:
            return
        inserted = await self._insert(self._table, rows.take(absent))
        refused = [absent[refusal.position] for refusal in inserted.refusals]
        resource = self._table.resource
        if refused and self._table.unique_index_of(resource.write_key, resource.conflict_where) is not None:
            found = await match_rows(self._connection, self._table, rows.take(refused))
            stored = [refused[place] for place in sorted({*found.same, *found.other})]
            if stored:
                written.absorb(await self.write(rows.take(stored)), stored)
                left = set(stored)
                inserted.refusals = [one for one in inserted.refusals if absent[one.position] not in left]
        written.absorb(inserted, absent)

    async def _apply(
        self, written: Written, rows: WritableRows, ids: dict[int, str], write: WriteRows, each: EachStatement
    ) -> None:
        """Change or delete stored rows, in order of their ids' rows."""
        if not ids:
            return
        places = list(ids)
        part = with_ids(rows.take(places), list(ids.values()))
        applied = await self._write_by(self._table, part, write, each)
        if self._table.wants_results and not applied.results:
            refused = {refusal.position for refusal in applied.refusals}
            outcome = "deleted" if self._mode is WriteMode.DELETE else "updated"
            applied.results = [(i, outcome, ids[place]) for i, place in enumerate(places) if i not in refused]
        written.absorb(applied, places)

    async def _note_differences(self, written: Written, rows: WritableRows, match: Match) -> None:
        places = sorted(match.other)[:MAX_DIFFERENCES]
        for indexes, part in rows.take(places).groups():
            columns = changeable(self._table, part)
            chosen = [places[i] for i in indexes]
            given = with_ids(part, [match.other[place] for place in chosen])
            statement = escaped(difference_statement(self._table, columns), self._connection)
            found = await (await self._connection.execute(statement, given.arrays)).fetchall()
            kept = {id_: (old, new) for id_, old, new in found}
            for place in chosen:
                id_ = match.other[place]
                pairs = zip(columns, *kept[id_], strict=True)
                written.differences.append(
                    (place, id_, {name: (old, new) for name, old, new in pairs if (old, new) != (None, None)})
                )

    async def _write_halves(self, rows: WritableRows, error: psycopg.Error) -> Written:
        """Find the row whose values cannot be compared."""
        if rows.size == 1:
            texts = [column[0] for column in rows.columns]
            return Written(refusals=[refusal(self._table, 0, Fault.of(error), texts)])
        written, middle = Written(), rows.size // 2
        for positions in (range(middle), range(middle, rows.size)):
            written.absorb(await self.write(rows.take(positions)), positions)
        return written


def _is_covered(rows: WritableRows, place: int, winner: int) -> bool:
    return rows.given is None or rows.given[place] <= rows.given[winner]


async def _update(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    tally = Tally()
    for _, part in rows.groups():
        if changeable(table, part):
            await keep_old_rows(connection, table, part)
            cursor = await connection.execute(escaped(update_statement(table, part), connection), part.arrays)
            updated = part.size if "UPDATE" in table.facts.replaced else cursor.rowcount
            tally.add(Tally(updated=updated, dropped=part.size - updated))
    return tally


async def delete_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Delete the stored rows whose ids are the last column."""
    await keep_old_rows(connection, table, rows)
    cursor = await connection.execute(escaped(delete_statement(table), connection), rows.arrays)
    deleted = rows.size if "DELETE" in table.facts.replaced else cursor.rowcount
    return Tally(deleted=deleted, dropped=rows.size - deleted)
