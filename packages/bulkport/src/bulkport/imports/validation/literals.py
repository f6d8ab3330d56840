"""Text cells of list and object fields: JSON, or PostgreSQL's literal of the column's type."""

from collections.abc import Callable
from typing import Any

from bulkport.imports.validation.exact_leaves import Reader, is_json_column
from bulkport.imports.values.arrays import TextArray, range_text, read_array, read_multirange
from bulkport.imports.values.column_type import ColumnType, TypeKind
from bulkport.imports.values.composite_text import read_record
from bulkport.imports.values.hstore import read_pairs
from bulkport.imports.values.json_text import read_json


def literal_reader(column: ColumnType | None, *, is_object: bool) -> Reader | None:
    """The reader of cells that may have a literal; None if they are JSON alone."""
    if is_json_column(column):
        return None
    if not is_object:
        if column is not None and column.kind is TypeKind.MULTIRANGE:
            return _json_unless("{", _read_ranges)
        delimiter = "," if column is None else column.delimiter
        return lambda value: _read_list(value, delimiter)
    if column is not None and column.kind is TypeKind.COMPOSITE:
        names = [name for name, _ in column.attributes]
        return _json_unless("(", lambda text: read_record(text, names))
    if column is not None and column.kind is TypeKind.BASE and column.name == "hstore":
        return lambda value: value if not isinstance(value, str) else _read_pairs(value)
    return None


def read_json_cell(value: Any) -> Any:
    """The value of a JSON cell."""
    return read_json(value) if isinstance(value, str) else value


def _json_unless(start: str, read: Callable[[str], Any]) -> Reader:
    """JSON, but where a cell begins as a literal does."""

    def read_cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return read(value) if value.lstrip().startswith(start) else read_json(value)

    return read_cell


def _read_list(value: Any, delimiter: str) -> Any:
    if not isinstance(value, str):
        return value
    return read_json(value) if value.lstrip().startswith("[") else read_array(value, delimiter)


def _read_ranges(text: str) -> TextArray:
    parts = read_multirange(text)
    return TextArray("empty" if part is None else range_text(part.lower, part.upper, part.bounds) for part in parts)


def _read_pairs(text: str) -> Any:
    return read_json(text) if text.lstrip().startswith("{") else read_pairs(text)
