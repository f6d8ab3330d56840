"""Column values as the text that PostgreSQL reads.

One text form of a value serves both ways to write: `COPY … FROM STDIN` (PostgreSQL manual, COPY, "Text Format") and
arrays of text that are cast to the column's type.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

# Stand-ins while whole columns are joined: the escape of tab, line end and NULL must not meet the data's own.
_FIELD_END: Final = "\x1f"
_ROW_END: Final = "\x1e"
_NULL: Final = "\x1d"

_ESCAPES: Final = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
)


def column_texts(values: Sequence[Any], column_type: str) -> list[str | None]:
    """The text form of one column's values; None stays None (SQL NULL)."""
    kinds = set(map(type, values))
    has_null = type(None) in kinds
    kinds.discard(type(None))
    if kinds == {str} or not kinds:
        return list(values)
    if kinds == {int}:
        return [None if value is None else str(value) for value in values] if has_null else list(map(str, values))
    to_text = _array_text if column_type.endswith("[]") else _value_text
    return [None if value is None else to_text(value) for value in values]


def copy_block(columns: Sequence[Sequence[str | None]]) -> bytes:
    """Rows in COPY's text format, from their columns' texts (all of one length).

    Escaping is done on the whole block at once, which costs a tenth of doing it value by value; only a block whose
    data contain the stand-in characters takes the slow way.
    """
    rows = len(columns[0])
    texts: list[Sequence[str]] = []
    nulls = 0
    for column in columns:
        missing = column.count(None)
        nulls += missing
        texts.append([_NULL if value is None else value for value in column] if missing else column)  # type: ignore[arg-type] # no None left
    lines = texts[0] if len(texts) == 1 else map(_FIELD_END.join, zip(*texts, strict=True))
    block = _ROW_END.join(lines)
    if (
        block.count(_ROW_END) != rows - 1
        or block.count(_FIELD_END) != rows * (len(columns) - 1)
        or block.count(_NULL) != nulls
    ):
        return _copy_block_by_value(columns)
    # A backslash, tab or line end inside the data: most blocks have none, and `in` finds out at memory speed.
    if "\\" in block:
        block = block.replace("\\", "\\\\")
    for character, escape in (("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        if character in block:
            block = block.replace(character, escape)
    if nulls:
        block = block.replace(_NULL, "\\N")
    if len(columns) > 1:
        block = block.replace(_FIELD_END, "\t")
    return (block.replace(_ROW_END, "\n") + "\n").encode()


def _copy_block_by_value(columns: Sequence[Sequence[str | None]]) -> bytes:
    rows = zip(*columns, strict=True)
    return "".join(
        "\t".join("\\N" if value is None else value.translate(_ESCAPES) for value in row) + "\n" for row in rows
    ).encode()


def _value_text(value: Any) -> str:
    if isinstance(value, Enum):
        return _value_text(value.value)
    for kind, to_text in _TEXTS:
        if isinstance(value, kind):
            return to_text(value)
    return str(value)


def _array_text(value: Any) -> str:
    """An array literal (PostgreSQL manual, 8.15.2)."""
    if isinstance(value, list | tuple | set | frozenset):
        return "{" + ",".join(_array_element(element) for element in value) + "}"
    return _value_text(value)


def _array_element(element: Any) -> str:
    if element is None:
        return "NULL"
    if isinstance(element, list | tuple):
        return _array_text(element)
    text = _value_text(element).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_value_text)


_TEXTS: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...]] = (
    (bool, lambda value: "t" if value else "f"),
    (str, str),
    ((int, float, Decimal, UUID), str),
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"),
    ((bytes, bytearray, memoryview), lambda value: "\\x" + bytes(value).hex()),
    (BaseModel, lambda value: value.model_dump_json()),
    ((dict, list, tuple, set, frozenset), lambda value: _json_text(list(value) if isinstance(value, set) else value)),
)
