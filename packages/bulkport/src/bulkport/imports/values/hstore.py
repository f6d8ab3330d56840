"""Pairs of text as `hstore` has them (PostgreSQL manual, F.17)."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from bulkport.imports.values.composite_text import TextRecord
from bulkport.imports.values.faults import ValueFault

PAIRS: Final = '{value} is not pairs of text; write {"a": "1"} or a=>1'

_TEXT: Final = r'(?:"((?:[^"\\]|\\.)*)"|((?:[^"\\\s,=]|\\.|=(?!>))+))'
_PAIR: Final = re.compile(rf"\s*{_TEXT}\s*=>\s*{_TEXT}\s*(?:,|$)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


def read_pairs(text: str) -> TextRecord:
    """The pairs of a literal; of several with one name the first counts, as for PostgreSQL."""
    found, position = TextRecord(), 0
    plain = text.strip()
    while position < len(plain):
        pair = _PAIR.match(plain, position)
        if pair is None:
            raise ValueFault(PAIRS, text)
        quoted_name, bare_name, quoted, bare = pair.groups()
        name = _unescaped(bare_name if quoted_name is None else quoted_name)
        value = None if quoted is None and bare.casefold() == "null" else _unescaped(bare if quoted is None else quoted)
        found.setdefault(name, value)
        position = pair.end()
    return found


def hstore_text(value: Any, other_text: Callable[[Any], str]) -> str:
    """The literal of pairs from an object; a literal stays as it is."""
    if not isinstance(value, Mapping):
        return other_text(value)
    texts = ((str(key), None if text is None else other_text(text)) for key, text in value.items())
    return ", ".join(f"{_in_quotes(key)}=>{'NULL' if text is None else _in_quotes(text)}" for key, text in texts)


def _in_quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)
