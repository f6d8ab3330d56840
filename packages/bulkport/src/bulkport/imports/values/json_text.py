"""JSON to Python values and back without a digit lost (RFC 8259)."""

import json
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
    if value is None:
        write("null")
    elif value is True or value is False:
        write("true" if value else "false")
    elif isinstance(value, str):
        write(encode_basestring(str(value)))
    elif isinstance(value, int):
        write(int.__repr__(value))
    elif isinstance(value, ExactFloat):
        write(value.text)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 # not a number
            raise ValueFault("must be a finite number, not {value}", str(value))
        write(float.__repr__(value))
    elif isinstance(value, Decimal):
        write(str(value) if value.is_finite() else encode_basestring(str(value)))
    elif isinstance(value, Mapping):
        separator = "{"
        for key, member in value.items():
            write(f"{separator}{encode_basestring(str(key))}:")
            _write(member, write, other)
            separator = ","
        write("}" if value else "{}")
    elif isinstance(value, list | tuple | set | frozenset):
        separator = "["
        for item in value:
            write(separator)
            _write(item, write, other)
            separator = ","
        write("]" if value else "[]")
    elif isinstance(value, BaseModel):
        write(value.model_dump_json())
    else:
        write(encode_basestring(other(value)))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=ExactFloat, parse_constant=_refuse_constant)
