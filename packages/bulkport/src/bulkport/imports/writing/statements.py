"""Parts that the statements on a resource's table are made of."""

from collections.abc import Collection, Sequence
from typing import Final

from psycopg import sql

from bulkport.imports.writing.table import TargetTable

PLACE: Final = sql.Identifier("place of the row")
"""Number of a row among those given, from 1: a name that no column of a table is likely to have."""


def given_rows(
    table: TargetTable,
    *,
    with_ordinality: bool = False,
    parameters: Sequence[sql.Composable] | None = None,
) -> sql.Composed:
    """`unnest(%b::text[], …) AS given (…)`: one parameter for each written column.

    `parameters` are the placeholders of these columns if they have names.
    """
    chosen = [sql.Identifier(name) for name in table.names]
    aliases = [*chosen, PLACE] if with_ordinality else chosen
    return sql.SQL("unnest({}) {} AS given ({})").format(
        sql.SQL(", ").join(
            sql.SQL("{}::text[]").format(parameter) for parameter in parameters or [sql.SQL("%b")] * len(chosen)
        ),
        sql.SQL("WITH ORDINALITY" if with_ordinality else ""),
        sql.SQL(", ").join(aliases),
    )


def typed_columns(table: TargetTable, filled: Collection[str] = ()) -> sql.Composed:
    """The columns of `given`, cast from text to the table's types.

    Parameters
    ----------
    filled:
        Columns in which the database's default stands for null.
    """
    return _filled(
        table,
        [
            sql.SQL("given.{}::{}").format(sql.Identifier(name), sql.SQL(kind))  # named by the catalogue
            for name, kind in zip(table.names, table.column_types, strict=True)
        ],
        filled,
    )


def own_row(table: TargetTable, filled: Collection[str] = ()) -> sql.Composed:
    """The columns of one row whose texts are the array `$1`, cast to the table's types; else as `typed_columns`."""
    return _filled(
        table,
        [sql.SQL(f"$1[{number}]::") + sql.SQL(kind) for number, kind in enumerate(table.column_types, start=1)],
        filled,
    )


def _filled(table: TargetTable, values: Sequence[sql.Composed], filled: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("COALESCE({}, ({})::{})").format(value, table.default_of(name) or sql.NULL, sql.SQL(kind))
        if name in filled
        else value
        for name, kind, value in zip(table.names, table.column_types, values, strict=True)
    )
