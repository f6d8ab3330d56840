"""Writing the valid rows of a chunk, inside the chunk's transaction.

COPY is tried first: it is the fastest way in, and nearly every chunk takes it. Where COPY is not possible (row-level
security, views, rules) the same rows go by `INSERT … SELECT`. Only where PostgreSQL refuses the chunk are its bad rows
looked for (`rejections`).
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.imports.merge import merge_each_statement, merge_rows
from bulkport.imports.rejections import EachStatement, WriteRows, is_row_refusal, write_around_refusals
from bulkport.imports.rows import WritableRows
from bulkport.imports.self_references import find_family, orphan_refusal, self_links
from bulkport.imports.statements import given_rows, own_row, typed_columns
from bulkport.imports.table import TargetTable
from bulkport.imports.values.copy_text import copy_block
from bulkport.imports.write_options import WriteMode
from bulkport.imports.written import Tally, Written

# Below this many rows the round trips of COPY cost more than its speed gains.
COPY_THRESHOLD: Final = 2_000


async def write_rows(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, mode: WriteMode | None = None
) -> Written:
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
    if table.has_deferred_constraints:
        # At the commit of the chunk it would be too late to tell which row breaks them.
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    way = _way(table, rows, mode or table.resource.default_mode)
    links = self_links(table)
    if not links:
        return await _write(connection, table, rows, way)
    try:
        async with connection.transaction():
            family = await find_family(connection, table, rows, links)
    except psycopg.DataError:  # a value out of its type's range: the row-by-row way finds it
        return await _write(connection, table, rows, way)
    written = await _write(connection, table, rows.take(family.order), way)
    written.refusals = [replace(refusal, position=family.order[refusal.position]) for refusal in written.refusals]
    written.refusals += [orphan_refusal(table, position, link, rows) for position, link in family.orphans.items()]
    written.refusals.sort(key=lambda refusal: refusal.position)
    return written


@dataclass(frozen=True, slots=True)
class _Way:
    """How rows of one mode are written."""

    first: WriteRows
    """How they are tried first, all together."""
    write: WriteRows
    each: EachStatement
    rejects_duplicates: bool


def _way(table: TargetTable, rows: WritableRows, mode: WriteMode) -> _Way:
    if mode is not WriteMode.INSERT:
        return _Way(merge_rows, merge_rows, merge_each_statement, rejects_duplicates=False)
    write = copy_rows if table.facts.can_copy else insert_rows
    first = insert_rows if rows.size < COPY_THRESHOLD else write
    return _Way(first, write, insert_each_statement, rejects_duplicates=True)


async def _write(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, way: _Way) -> Written:
    try:
        async with connection.transaction():
            return Written(await way.first(connection, table, rows))
    except psycopg.Error as error:
        if not is_row_refusal(error):
            raise
        return await write_around_refusals(
            connection,
            table,
            rows,
            write=way.write,
            each=way.each,
            error=error,
            rejects_duplicates=way.rejects_duplicates,
        )


async def copy_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Write rows with `COPY … FROM STDIN`, as one block of text."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table.identifier, table.columns)
    async with connection.cursor() as cursor:
        async with cursor.copy(statement) as copy:
            await copy.write(copy_block(rows.columns))
        return _inserted(table, rows, cursor.rowcount)


async def insert_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Write few rows with one `INSERT … SELECT FROM unnest(…)`."""
    statement = sql.SQL("INSERT INTO {} ({}) {}SELECT {} FROM {}").format(
        table.identifier, table.columns, table.overriding, typed_columns(table), given_rows(table)
    )
    return _inserted(table, rows, (await connection.execute(statement, rows.columns)).rowcount)


def insert_each_statement(table: TargetTable, rows: WritableRows) -> tuple[sql.Composable, str]:
    """The statement that writes one row."""
    statement = sql.SQL("INSERT INTO {} ({}) {}SELECT {}").format(
        table.identifier, table.columns, table.overriding, own_row(table)
    )
    if table.facts.has_rules:
        return sql.SQL("WITH written AS ({}) SELECT 'created', NULL").format(statement), "created"
    return sql.SQL("{} RETURNING 'created', NULL").format(statement), "dropped"


def _inserted(table: TargetTable, rows: WritableRows, count: int) -> Tally:
    if table.facts.has_rules:  # what a rule does instead is not counted
        return Tally(created=rows.size)
    return Tally(created=count, dropped=rows.size - count)
