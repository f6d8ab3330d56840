"""The type of each column in a workbook or a Parquet file, and whether the rows fit."""

from typing import Any, Final

from psycopg import AsyncConnection, sql

from bulkport.errors import ValidationFailed
from bulkport.imports.exports.query import ExportQuery
from bulkport.imports.exports.values import PLAIN_TEXT, csv_values, json_text
from bulkport.imports.values.column_type import ColumnType, TypeKind
from bulkport.imports.writing.table import TargetTable

MAX_SHEET_ROWS: Final = 1_048_576
"""Rows of a sheet, with its header (ECMA-376; Excel's limit)."""
MAX_CELL_CHARACTERS: Final = 32_767
_MAX_DECIMAL_DIGITS: Final = 76

_PLAIN_PARQUET: Final = {
    "bool": "bool",
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float",
    "float8": "double",
    "bytea": "binary",
    "json": "json",
    "jsonb": "json",
    "hstore": "json",
}
_TIMES_PARQUET: Final = {
    "date": ("date", "{} BETWEEN '0001-01-01' AND '9999-12-31'"),
    "timestamp": ("timestamp", "{} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'"),
    "timestamptz": ("timestamptz", "{} BETWEEN '0001-01-01 00:00:00Z' AND '9999-12-31 23:59:59.999999Z'"),
    "time": ("time", "{} < '24:00'"),
}
_EXCEL_KINDS: Final = {
    "bool": "bool",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "float4": "number",
    "float8": "number",
    "numeric": "number",
    "money": "number",
    "date": "date",
    "timestamp": "timestamp",
}


async def excel_kinds(connection: AsyncConnection[Any], table: TargetTable, query: ExportQuery) -> list[str]:
    """What kind of cells each column has.

    Raises
    ------
    ValidationFailed
        There are more rows, or longer texts, than a sheet takes.
    """
    lengths = sql.SQL(", ").join(
        sql.SQL("length({}::text)").format(sql.Identifier(column)) for column in table.resource.column_names
    )
    statement = sql.SQL(
        "SELECT count(*), coalesce(max(greatest({lengths})), 0)"
        " FROM (SELECT * FROM {table} WHERE {condition} LIMIT {rows}) AS found"
    ).format(
        lengths=lengths,
        table=table.identifier,
        condition=query.condition(),
        rows=sql.Literal(MAX_SHEET_ROWS),
    )
    row = await (await connection.execute(statement)).fetchone()
    rows, longest = row or (0, 0)
    if rows >= MAX_SHEET_ROWS:
        most = f"a sheet has {MAX_SHEET_ROWS - 1:,} rows below its header, and there are more"
        raise ValidationFailed({"format": [f"{most}: search for fewer, or take csv, ndjson or parquet"]})
    if longest > MAX_CELL_CHARACTERS:
        most = f"a cell has {MAX_CELL_CHARACTERS:,} characters at most, and a value has {longest:,}"
        raise ValidationFailed({"format": [f"{most}: take csv, ndjson or parquet"]})
    return [_EXCEL_KINDS.get(type_.name, "text") if type_.kind is TypeKind.BASE else "text" for type_ in table.types]


async def parquet_kinds(connection: AsyncConnection[Any], table: TargetTable, query: ExportQuery) -> list[str]:
    """The Parquet type of each column.

    A column with a value that its type cannot hold, such as the date `infinity`, is a column of texts.
    """
    kinds = [_parquet_kind(type_) for type_ in table.types]
    fits = [
        sql.SQL("coalesce(bool_and({}), true)").format(
            sql.SQL(condition).format(sql.Identifier(column)) if condition else sql.SQL("true")
        )
        for column, (_, condition, _) in zip(table.resource.column_names, kinds, strict=True)
    ]
    if not any(condition for _, condition, _ in kinds):
        return [kind for kind, _, _ in kinds]
    statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(fits), table.identifier, query.condition()
    )
    async with connection.transaction():
        await connection.execute(PLAIN_TEXT)
        row = await (await connection.execute(statement)).fetchone()
    return [kind if fit else other for (kind, _, other), fit in zip(kinds, row or [True] * len(kinds), strict=True)]


def parquet_values(table: TargetTable, kinds: list[str]) -> list[sql.Composable]:
    """The columns as `COPY (FORMAT csv)` is to write them for a Parquet file of these types."""
    columns = zip(table.resource.column_names, table.types, kinds, csv_values(table), strict=True)
    return [
        json_text(column, type_) if kind == "json" or kind.startswith("list") else value
        for column, type_, kind, value in columns
    ]


def _parquet_kind(type_: ColumnType) -> tuple[str, str, str]:
    """A type, the condition under which all values have it, and the type of a column where one does not."""
    if type_.kind is TypeKind.ARRAY and type_.element is not None:
        element = type_.element
        name = element.name if element.kind is TypeKind.BASE else "text"
        if element.kind is TypeKind.COMPOSITE or _PLAIN_PARQUET.get(name) == "json":
            return "json", "", "json"
        kind = _PLAIN_PARQUET.get(name, "string")
        kind = kind if kind in ("bool", "int16", "int32", "int64", "float", "double") else "string"
        return f"list:{kind}", "coalesce(array_ndims({}), 1) = 1", "json"
    if type_.kind is not TypeKind.BASE:
        return "string", "", "string"
    if (time := _TIMES_PARQUET.get(type_.name)) is not None:
        return time[0], time[1], "string"
    if type_.name == "numeric" and (digits := type_.precision_and_scale) is not None:
        precision, scale = digits
        if 0 <= scale <= precision <= _MAX_DECIMAL_DIGITS:
            return f"decimal:{precision}:{scale}", "{} <> 'NaN'", "string"
    return _PLAIN_PARQUET.get(type_.name, "string"), "", "string"
