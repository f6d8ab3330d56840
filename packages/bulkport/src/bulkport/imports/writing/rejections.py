"""The slow way in, for rows that PostgreSQL refuses as a whole: find the bad ones, write all others.

Whatever SQLSTATE the refusal has, the rows are tried in ever smaller windows, and those of a small window one by one
in a loop that runs in the database (`import_write_each`). So the cost of a bad row depends neither on the kind of the
error nor on the conflict policy.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.errors import ResourceDeclarationError
from bulkport.imports.writing.duplicates import find_duplicates
from bulkport.imports.writing.old_rows import old_row_query
from bulkport.imports.writing.outcomes import Tally, Written
from bulkport.imports.writing.refusal_messages import Fault, refusal, taken_key
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.table import TargetTable

WriteRows = Callable[[AsyncConnection[Any], TargetTable, WritableRows], Awaitable[Tally]]
"""Writes rows by one statement."""
EachStatement = Callable[[TargetTable, WritableRows], tuple[sql.Composable, str]]
"""Makes the statement for one row whose texts are `$1`, and the outcome of a row for which it returns nothing."""

_SMALL_WINDOW: Final = 400
_PARTS: Final = 8

# SQLSTATE classes that are never about a row: no SQLSTATE at all, connection, invalid transaction, authorization,
# rollback (deadlocks and serialization are tried again), resources, operator, system, configuration, internal.
_NEVER: Final = frozenset({"", "08", "25", "28", "40", "53", "57", "58", "F0", "XX"})
# Those that report a fault or a retryable conflict even if a trigger raises them.
_FAULTS: Final = frozenset({"08", "40", "53", "57", "58", "XX"})
_LOCK_NOT_AVAILABLE: Final = "55P03"
# Classes that are about the declaration or the rights where no trigger is involved: features, prerequisites, names.
_AMBIGUOUS: Final = frozenset({"0A", "24", "26", "34", "3F", "42", "55"})


def is_row_refusal(error: psycopg.Error, table: TargetTable) -> bool:
    """Whether the error may be about a row, rather than about the connection or the server."""
    state = error.sqlstate or ""
    if error.diag.source_function == "exec_stmt_raise":
        # A trigger's own RAISE. One that says that the server has a fault is believed in the first attempts.
        return table.blames_rows if state[:2] in _FAULTS else True
    return state[:2] not in _NEVER and state != _LOCK_NOT_AVAILABLE


async def write_around_refusals(
    connection: AsyncConnection[Any],
    table: TargetTable,
    rows: WritableRows,
    *,
    write: WriteRows,
    each: EachStatement,
    error: psycopg.Error,
    rejects_duplicates: bool,
) -> Written:
    """Write every row that the database takes, after it refused them as a whole by `error`.

    Raises
    ------
    ResourceDeclarationError
        If no row at all can be written, for the declaration or the rights.
    """
    doubtful = _may_be_declaration(table, error)
    if doubtful:
        await _try_without_rows(connection, table, rows, write)
    search = _Search(connection, table, rows, write=write, each=each)
    # A trigger may change keys; and under other policies than REJECT a stored key is not a fault.
    if table.unique_keys and rejects_duplicates and not table.facts.has_before_triggers:
        await search.around_duplicates()
    else:
        await search.run(range(rows.size))
    found = search.found
    found.refusals.sort(key=lambda refusal: refusal.position)
    if doubtful and len(found.refusals) == rows.size:
        if (error.sqlstate or "")[:2] in _FAULTS:
            raise error
        raise ResourceDeclarationError(f"resource {table.resource.name!r}: {found.refusals[0].message}") from error
    return found


async def write_one_by_one(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, *, write: WriteRows, each: EachStatement
) -> Written:
    """Write rows one by one to learn the outcome of each."""
    search = _Search(connection, table, rows, write=write, each=each)
    await search.run_one_by_one()
    return search.found


def _may_be_declaration(table: TargetTable, error: psycopg.Error) -> bool:
    """Whether the error is one that no row could help: the whole import fails if every row meets it."""
    if (error.sqlstate or "")[:2] in _FAULTS:
        return True
    if error.diag.source_function in ("exec_stmt_raise", "ExecWithCheckOptions"):  # RAISE, row-level security
        return False
    fault = Fault.of(error)
    if fault.code == "23502" and f"{fault.schema}.{fault.table}" in table.facts.relations:
        return fault.column not in table.names
    return fault.code[:2] in _AMBIGUOUS


async def _try_without_rows(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, write: WriteRows
) -> None:
    try:
        async with connection.transaction(force_rollback=True):
            await write(connection, table, rows.slice(0, 0))
    except psycopg.Error as error:
        if not is_row_refusal(error, table):
            raise
        message = error.diag.message_primary or str(error)
        raise ResourceDeclarationError(f"resource {table.resource.name!r}: {message}") from error


async def mark_write(connection: AsyncConnection[Any], table: TargetTable, tally: Tally) -> None:
    """Leave a mark beside created rows, inside the savepoint that wrote them: see `undo`."""
    if table.import_id is not None and tally.created and not tally.updated:
        await connection.execute(_MARK, (table.import_id,))


def written_rows(tally: Tally) -> Written:
    """What a statement wrote, with the ids of the created rows."""
    results = [(position, "created", id_) for position, id_ in enumerate(tally.ids or ())]
    return Written(tally, results=list(results))


class _Search:
    """Writes the rows of a chunk that the database accepts, and collects the rejected ones."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        table: TargetTable,
        rows: WritableRows,
        *,
        write: WriteRows,
        each: EachStatement,
    ) -> None:
        self._connection = connection
        self._table = table
        self._rows = rows
        self._write = write
        self._each = each
        self._windows_refused = 0
        self._windows_written = 0
        self.found = Written()

    async def around_duplicates(self) -> None:
        """Refuse the duplicates of unique keys, found set-wise, and write the others."""
        table = self._table
        left: Sequence[int] = range(self._rows.size)
        while left:
            duplicates = await find_duplicates(
                self._connection, table, self._rows.take(left), is_refusal=is_row_refusal
            )
            known = duplicates.stored | duplicates.repeated
            refused_before = len(self.found.refusals)
            await self.run([position for i, position in enumerate(left) if i not in known])
            has_refused = len(self.found.refusals) > refused_before
            self.found.refusals += [taken_key(table, left[i], key) for i, key in duplicates.stored.items()]
            repeated = {left[i]: key for i, key in duplicates.repeated.items() if i not in duplicates.stored}
            if not has_refused and len(table.unique_keys) == 1:
                self.found.refusals += [taken_key(table, position, key) for position, key in repeated.items()]
                break
            # The row that had the key first may be a refused one itself: then a later one is welcome.
            left = sorted(repeated)

    async def run(self, positions: Sequence[int]) -> None:
        """Write the rows at these positions, in this order."""
        if not positions:
            return
        dense = self._windows_refused >= _PARTS // 2 and self._windows_refused > self._windows_written
        if len(positions) <= _SMALL_WINDOW or dense:
            for start in range(0, len(positions), _SMALL_WINDOW):
                await self._run_each(positions[start : start + _SMALL_WINDOW])
            return
        size = -(-len(positions) // _PARTS)
        for start in range(0, len(positions), size):
            window = positions[start : start + size]
            if len(window) <= _SMALL_WINDOW // 8 or not await self._was_written(window):
                await self.run(window)

    async def run_one_by_one(self) -> None:
        """Write all rows in loops inside the database."""
        for start in range(0, self._rows.size, _SMALL_WINDOW):
            await self._run_each(range(start, min(start + _SMALL_WINDOW, self._rows.size)))

    async def _was_written(self, positions: Sequence[int]) -> bool:
        try:
            async with self._connection.transaction():
                tally = await self._write(self._connection, self._table, self._rows.take(positions))
                await mark_write(self._connection, self._table, tally)
        except psycopg.Error as error:
            if not is_row_refusal(error, self._table):
                raise
            self._windows_refused += 1
            return False
        self._windows_written += 1
        if tally.ids is None:
            self.found.tally.add(tally)
        else:
            self.found.absorb(written_rows(tally), positions)
        return True

    async def _run_each(self, positions: Sequence[int]) -> None:
        """Write rows one by one, in a loop inside the database."""
        rows = self._rows.take(positions)
        for indexes, part in rows.groups():
            statement, otherwise = self._each(self._table, part)
            text = statement.as_string(self._connection)
            parameters = {
                "statement": text,
                "rows": [list(row) for row in zip(*part.columns, strict=True)],
                "casts": _casts(self._table),
                "job_id": self._table.import_id,
                "last": self._table.blames_rows,
                "old_row": self._old_row(part),
                "uncounted": None if " RETURNING " in text else _done_by(text),
            }
            try:
                async with self._connection.transaction():
                    cursor = await self._connection.execute(_WRITE_EACH, parameters)
                    outcomes = await cursor.fetchall()
            except psycopg.Error as error:
                if not is_row_refusal(error, self._table):
                    raise
                # A value could not even be sent (the database's encoding lacks a sign).
                await self._run_halves([positions[i] for i in indexes], error)
                continue
            for index, (outcome, id_, *fault) in zip(indexes, outcomes, strict=True):
                position = positions[index]
                if fault[0] is None:
                    self.found.tally.count([outcome or otherwise])
                    if self._table.wants_results:
                        self.found.results.append((position, outcome or otherwise, id_))
                else:
                    self._refuse(position, Fault(*(text or "" for text in fault)))

    def _old_row(self, rows: WritableRows) -> str | None:
        """The query for the stored row that a row changes, if old rows are recorded."""
        changes_stored = len(rows.columns) > len(self._table.names)  # it gives the stored row's id
        if not self._table.keeps_old_rows or not changes_stored:
            return None
        return old_row_query(self._table).as_string(self._connection)

    async def _run_halves(self, positions: Sequence[int], error: psycopg.Error) -> None:
        if len(positions) == 1:
            self._refuse(positions[0], Fault.of(error))
            return
        middle = len(positions) // 2
        await self._run_each(positions[:middle])
        await self._run_each(positions[middle:])

    def _refuse(self, position: int, fault: Fault) -> None:
        if fault.column.startswith("#"):  # the cast of this column failed
            fault = Fault(**{**_members(fault), "column": self._table.names[int(fault.column[1:]) - 1]})
        texts = [column[position] for column in self._rows.columns]
        self.found.refusals.append(refusal(self._table, position, fault, texts))


_MARK: Final = "INSERT INTO bulkport.import_writes (job_id) VALUES (%s)"

_WRITE_EACH: Final = """
    SELECT outcome, id, code, message, detail, column_name, constraint_name, table_name, schema_name
    FROM bulkport.import_write_each(
        %(statement)s, %(rows)b::text[], %(casts)s::text[], %(job_id)s, %(last)s, %(old_row)s, %(uncounted)s
    )
    ORDER BY place
"""


def _casts(table: TargetTable) -> list[str]:
    """For each column a query that reads a text `$1` as storing it in the column does."""
    exact = [table.facts.columns[name].exact_type for name in table.names]
    return [
        f"SELECT $1::{kind}"
        if kind.endswith("[]") or kind in ("json", "jsonb")
        else f"SELECT value FROM json_to_record(json_build_object('value', $1)) AS given (value {kind})"
        for kind in exact
    ]


def _done_by(statement: str) -> str:
    """The outcome of a row whose statement returns nothing."""
    return {"INSERT": "created", "UPDATE": "updated", "DELETE": "deleted"}[statement[:6]]


def _members(fault: Fault) -> dict[str, str]:
    return {name: getattr(fault, name) for name in Fault.__dataclass_fields__}
