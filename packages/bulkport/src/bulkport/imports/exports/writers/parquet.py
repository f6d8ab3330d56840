"""A Parquet file, one row group after the other, with the types of the table's columns."""

import json
from collections.abc import Iterable, Sequence
from datetime import time
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

_GROUP_ROWS: Final = 100_000
_GROUP_BYTES: Final = 32 * 1024 * 1024

_TYPES: Final = {
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "time": pa.time64("us"),
    "string": pa.string(),
}


def write_parquet(columns: Sequence[dict[str, str]], pages: Iterable[bytes], out: BinaryIO) -> None:
    """Write the rows of the pages, CSV without a header.

    Parameters
    ----------
    columns:
        `name` and `kind` of each; see `file_columns`.
    """
    schema = pa.schema([pa.field(column["name"], _type(column["kind"])) for column in columns])
    kinds = [column["kind"] for column in columns]
    # Closed at the end only: closing makes a whole file of what was written.
    writer = pq.ParquetWriter(out, schema, compression="zstd", store_schema=True)
    group: list[pa.Table] = []
    for page in pages:
        group.append(_table(page, schema, kinds))
        if sum(table.num_rows for table in group) >= _GROUP_ROWS or sum(t.nbytes for t in group) >= _GROUP_BYTES:
            writer.write_table(pa.concat_tables(group))
            group = []
    if group:
        writer.write_table(pa.concat_tables(group))
    writer.close()


def _type(kind: str) -> pa.DataType:
    name, *parameters = kind.split(":")
    match name:
        case "decimal":
            precision, scale = map(int, parameters)
            return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        case "list":
            return pa.list_(_TYPES[parameters[0]])
        case "json":
            return pa.json_(pa.string())
    return _TYPES[name]


def _table(page: bytes, schema: pa.Schema, kinds: Sequence[str]) -> pa.Table:
    names = [str(position) for position in range(len(kinds))]
    texts = arrow_csv.read_csv(
        pa.py_buffer(page),
        read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(page) + 1),
        # Of a single column an empty line is a null.
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    found = [
        _values(texts.column(position), kind, field.type)
        for position, (kind, field) in enumerate(zip(kinds, schema, strict=True))
    ]
    return pa.table(found, schema=schema)


def _values(texts: pa.ChunkedArray, kind: str, type_: pa.DataType) -> Any:
    if kind == "string":
        return texts
    if kind == "binary":
        return pa.array([None if text is None else bytes.fromhex(text[2:]) for text in texts.to_pylist()], type_)
    if kind == "time":
        return pa.array([None if text is None else time.fromisoformat(text) for text in texts.to_pylist()], type_)
    if kind == "json":
        return pa.chunked_array([pa.ExtensionArray.from_storage(type_, chunk) for chunk in texts.chunks], type=type_)
    if kind.startswith("list"):
        convert = float if pa.types.is_floating(type_.value_type) else None
        return pa.array([_list(text, convert, type_) for text in texts.to_pylist()], type_)
    if kind == "timestamptz":
        # PostgreSQL writes the offset of UTC in two digits.
        texts = pc.replace_substring_regex(texts, r"\+00$", "Z")
    return texts.cast(type_)


def _list(text: str | None, convert: Any, type_: pa.DataType) -> list[Any] | None:
    if text is None:
        return None
    if pa.types.is_string(type_.value_type):
        # Numbers in texts keep every digit.
        items = json.loads(text, parse_float=str, parse_int=str)
    else:
        items = json.loads(text)
    return [None if item is None else convert(item) for item in items] if convert else items
