"""Writing the valid rows of a chunk, inside the chunk's transaction.

COPY is tried first: it is the fastest way in, and nearly every chunk takes it. Where COPY is not possible (row-level
security, views, rules) the same rows go by `INSERT … SELECT`. Only where PostgreSQL refuses the chunk are its bad rows
looked for (`rejections`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.imports.values.copy_text import copy_block
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.matched import id_column
from bulkport.imports.writing.matched_write import MatchedWriter
from bulkport.imports.writing.merge import merge_each_statement, merge_rows
from bulkport.imports.writing.old_rows import PLAIN_TEXT
from bulkport.imports.writing.outcomes import Tally, Written
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.rejections import (
    EachStatement,
    WriteRows,
    is_row_refusal,
    mark_write,
    write_around_refusals,
    write_one_by_one,
    written_rows,
)
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.self_references import (
    Family,
    SelfLink,
    by_themselves,
    find_family,
    orphan_refusal,
    self_links,
)
from bulkport.imports.writing.statements import given_rows, own_row, typed_columns
from bulkport.imports.writing.table import TargetTable

# Below this many rows the round trips of COPY cost more than its speed gains.
COPY_THRESHOLD: Final = 2_000


async def write_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Written:
    """Write rows inside the caller's transaction.

    Returns
    -------
    What came of them: rows that the database does not take (unique key, check, trigger, …) are refusals; all others
    are written.

    Raises
    ------
    ResourceDeclarationError
        If no row can be written, for the declaration or the rights.
    psycopg.Error
        For everything else that is not about a row, such as a lost connection.
    """
    if not rows.size:
        return Written()
    if table.keeps_old_rows:
        await connection.execute(PLAIN_TEXT)
    if table.has_deferred_constraints:
        # At the commit of the chunk it would be too late to know which row breaks them.
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    links = self_links(table)
    if not links:
        return await _write(connection, table, rows)
    try:
        async with connection.transaction():
            family = await find_family(connection, table, rows, links)
    except psycopg.DataError:  # a value out of its type's range: the row-by-row way finds it
        return await _write(connection, table, rows)
    if family.has_circles:
        written = await _write_circles(connection, table, rows, family, links)
    else:
        written = Written()
        written.absorb(await _write(connection, table, rows.take(family.order)), family.order)
    written.refusals += [orphan_refusal(table, position, link, rows) for position, link in family.orphans.items()]
    written.refusals.sort(key=lambda refusal: refusal.position)
    return written


async def _write_circles(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, family: Family, links: Sequence[SelfLink]
) -> Written:
    """Write rows with circles among them: all together, or, if some are bad, each circle by itself."""
    written = Written()
    if await _wrote_all(connection, table, rows, family.order, written):
        return written
    for unit in family.units():
        if len(unit) == 1 or not set(family.parents[unit[0]]) & set(unit):
            written.absorb(await _write(connection, table, rows.take(unit)), unit)
        elif not await _wrote_all(connection, table, rows, unit, written):
            part = rows.take(unit)
            async with connection.transaction(force_rollback=True):
                alone = await _write(connection, table, by_themselves(part, links))
            bad = {refusal.position: refusal for refusal in alone.refusals}
            # The others refer to a bad row, or to one that is nowhere.
            refusals = [bad.get(i) or orphan_refusal(table, i, links[0], part) for i in range(part.size)]
            written.refusals += [replace(refusal, position=unit[refusal.position]) for refusal in refusals]
    return written


async def _wrote_all(
    connection: AsyncConnection[Any],
    table: TargetTable,
    rows: WritableRows,
    positions: Sequence[int],
    written: Written,
) -> bool:
    """Write all of these rows, or none."""
    try:
        async with connection.transaction():
            found = await _write(connection, table, rows.take(positions))
            if found.refusals:
                raise _SomeRefusedError
    except _SomeRefusedError:
        return False
    written.absorb(found, positions)
    return True


async def _write(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Written:
    if table.resource.default_mode is WriteMode.INSERT:
        return await _insert(connection, table, rows)
    if not is_matched(table):
        return await write_by(connection, table, rows, write=merge_rows, each=merge_each_statement)
    if not rows.size:
        return Written()

    async def insert(table: TargetTable, part: WritableRows) -> Written:
        return await _insert(connection, table, part)

    async def by(table: TargetTable, part: WritableRows, write: WriteRows, each: EachStatement) -> Written:
        return await write_by(connection, table, part, write=write, each=each)

    return await MatchedWriter(connection, table, insert=insert, write_by=by).write(rows)


def is_matched(table: TargetTable) -> bool:
    """Whether stored rows are looked for before rows are written."""
    resource = table.resource
    has_index = bool(resource.conflict_key) and table.facts.kind == "v"  # that of the table behind the view
    return (
        resource.default_mode in (WriteMode.UPDATE, WriteMode.DELETE)
        or table.wants_results
        or table.wants_differences
        or table.keeps_old_rows
        # ON CONFLICT is not for tables with rules.
        or table.facts.has_rules
        # Rows of another context are not rows to change.
        or not resource.context.keys() <= set(resource.write_key)
        or (not has_index and table.unique_index_of(resource.write_key, resource.conflict_where) is None)
    )


async def _insert(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Written:
    can_copy = table.facts.can_copy and not table.wants_results and not _lacks_values(table, rows)
    write = copy_rows if can_copy else insert_rows
    first = insert_rows if rows.size < COPY_THRESHOLD else write
    return await write_by(connection, table, rows, write=write, each=insert_each_statement, first=first)


def _lacks_values(table: TargetTable, rows: WritableRows) -> bool:
    """Whether the database is to fill columns of some rows."""
    return any(name in table.filled and None in column for name, column in zip(table.names, rows.columns, strict=True))


async def write_by(
    connection: AsyncConnection[Any],
    table: TargetTable,
    rows: WritableRows,
    *,
    write: WriteRows,
    each: EachStatement,
    first: WriteRows | None = None,
) -> Written:
    """Write rows by a statement; around those that are refused, one by one."""
    try:
        async with connection.transaction():
            tally = await (first or write)(connection, table, rows)
            await mark_write(connection, table, tally)
            if not table.wants_results or tally.ids is not None or each is not insert_each_statement:
                return written_rows(tally)
            raise _SomeDroppedError
    except _SomeDroppedError:
        return await write_one_by_one(connection, table, rows, write=write, each=each)
    except psycopg.Error as error:
        if not is_row_refusal(error, table):
            raise
        return await write_around_refusals(
            connection,
            table,
            rows,
            write=write,
            each=each,
            error=error,
            rejects_duplicates=each is insert_each_statement,
        )


class _SomeRefusedError(Exception):
    """Rows that can only be written together are not all good."""


class _SomeDroppedError(Exception):
    """A trigger dropped rows, and the request asks which."""


async def copy_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Write rows with `COPY … FROM STDIN`, as one block of text."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table.identifier, table.columns)
    async with connection.cursor() as cursor:
        async with cursor.copy(statement) as copy:
            await copy.write(copy_block(rows.columns))
        return _inserted(table, rows, cursor.rowcount)


async def insert_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Write few rows with one `INSERT … SELECT FROM unnest(…)`."""
    statement = sql.SQL("INSERT INTO {} AS stored ({}) {}SELECT {} FROM {}").format(
        table.identifier, table.columns, table.overriding, typed_columns(table, table.filled), given_rows(table)
    )
    if not table.wants_results or table.facts.has_rules:
        return _inserted(table, rows, (await connection.execute(escaped(statement, connection), rows.arrays)).rowcount)
    statement += sql.SQL(" RETURNING {}::text").format(id_column(table))
    ids = [row[0] for row in await (await connection.execute(escaped(statement, connection), rows.arrays)).fetchall()]
    tally = _inserted(table, rows, len(ids))
    tally.ids = ids if len(ids) == rows.size else None
    return tally


def insert_each_statement(table: TargetTable, rows: WritableRows) -> tuple[sql.Composable, str]:
    """The statement that writes one row."""
    statement = sql.SQL("INSERT INTO {} AS stored ({}) {}SELECT {}").format(
        table.identifier, table.columns, table.overriding, own_row(table, table.filled)
    )
    if table.facts.has_rules:  # under which an INSERT returns nothing
        return statement, "created" if "INSERT" in table.facts.replaced else "dropped"
    id_ = id_column(table) if table.wants_results else sql.SQL("NULL")
    return sql.SQL("{} RETURNING 'created', {}::text").format(statement, id_), "dropped"


def _inserted(table: TargetTable, rows: WritableRows, count: int) -> Tally:
    if "INSERT" in table.facts.replaced:  # what a rule does instead is not counted
        return Tally(created=rows.size)
    return Tally(created=count, dropped=rows.size - count)
