"""Text that PostgreSQL cannot store.

The types text and jsonb hold every Unicode character but NUL (PostgreSQL manual, 8.3 and 8.14), and UTF-8 has no lone
surrogates (RFC 3629 §3).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

NUL_MESSAGE: Final = "must not contain the character NUL"
SURROGATE_MESSAGE: Final = "must not contain half of a surrogate pair"

_WITHOUT_TEXT: Final = (int, float, Decimal, date, time, timedelta, UUID, Enum, bytes, type(None))
_MAX_DEPTH: Final = 256


def unstorable(column: Sequence[Any]) -> dict[int, str]:
    """What is wrong, by position, with the values of a column that cannot be stored."""
    try:
        if not _fault("".join(column)):  # as most columns are: texts without a fault
            return {}
    except TypeError:
        if all(issubclass(kind, _WITHOUT_TEXT) for kind in set(map(type, column))):
            return {}
    found = {}
    for position, value in enumerate(column):
        if message := _fault(value) if type(value) is str else _fault_inside(value, 0):
            found[position] = message
    return found


def storing_fault(value: Any) -> str | None:
    """What is wrong with a value that cannot be stored; None where nothing is."""
    return _fault_inside(value, 0)


def _fault(text: str) -> str | None:
    if "\0" in text:
        return NUL_MESSAGE
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return SURROGATE_MESSAGE
    return None


def _fault_inside(value: Any, depth: int) -> str | None:
    kind = type(value)
    if kind is str or isinstance(value, str):
        return _fault(value)
    if kind is int or isinstance(value, _WITHOUT_TEXT):
        return None
    if depth > _MAX_DEPTH:
        return "must not be nested so deeply"
    parts: Iterable[Any] = ()
    if kind is list:
        parts = value
    elif kind is dict or isinstance(value, Mapping):
        parts = (*value.keys(), *value.values())
    elif isinstance(value, BaseModel):
        parts = [*value.__dict__.values(), *(value.__pydantic_extra__ or {}).values()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        return _fault(str(value))
    for part in parts:
        if fault := _fault_inside(part, depth + 1):
            return fault
    return None
