"""The rows of a Parquet file as NDJSON: every digit of numbers, dates and times as ISO 8601, lists as JSON."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from bulkport.imports.workbooks.errors import UnreadableFileError

_BATCH_ROWS: Final = 2000
_EXACT: Final = 2**53
"""Up to here every whole number has a floating-point number of its own."""


def read_parquet(order: dict[str, Any]) -> tuple[dict[str, Any], Iterator[bytes]]:
    """No remarks, and the rows as NDJSON.

    Raises
    ------
    UnreadableFileError
        The file is not a Parquet file, or is too large.
    """
    try:
        file = pq.ParquetFile(order["path"], memory_map=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableFileError(f"it is not a Parquet file ({' '.join(str(error).split())[:120]})") from None
    names = file.schema_arrow.names
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UnreadableFileError(f"it has the column {twice[0]!r} twice; give each column a name of its own")
    metadata = file.metadata
    cells = metadata.num_rows * max(1, metadata.num_columns)
    if cells > order["max_cells"]:
        raise UnreadableFileError(f"it has {cells:,} cells, and {order['max_cells']:,} is the limit")
    for group in range(metadata.num_row_groups):
        if metadata.row_group(group).total_byte_size > order["memory_bytes"] // 2:
            raise UnreadableFileError("a row group of it is too large; write it with smaller ones")
    return {}, _lines(file)


def _lines(file: pq.ParquetFile) -> Iterator[bytes]:
    names = file.schema_arrow.names
    json_columns = _json_columns(file)
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
        columns = [
            [_json_text(text) for text in column.cast(pa.string()).to_pylist()]
            if name in json_columns
            else [_json(_whole(value)) for value in _values(column)]
            for name, column in zip(names, batch.columns, strict=True)
        ]
        yield "".join(
            "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in zip(names, row, strict=True)) + "}\n"
            for row in zip(*columns, strict=True)
        ).encode(errors="replace")


def _json_columns(file: pq.ParquetFile) -> set[str]:
    """Columns whose texts are JSON, by Parquet's logical type."""
    columns = (file.schema.column(position) for position in range(len(file.schema)))
    return {column.name for column in columns if column.path == column.name and column.logical_type.type == "JSON"}


def _json_text(text: str | None) -> str:
    """The value of a JSON text on one line; invalid JSON is text."""
    if text is None:
        return "null"
    try:
        # Numbers as they are written: 1e400 is a number of JSON. NaN is none.
        json.loads(text, parse_float=str, parse_int=str, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)
    return text.replace("\n", " ").replace("\r", " ")


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _values(column: pa.Array) -> list[Any]:
    """A column's values; times that Python does not have, for their digits or their year, as text."""
    kind = column.type
    try:
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(pa.timestamp("us", kind.tz))
        elif pa.types.is_time64(kind) and kind.unit == "ns":
            column = column.cast(pa.time64("us"))
        elif pa.types.is_duration(kind):
            return [None if count is None else _duration(count, kind.unit) for count in _counts(column)]
        return _python_values(column)
    except (pa.ArrowInvalid, ValueError, OverflowError):
        if not pa.types.is_nested(kind):
            return _written_values(column)
    return [_each_value(value) for value in column]


def _counts(column: pa.Array) -> list[int | None]:
    return list(column.cast(pa.int64()).to_pylist())


def _written_values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        try:
            return list(column.cast(pa.string()).to_pylist())
        except pa.ArrowInvalid:  # a zone that is not known here; what is stored is UTC
            return _values(column.cast(pa.timestamp(kind.unit, "UTC")))
    return list(column.cast(pa.string()).to_pylist())


def _python_values(column: pa.Array) -> list[Any]:
    """Maps as dicts, unless they have a key twice."""
    try:
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except KeyError:
        return list(column.to_pylist())


def _each_value(scalar: pa.Scalar) -> Any:
    """A value inside which are times that Python does not have."""
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StructScalar):
        return {name: _each_value(scalar[name]) for name in scalar}
    if isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar):
        return [_each_value(item) for item in scalar.values or ()]
    return _values(pa.array([scalar.as_py()]) if not pa.types.is_temporal(scalar.type) else _array_of(scalar))[0]


def _array_of(scalar: pa.Scalar) -> pa.Array:
    return pa.array([scalar.value], pa.int64()).cast(scalar.type)


def _whole(value: Any) -> Any:
    """A float that is a whole number as such: columns of whole numbers with gaps are often stored as floats."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT and str(value) != "-0.0":
        return int(value)
    return value


def _json(value: Any) -> str:
    """JSON text in which decimals keep every digit."""
    if isinstance(value, Decimal):
        # What is not a JSON number is text, and refused where a number is needed.
        return format(value, "f") if value.is_finite() else json.dumps(str(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key))}:{_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return f'"{"NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}"'  # noqa: PLR0124
    convert = _CONVERTERS.get(type(value))
    if convert is not None:
        value = convert(value)
    elif isinstance(value, date):  # of which datetime and pandas' Timestamp are kinds
        value = value.isoformat()
    elif isinstance(value, timedelta):  # of which pandas' Timedelta is one, with nanoseconds
        value = _duration(value.value, "ns")  # type: ignore[attr-defined]
    elif not isinstance(value, str | int | float | bool | None):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)


def _duration(count: int, unit: str) -> str:
    """So many of a unit, as ISO 8601 writes it."""
    return f"PT{format(Decimal(count).scaleb(-_DECIMALS[unit]).normalize(), 'f')}S"


_DECIMALS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_CONVERTERS: Final[dict[type, Callable[[Any], str]]] = {
    time: lambda value: value.isoformat(),
    timedelta: lambda value: _duration(value // timedelta(microseconds=1), "us"),
    bytes: lambda value: "\\x" + value.hex(),  # as PostgreSQL writes it
    UUID: str,
}
