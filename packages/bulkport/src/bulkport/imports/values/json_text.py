"""JSON to Python values and back without a digit lost (RFC 8259)."""

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

from pydantic import BaseModel

from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.numbers import ExactFloat

JSON: Final = '{value} is not JSON; write it as in {"a": 1}, ["a"] or "a"'


def read_json(text: str) -> Any:
    """A JSON text as Python values; numbers with a fraction or exponent are `ExactFloat`.

    Raises
    ------
    ValueFault
        If the text is not JSON. `NaN` and `Infinity` are not.
    """
    try:
        return _DECODER.decode(text.strip(" \t\r\n"))
    except (ValueError, RecursionError):
        raise ValueFault(JSON, text) from None


def json_text(value: Any, other: Callable[[Any], str] = str) -> str:
    """A Python value as JSON.

    Parameters
    ----------
    other:
        Gives the text of values that JSON does not have.
    """
    parts: list[str] = []
    _write(value, parts.append, other)
    return "".join(parts)


def _write(value: Any, write: Callable[[str], None], other: Callable[[Any], str]) -> None:
    kind = type(value)
    if kind is str:
        write(encode_basestring(value))
    elif kind is int:
        write(int.__repr__(value))
    elif kind is ExactFloat:
        write(value.text)
    elif kind is dict or isinstance(value, Mapping):
        separator = "{"
        for key, member in value.items():
            write(f"{separator}{encode_basestring(str(key))}:")
            _write(member, write, other)
            separator = ","
        write("}" if value else "{}")
    elif kind is list or isinstance(value, list | tuple | set | frozenset):
        separator = "["
        for item in value:
            write(separator)
            _write(item, write, other)
            separator = ","
        write("]" if value else "[]")
    else:
        write(_scalar_text(value, other))


def _scalar_text(value: Any, other: Callable[[Any], str]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return encode_basestring(str(value))
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueFault("must be a finite number, not {value}", str(value))
        return float.__repr__(value)
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else encode_basestring(str(value))
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return encode_basestring(other(value))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=ExactFloat, parse_constant=_refuse_constant)
