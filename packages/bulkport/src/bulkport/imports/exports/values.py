"""Formats column values in PostgreSQL as text that an import reads back as equal values."""

from typing import Final

from psycopg import sql

from bulkport.imports.values.column_type import ColumnType, TypeKind
from bulkport.imports.writing.table import TargetTable

# How values are written must not depend on what the role or the database prefers.
PLAIN_TEXT: Final = (
    "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL intervalstyle = 'iso_8601';"
    " SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL xmloption = 'content'"
)
_MAX_ALIAS_BYTES: Final = 63


def csv_values(table: TargetTable) -> list[sql.Composable]:
    """The columns as `COPY (FORMAT csv)` is to write them."""
    return [_csv_value(column, type_) for column, type_ in zip(table.resource.column_names, table.types, strict=True)]


def json_rows(table: TargetTable, rows: sql.Composable) -> sql.Composed:
    """A query for one JSON object a row.

    Parameters
    ----------
    rows:
        What follows the list of columns: FROM, WHERE and ORDER BY.
    """
    names = [table.resource.wire_names[field] for field in table.resource.field_names]
    values = [
        _json_value(column, type_) for column, type_ in zip(table.resource.column_names, table.types, strict=True)
    ]
    if any(len(name.encode()) > _MAX_ALIAS_BYTES for name in names):  # PostgreSQL would cut an alias
        members = sql.SQL(", ").join(
            sql.SQL("{}, {}").format(sql.Literal(name), value) for name, value in zip(names, values, strict=True)
        )
        return sql.SQL("SELECT json_build_object({}) {}").format(members, rows)
    members = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for name, value in zip(names, values, strict=True)
    )
    return sql.SQL("SELECT row_to_json(found) FROM (SELECT {} {}) AS found").format(members, rows)


def json_text(column: str, type_: ColumnType) -> sql.Composable:
    """A column as JSON text on one line; null stays null."""
    if type_.name in ("json", "jsonb") and type_.kind is TypeKind.BASE:
        return sql.SQL("{}::text").format(_json_value(column, type_))
    return sql.SQL("to_json({})::text").format(_json_value(column, type_))


def _csv_value(column: str, type_: ColumnType) -> sql.Composable:
    name = sql.Identifier(column)
    match type_.kind, type_.name:
        case TypeKind.BASE, "bool":
            return sql.SQL("{}::text").format(name)  # `true`, not `t`
        case TypeKind.BASE, "money":
            return sql.SQL("{}::numeric").format(name)  # without a currency
    return name


def _json_value(column: str, type_: ColumnType) -> sql.Composable:
    name = sql.Identifier(column)
    if type_.kind is TypeKind.COMPOSITE:
        return sql.SQL("{}::text").format(name)
    match type_.kind, type_.name:
        case TypeKind.BASE, "money":
            return sql.SQL("{}::numeric").format(name)
        case TypeKind.BASE, "json":
            # Written as it was stored, which may be on several lines: between tokens a line end is a blank.
            return sql.SQL("translate({}::text, E'\\n\\r', '  ')::json").format(name)
    return name
