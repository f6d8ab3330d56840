"""Arrays and ranges as text: PostgreSQL's own literals (manual, 8.15.2, 8.15.6 and 8.17.5)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from bulkport.imports.values.faults import ValueFault

ARRAY: Final = '{value} is not an array; write it as in {a,b} or ["a", "b"]'
RANGE: Final = "{value} is not a range; write it as in [1,5) or empty"
MULTIRANGE: Final = "{value} is not a multirange; write it as in {[1,5),[8,9)}"

_BOUND: Final = r'((?:"(?:[^"\\]|\\.|"")*"|\\.|[^][(),"\\])*)'
_RANGE: Final = re.compile(rf"\s*([\[(]){_BOUND},{_BOUND}([\])])\s*", re.DOTALL)
_EMPTY: Final = re.compile(r"\s*empty\s*", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class TextArray(list[Any]):
    """An array that was read from its literal: its elements are text, None or arrays like it."""


def read_array(text: str, delimiter: str = ",") -> TextArray:
    """An array from its literal; boxes alone have another delimiter, a semicolon."""
    plain = text.strip()
    if not plain.startswith("{"):
        raise ValueFault(ARRAY, text)
    array, end = _array(plain, 0, text, 0, delimiter)
    if end != len(plain):
        raise ValueFault(ARRAY, text)
    return array


@lru_cache(maxsize=8)
def _element_pattern(delimiter: str) -> re.Pattern[str]:
    bare = rf'(?:[^"\\{{}}{re.escape(delimiter)}]|\\.)*'
    return re.compile(rf'\s*(?:"((?:[^"\\]|\\.)*)"|({bare}))\s*', re.DOTALL)


def _array(plain: str, start: int, text: str, depth: int, delimiter: str) -> tuple[TextArray, int]:
    if depth > 6:  # PostgreSQL's MAXDIM
        raise ValueFault(ARRAY, text)
    items = TextArray()
    position = start + 1
    while position < len(plain) and plain[position].isspace():
        position += 1
    if plain[position : position + 1] == "}":
        return items, position + 1
    while True:
        while position < len(plain) and plain[position].isspace():
            position += 1
        if plain[position : position + 1] == "{":
            item, position = _array(plain, position, text, depth + 1, delimiter)
            items.append(item)
            while position < len(plain) and plain[position].isspace():
                position += 1
        else:
            found = _element_pattern(delimiter).match(plain, position)
            assert found is not None  # it matches nothing at all, too
            quoted, bare = found.groups()
            if quoted is not None:
                items.append(_ESCAPE.sub(r"\1", quoted))
            else:
                bare = bare.strip()
                if not bare:
                    raise ValueFault(ARRAY, text)
                items.append(None if bare.casefold() == "null" else _ESCAPE.sub(r"\1", bare))
            position = found.end()
        sign = plain[position : position + 1]
        position += 1
        if sign == "}":
            return items, position
        if sign != delimiter:
            raise ValueFault(ARRAY, text)


def array_text(
    items: Sequence[Any],
    element_text: Callable[[Any], str],
    given: Any = None,
    *,
    nests: bool = True,
    delimiter: str = ",",
) -> str:
    """The literal of an array; nested lists are further dimensions, which have to be even.

    Parameters
    ----------
    nests:
        Whether lists are dimensions, rather than values such as JSON has.
    """
    given = items if given is None else given
    nested = [item for item in items if isinstance(item, list | tuple | set | frozenset)] if nests else []
    if nested and (len(nested) < len(items) or len({len(item) for item in nested}) > 1 or not nested[0]):
        raise ValueFault("{value} is not an even array: every inner list needs the same number of items", given)
    parts = []
    for item in items:
        if item is None:
            parts.append("NULL")
        elif nested:
            parts.append(array_text(list(item), element_text, given, delimiter=delimiter))
        else:
            escaped = element_text(item).replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'"{escaped}"')
    return "{" + delimiter.join(parts) + "}"


@dataclass(frozen=True, slots=True)
class TextRange:
    """A range whose bounds are text; None if there is no bound."""

    lower: str | None
    upper: str | None
    bounds: str
    """`[)`, `[]`, `()` or `(]`."""


def read_range(text: str) -> TextRange | None:
    """A range from its literal; None for the empty range."""
    if _EMPTY.fullmatch(text):
        return None
    found = _RANGE.fullmatch(text)
    if not found:
        raise ValueFault(RANGE, text)
    return _range(found)


def read_multirange(text: str) -> list[TextRange | None]:
    """A multirange from its literal."""
    plain = text.strip()
    if not (plain.startswith("{") and plain.endswith("}")):
        raise ValueFault(MULTIRANGE, text)
    ranges: list[TextRange | None] = []
    position, end = 1, len(plain) - 1
    while plain[position:end].strip():
        found = _EMPTY.match(plain, position, end) or _RANGE.match(plain, position, end)
        if not found:
            raise ValueFault(MULTIRANGE, text)
        ranges.append(_range(found) if found.re is _RANGE else None)
        position = found.end()
        if position < end:
            if plain[position] != "," or not plain[position + 1 : end].strip():
                raise ValueFault(MULTIRANGE, text)
            position += 1
    return ranges


def range_text(lower: str | None, upper: str | None, bounds: str) -> str:
    """The literal of a range."""
    return f"{bounds[0]}{_bound_text(lower)},{_bound_text(upper)}{bounds[1]}"


def _range(found: re.Match[str]) -> TextRange:
    return TextRange(_bound(found[2]), _bound(found[3]), found[1] + found[4])


def _bound(text: str) -> str | None:
    if not text:
        return None
    parts = []
    for found in re.finditer(r'"((?:[^"\\]|\\.|"")*)"|\\(.)|([^"\\]+)', text, re.DOTALL):
        if found[1] is not None:
            parts.append(_ESCAPE.sub(r"\1", found[1].replace('""', '\\"')))
        else:
            parts.append(found[2] or found[3])
    return "".join(parts)


def _bound_text(text: str | None) -> str:
    if text is None:
        return ""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
