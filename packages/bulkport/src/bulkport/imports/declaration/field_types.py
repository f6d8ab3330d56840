"""Checks whether a column's type can hold a model field's values, as far as declarations tell."""

import types
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WHOLE: Final = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
_NUMERIC: Final = frozenset({*_WHOLE, "numeric", "float4", "float8", "money", "oid"})
_MOMENTS: Final = frozenset({"timestamp", "timestamptz"})
_JSON: Final = frozenset({"json", "jsonb", "hstore"})
_TYPED: Final = frozenset({*_NUMERIC, *_MOMENTS, "bool", "date", "time", "timetz", "interval", "bytea"})

_HOLDS: Final[Mapping[type, frozenset[str]]] = {
    bool: frozenset({"bool"}),
    int: _NUMERIC,
    float: _NUMERIC - {*_WHOLE, "oid"},
    Decimal: _NUMERIC - {*_WHOLE, "oid"},
    datetime: _MOMENTS,
    date: _MOMENTS | {"date"},
    time: frozenset({"time", "timetz"}),
    timedelta: frozenset({"interval"}),
    UUID: frozenset({"uuid"}),
    bytes: frozenset({"bytea"}),
}


def type_mistake(field: FieldInfo, column: Any) -> str | None:
    """Why the column cannot hold what the field accepts; None: nothing is known against it.

    Parameters
    ----------
    column
        With `base` (name of its type in the catalogue), `category` and `modifier`, as `pg_type` and `pg_attribute` have
        them.
    """
    kind = _plain_type(field.annotation)
    if kind is None or column.category == "S":
        return _length_mistake(field, column) if column.category == "S" else None
    if issubclass(kind, str):
        # An enum, a network address or a type of an extension reads its values from text.
        return "it accepts any text" if column.base in _TYPED and not issubclass(kind, Enum) else None
    for accepted, bases in _HOLDS.items():
        if issubclass(kind, accepted):
            if column.base not in bases:
                return f"it is {kind.__name__}" if column.base in _TYPED | _JSON | {"uuid"} else None
            return _number_mistake(field, column)
    if issubclass(kind, dict | list | tuple | set | BaseModel) and column.base in _TYPED | {"uuid"}:
        return f"it is {kind.__name__}"
    return None


def _length_mistake(field: FieldInfo, column: Any) -> str | None:
    longest = _constraint(field, "max_length")
    # The modifier of varchar(n) and char(n) is n + 4 (PostgreSQL, src/backend/utils/adt/varchar.c).
    if column.base in {"varchar", "bpchar"} and column.modifier > 4 and longest is not None:
        most = column.modifier - 4
        return f"it accepts {longest} characters" if longest > most else None
    return None


def _number_mistake(field: FieldInfo, column: Any) -> str | None:
    largest = _constraint(field, "le")
    if column.base in _WHOLE and largest is not None and largest >= _WHOLE[column.base]:
        return f"it accepts numbers up to {largest}"
    if column.base == "numeric" and column.modifier > 4:
        # numeric(p, s): ((p << 16) | s) + 4 (src/backend/utils/adt/numeric.c).
        precision, scale = (column.modifier - 4) >> 16, (column.modifier - 4) & 0x7FF
        digits, places = _constraint(field, "max_digits"), _constraint(field, "decimal_places")
        if places is not None and places > scale:
            return f"it accepts {places} decimal places"
        if digits is not None and digits - (places or 0) > precision - scale:
            return f"it accepts {digits} digits"
    return None


def _constraint(field: FieldInfo, name: str) -> Any:
    for part in field.metadata:
        value = getattr(part, name, None)
        if value is not None:
            return value
    return None


def _plain_type(annotation: Any) -> type | None:
    """The one type of an annotation, without None; None: it has several, or none that says much."""
    origin = get_origin(annotation)
    if origin is Literal:
        kinds = {type(value) for value in get_args(annotation) if value is not None}
        # Its values are few and known: a column of any type may have them as text.
        return None if str in kinds else kinds.pop() if len(kinds) == 1 else None
    if origin in (Union, types.UnionType):
        found = {_plain_type(part) for part in get_args(annotation) if part is not type(None)}
        return found.pop() if len(found) == 1 else None
    kind = origin or annotation
    return kind if isinstance(kind, type) else None
