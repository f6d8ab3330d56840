"""Writing the valid rows of a chunk, inside the chunk's transaction.

COPY is tried first: it is the fastest way in, and nearly every chunk takes it. Where COPY is not possible (row-level
security, views, rules) the same rows go by `INSERT … SELECT`. Only where PostgreSQL refuses the chunk are its bad rows
looked for (`rejections`).
"""

from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.imports.merge import merge_each_statement, merge_rows
from bulkport.imports.rejections import is_row_refusal, write_around_refusals
from bulkport.imports.rows import WritableRows
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
    if (mode or table.resource.default_mode) is WriteMode.INSERT:
        write, each = (copy_rows if table.facts.can_copy else insert_rows), insert_each_statement
        first = insert_rows if rows.size < COPY_THRESHOLD else write
    else:
        write = first = merge_rows
        each = merge_each_statement
    try:
        async with connection.transaction():
            return Written(await first(connection, table, rows))
    except psycopg.Error as error:
        if not is_row_refusal(error):
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


async def copy_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Write rows with `COPY … FROM STDIN`, as one block of text."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table.identifier, table.columns)
    async with connection.cursor() as cursor:
        async with cursor.copy(statement) as copy:
            await copy.write(copy_block(rows.columns))
        return _inserted(table, rows, cursor.rowcount)


async def insert_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
    """Write few rows with one `INSERT … SELECT FROM unnest(…)`."""
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
        table.identifier, table.columns, typed_columns(table), given_rows(table)
    )
    return _inserted(table, rows, (await connection.execute(statement, rows.columns)).rowcount)


def insert_each_statement(table: TargetTable, rows: WritableRows) -> tuple[sql.Composable, str]:
    """The statement that writes one row."""
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {}").format(table.identifier, table.columns, own_row(table))
    if table.facts.has_rules:
        return sql.SQL("WITH written AS ({}) SELECT 'created', NULL").format(statement), "created"
    return sql.SQL("{} RETURNING 'created', NULL").format(statement), "dropped"


def _inserted(table: TargetTable, rows: WritableRows, count: int) -> Tally:
    if table.facts.has_rules:  # what a rule does instead is not counted
        return Tally(created=rows.size)
    return Tally(created=count, dropped=rows.size - count)
