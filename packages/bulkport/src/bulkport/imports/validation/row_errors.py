"""Bad rows in reports."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from bulkport.imports.formats.bad_bytes import visible_bytes

_MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a row."""

    field: str
    """Name on the wire; empty for the whole row."""
    message: str
    """Readable alone, such as `platformName must not be blank`."""


class SourceRecord(Protocol):
    """A record as the client sent it."""

    def value(self) -> Any:
        """An object by wire names when it could be read as one, else the raw text."""

    def json(self) -> str:
        """`value` as JSON (RFC 8259) that every JSON reader takes; holds no NUL and no lone surrogate."""


@dataclass(frozen=True, slots=True)
class RowError:
    """A bad row: its number, its errors and the record sent."""

    row: int
    """1-based number of the record in the body."""
    errors: Sequence[FieldError]
    source: SourceRecord

    @property
    def record(self) -> Any:
        """What was sent: an object by wire names when it could be read as one, else the raw text."""
        return self.source.value()

    def record_json(self) -> str:
        """What was sent, as JSON."""
        return self.source.json()


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """A record that came as JSON."""

    raw: bytes

    def value(self) -> Any:
        found = self._object()
        return visible_bytes(self.raw.decode(errors="surrogateescape")) if found is None else found[1]

    def json(self) -> str:
        found = self._object()
        return _json_text(visible_bytes(self.raw.decode(errors="surrogateescape"))) if found is None else found[0]

    def _object(self) -> tuple[str, dict[str, Any]] | None:
        """The record's own text and value, when it is an object that any JSON reader takes."""
        try:
            text = self.raw.decode()
            value = _DECODER.decode(text)
            if "\\u" in text and _SURROGATE.search(text):
                json.dumps(value, ensure_ascii=False).encode()  # raises where half of a pair stands alone
        except (ValueError, RecursionError):  # not UTF-8, not JSON, half a surrogate pair, or too long a number
            return None
        if not isinstance(value, dict):
            return None
        # A reader with a smaller stack than ours must not stumble over the report.
        if text.count("{") + text.count("[") > _MAX_DEPTH and _depth(text) > _MAX_DEPTH:
            return None
        return text, value


@dataclass(frozen=True, slots=True)
class TextRecord:
    """A record that came as cells of text."""

    cells: Sequence[str]
    names: Sequence[str]
    """Name of each column: the wire name, or the client's spelling if unknown."""

    def value(self) -> dict[str, str]:
        return dict(zip(self.names, self.cells, strict=False))

    def json(self) -> str:
        return _json_text(self.value())


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record that could not be parsed."""

    text: str

    def value(self) -> str:
        return self.text

    def json(self) -> str:
        return _json_text(self.text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _depth(text: str) -> int:
    """Deepest nesting; brackets inside strings may make it too large, which only costs the object's form."""
    depth = deepest = 0
    for character in text:
        if character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _json_text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
