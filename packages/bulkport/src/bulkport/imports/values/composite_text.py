"""Composite values as text: PostgreSQL's literal of a row (manual, 8.16.6), or an object with its parts by name."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from bulkport.imports.values.faults import ValueFault

RECORD: Final = '{value} is not a composite value; write it as in (a,"b c",) or {"name": "a"}'

_PART: Final = re.compile(r'((?:[^"\\(),]|\\.|"(?:[^"\\]|\\.|"")*")*)([,)])', re.DOTALL)
_PIECE: Final = re.compile(r'"((?:[^"\\]|\\.|"")*)"|\\(.)|([^"\\]+)', re.DOTALL)
_ESCAPE: Final = re.compile(r'\\(.)|""', re.DOTALL)


class TextRecord(dict[str, Any]):
    """A composite value, or pairs, that were read from a literal: the members are text or None."""


def read_record(text: str, names: Sequence[str]) -> TextRecord:
    """The parts of a composite value from its literal."""
    plain = text.strip()
    if not plain.startswith("("):
        raise ValueFault(RECORD, text)
    parts: list[str | None] = []
    position, sign = 1, ","
    while sign == ",":
        found = _PART.match(plain, position)
        if found is None:
            raise ValueFault(RECORD, text)
        parts.append(_part(found[1]))
        position, sign = found.end(), found[2]
    if position != len(plain) or len(parts) != len(names):
        raise ValueFault(f"{{value}} is not a composite value with the {len(names)} parts {', '.join(names)}", text)
    return TextRecord(zip(names, parts, strict=True))


def composite_text(attributes: Sequence[tuple[str, Callable[[Any], str]]], value: Any) -> str:
    """The literal of a composite value; a part that an object does not have is null."""
    names = [name for name, _ in attributes]
    if isinstance(value, str):
        value = read_record(value, names)
    elif isinstance(value, BaseModel):
        value = dict(value)
    if not isinstance(value, Mapping):
        raise ValueFault(RECORD, value)
    if unknown := value.keys() - set(names):
        raise ValueFault(
            f"{{value}} has the unknown part {min(map(str, unknown))!r}; the parts are {', '.join(names)}", value
        )
    texts = []
    for name, to_text in attributes:
        part = value.get(name)
        escaped = "" if part is None else to_text(part).replace("\\", "\\\\").replace('"', '\\"')
        texts.append("" if part is None else f'"{escaped}"')
    return f"({','.join(texts)})"


def _part(text: str) -> str | None:
    if not text:
        return None
    pieces = []
    for found in _PIECE.finditer(text):
        if found[1] is not None:
            pieces.append(_ESCAPE.sub(lambda escape: escape[1] or '"', found[1]))
        else:
            pieces.append(found[2] or found[3])
    return "".join(pieces)
