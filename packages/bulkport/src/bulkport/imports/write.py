"""Writing the valid rows of a chunk, inside the chunk's transaction.

COPY is tried first: it is the fastest way in, and nearly every chunk takes it. Only where PostgreSQL refuses the
chunk are its bad rows looked for (`refusals`).
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.imports.rejections import is_row_refusal, write_around_refusals
from bulkport.imports.resource import ConflictPolicy
from bulkport.imports.rows import Refusal, WritableRows
from bulkport.imports.table import TargetTable
from bulkport.imports.values.copy_text import copy_block

# Below this many rows the round trips of COPY cost more than its speed gains.
COPY_THRESHOLD: Final = 2_000


async def write_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> list[Refusal]:
    """Write rows inside the caller's transaction.

    Returns
    -------
    The rows that the database does not take (unique key, check, range, …); all others are written.

    Raises
    ------
    psycopg.Error
        For everything that is not about a row, such as a missing column or a lost connection.
    """
    if not rows.size:
        return []
    if table.has_deferred_constraints:
        # At the commit of the chunk it would be too late to tell which row breaks them.
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    write = copy_rows if table.resource.conflict is ConflictPolicy.REJECT else merge_rows
    first = insert_rows if write is copy_rows and rows.size < COPY_THRESHOLD else write
    try:
        async with connection.transaction():
            await first(connection, table, rows)
    except psycopg.Error as error:
        if not is_row_refusal(error):
            raise
        return await write_around_refusals(connection, table, rows, write)
    return []


async def copy_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> None:
    """Write rows with `COPY … FROM STDIN`, as one block of text."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table.identifier, table.columns)
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(copy_block(rows.columns))


async def insert_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> None:
    """Write few rows with one `INSERT … SELECT FROM unnest(…)`."""
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
        table.identifier, table.columns, typed_columns(table), given_rows(table)
    )
    await connection.execute(statement, rows.columns)


async def merge_rows(connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> None:
    """Write rows under the conflict policies SKIP and UPDATE.

    Of several rows with one key, SKIP keeps the first and UPDATE the last; a key with a null in it is no other row's.
    Rows go in by key, so that two chunks lock their common keys in the same order.
    """
    resource = table.resource
    key = sql.SQL(", ").join(map(sql.Identifier, resource.conflict_key))
    updates = [name for name in resource.column_names if name not in resource.conflict_key]
    if resource.conflict is ConflictPolicy.UPDATE and updates:
        action = sql.SQL("UPDATE SET {}").format(
            sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in updates)
        )
        order = sql.SQL("DESC")
    else:
        action, order = sql.Composed([sql.SQL("NOTHING")]), sql.SQL("ASC")
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) "
        "SELECT DISTINCT ON ({key}, {alone}) {columns} "
        "FROM (SELECT {typed}, ordinality FROM {given}) AS typed ({columns}, ordinality) "
        "ORDER BY {key}, {alone}, ordinality {order} "
        "ON CONFLICT ({key}) DO {action}"
    ).format(
        table=table.identifier,
        columns=table.columns,
        key=key,
        alone=sql.SQL("CASE WHEN num_nulls({}) > 0 THEN ordinality END").format(key),
        typed=typed_columns(table),
        given=given_rows(table, with_ordinality=True),
        order=order,
        action=action,
    )
    await connection.execute(statement, rows.columns)


def given_rows(
    table: TargetTable,
    positions: Sequence[int] | None = None,
    *,
    with_ordinality: bool = False,
    parameters: Sequence[sql.Composable] | None = None,
) -> sql.Composed:
    """`unnest(%b::text[], …) AS given (…)`: one parameter for each column, all or those at `positions`.

    `parameters` are the placeholders of these columns where they have names.
    """
    names = table.resource.column_names
    chosen = [sql.Identifier(names[i]) for i in (range(len(names)) if positions is None else positions)]
    aliases = [*chosen, sql.Identifier("ordinality")] if with_ordinality else chosen
    return sql.SQL("unnest({}) {} AS given ({})").format(
        sql.SQL(", ").join(
            sql.SQL("{}::text[]").format(parameter) for parameter in parameters or [sql.SQL("%b")] * len(chosen)
        ),
        sql.SQL("WITH ORDINALITY" if with_ordinality else ""),
        sql.SQL(", ").join(aliases),
    )


def typed_columns(table: TargetTable) -> sql.Composed:
    """The columns of `given`, cast from text to the table's types."""
    return sql.SQL(", ").join(
        sql.SQL("given.{}::{}").format(sql.Identifier(name), sql.SQL(kind))  # named by the catalogue
        for name, kind in zip(table.resource.column_names, table.column_types, strict=True)
    )
