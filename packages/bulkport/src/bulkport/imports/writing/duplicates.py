"""Finding all rows of a chunk that break a unique key, in one statement a key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.table import TargetTable


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows that break a unique key, by position; the value is the key's column positions."""

    stored: dict[int, tuple[int, ...]]
    """Rows whose key is already in the table."""
    repeated: dict[int, tuple[int, ...]]
    """Rows whose key is that of an earlier row of the chunk."""


async def find_duplicates(
    connection: AsyncConnection[Any],
    table: TargetTable,
    rows: WritableRows,
    *,
    is_refusal: Callable[[psycopg.Error, TargetTable], bool],
) -> Duplicates:
    """Compare rows with the table and with each other, by the database's own equality of each type.

    A key whose comparison fails (a value out of its range or that its domain does not take, a role that may not read)
    is left to the row-by-row way.

    Parameters
    ----------
    is_refusal:
        Whether an error may be about a row.
    """
    duplicates = Duplicates({}, {})
    for key in table.unique_keys:
        try:
            async with connection.transaction():
                cursor = await connection.execute(
                    escaped(_statement(table, key), connection), [rows.columns[i] for i in key]
                )
                found = await cursor.fetchall()
        except psycopg.Error as error:
            if not is_refusal(error, table):
                raise
            continue
        for position, is_stored in found:
            (duplicates.stored if is_stored else duplicates.repeated).setdefault(position, key)
    return duplicates


def _statement(table: TargetTable, key: tuple[int, ...]) -> sql.Composed:
    columns = [sql.Identifier("stored", table.names[i]) for i in key]
    names = [sql.Identifier(f"key_{number}") for number in range(len(key))]
    types = [sql.SQL(table.column_types[i]) for i in key]  # named by the catalogue
    return sql.SQL("""
        WITH given AS MATERIALIZED (
            SELECT {typed}, ordinality::integer - 1 AS position
            FROM unnest({arrays}) WITH ORDINALITY AS texts ({names}, ordinality)
        )
        SELECT position, true FROM given WHERE EXISTS (SELECT FROM {table} AS stored WHERE {same})
        UNION ALL
        SELECT position, false FROM (
            SELECT position, row_number() OVER (PARTITION BY {names} ORDER BY position) AS occurrence
            FROM given WHERE num_nulls({names}) = 0
        ) AS numbered WHERE occurrence > 1
    """).format(
        typed=sql.SQL(", ").join(sql.SQL("{0}::{1} AS {0}").format(n, t) for n, t in zip(names, types, strict=True)),
        arrays=sql.SQL(", ").join([sql.SQL("%b::text[]")] * len(key)),
        names=sql.SQL(", ").join(names),
        table=table.identifier,
        same=sql.SQL(" AND ").join(
            sql.SQL("{} = given.{}").format(column, name) for column, name in zip(columns, names, strict=True)
        ),
    )
