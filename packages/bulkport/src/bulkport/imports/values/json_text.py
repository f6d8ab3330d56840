"""JSON to Python values and back without a digit lost (RFC 8259)."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from bulkport.imports.values.faults import ValueFault, quoted
from bulkport.imports.values.numbers import ExactFloat

JSON: Final = '{value} is not JSON; write it as in {"a": 1}, ["a"] or "a"'


class RepeatedMember(ValueFault):
    """An object has a duplicate member, so that readers lose one of the values."""

    def __init__(self, name: str, value: Any = None) -> None:
        super().__init__(f"has the member {quoted(name)} twice; give it once", value)
        self.name = name


def read_json(text: str) -> Any:
    """A JSON text as Python values; numbers with a fraction or exponent are `ExactFloat`.

    Raises
    ------
    RepeatedMember
        If an object in it has a member twice.
    ValueFault
        If the text is not JSON. `NaN` and `Infinity` are not.
    """
    return _decoded(_STRICT, text)


def read_repeating_json(text: str) -> Any:
    """As `read_json`, but of a member that an object has twice the last one counts; `repeated_member` knows them."""
    return _decoded(_LENIENT, text)


def repeated_member(value: Any) -> str | None:
    """The name of a member that an object had twice, somewhere in what `read_repeating_json` has read."""
    if isinstance(value, _Repeating):
        return value.repeated
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((name for part in parts if (name := repeated_member(part)) is not None), None)


def has_repeated_member(text: str) -> bool:
    """Whether an object in a JSON text has a member twice; a text that is not JSON has none."""
    colons = text.count(":")
    if colons < _FEWEST:
        return False
    try:
        value = _ANY.decode(text)
        # Each member has its own colon, so a flat object with as many colons lacks none.
        if not isinstance(value, dict) or len(value) != colons:
            read_json(text)
    except RepeatedMember:
        return True
    except (msgspec.DecodeError, ValueError, ValueFault, RecursionError):
        return False
    return False


def _decoded(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text.strip(" \t\r\n"))
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


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RepeatedMember(_repeated(pairs))
    return members


class _Repeating(dict[str, Any]):
    """An object that had a member twice."""

    repeated = ""


def _repeating_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    found = _Repeating(members)
    found.repeated = _repeated(pairs)
    return found


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    return Counter(name for name, _ in pairs).most_common(1)[0][0]


_STRICT: Final = json.JSONDecoder(parse_float=ExactFloat, parse_constant=_refuse_constant, object_pairs_hook=_members)
_LENIENT: Final = json.JSONDecoder(
    parse_float=ExactFloat, parse_constant=_refuse_constant, object_pairs_hook=_repeating_members
)
_ANY: Final = msgspec.json.Decoder()
_FEWEST: Final = 2
