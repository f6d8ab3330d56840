"""Columns of text cells as the texts that typed columns read, without a Python value in between.

A cell is taken where its form leaves no doubt and PostgreSQL reads it as the value that the exact readers would give;
all other cells are left to them. So what is taken here may be too little, and never too much.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from bulkport.imports.validation.translation import CellRule, Leaf
from bulkport.imports.values.column_type import ColumnType, TypeKind
from bulkport.imports.values.json_text import has_repeated_member
from bulkport.imports.values.options import PLAIN, ValueOptions

Texts: TypeAlias = list[str | None]
Check: TypeAlias = Callable[[list[str]], tuple[Texts, set[int]]]
"""From cells to their texts, and the positions of those that are not taken."""

# Every day of the Gregorian calendar from year 1 to 9999, and no other.
_LEAP_YEAR: Final = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY: Final = (
    "(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_OFFSET: Final = r"(?:Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])"
_WORD: Final = r"""(?:"[^"\\\0\n]*+(?:\\[^\0\n][^"\\\0\n]*+)*+"|[^\s{}",\\\0]++)"""
_UUID: Final = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_NUMERIC: Final = r"-?[0-9]{1,200}(?:\.[0-9]{1,200})?"
_FLOAT: Final = r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?"
_TEXTS: Final = rf"\{{(?:{_WORD}(?:,{_WORD})*+)?\}}"
_BOOLEANS: Final[Mapping[str, str]] = {
    **{form(word): "t" for word in ("true", "t", "yes", "y", "on", "1") for form in (str, str.upper, str.title)},
    **{form(word): "f" for word in ("false", "f", "no", "n", "off", "0") for form in (str, str.upper, str.title)},
}
_MAX_SECOND_DIGITS: Final = 6
_NOT_JSON: Final = (msgspec.DecodeError, ValueError, RecursionError)
_JSON: Final = msgspec.json.Decoder(msgspec.Raw)
_JSON_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def typed_check(rule: CellRule, column: ColumnType, options: ValueOptions) -> Check | None:
    """The check for a field and its column; None if only the exact readers can decide."""
    changed = {name for name in options.__dataclass_fields__ if getattr(options, name) != getattr(PLAIN, name)}
    if changed - {"blank"}:
        return None
    if column.kind is TypeKind.ARRAY:
        element = column.element
        if rule.leaf is Leaf.TEXTS and element is not None and element.name == "text":
            return _check_texts
        return None
    if rule.leaf is Leaf.CHOICE:
        labels = column.labels if column.kind is TypeKind.ENUM else rule.choices if column.name == "text" else ()
        return _choice_check(frozenset(labels) & frozenset(rule.choices))
    if column.kind is not TypeKind.BASE:
        return None
    return _check_of(rule.leaf, column)


def _check_of(leaf: Leaf, column: ColumnType) -> Check | None:
    has_all_digits = column.second_digits == _MAX_SECOND_DIGITS
    match leaf, column.name:
        case Leaf.DECIMAL, "numeric":
            return _pattern_check(_numeric_pattern(column))
        case Leaf.FLOAT, "float8":
            return _pattern_check(_FLOAT)
        case Leaf.BOOLEAN, "bool":
            return _check_booleans
        case Leaf.DATE, "date":
            return _pattern_check(_DAY)
        case ((Leaf.AWARE | Leaf.DATETIME), "timestamptz") if has_all_digits:
            return _pattern_check(f"{_DAY}[T ]{_CLOCK}{_OFFSET}")
        case ((Leaf.NAIVE | Leaf.DATETIME), "timestamp") if has_all_digits:
            return _pattern_check(f"{_DAY}[T ]{_CLOCK}")
        case Leaf.UUID, "uuid":
            return _pattern_check(_UUID)
        case Leaf.JSON, ("json" | "jsonb"):
            return _json_check(_JSON)
        case Leaf.JSON_OBJECT, ("json" | "jsonb"):
            return _json_check(_JSON_OBJECT)
    return None


def read_typed(cells: list[str], check: Check, empty: str | None, is_required: bool) -> tuple[Texts, set[int]]:
    """The texts of a column, and the positions of the cells that the exact readers have to validate.

    Parameters
    ----------
    empty:
        Text of an empty cell, None for NULL.
    is_required:
        Whether an empty cell is none.
    """
    texts, suspects = check(cells)
    if "" in cells:
        blank = [position for position, cell in enumerate(cells) if not cell]
        for position in blank:
            texts[position] = empty
        suspects = suspects.union(blank) if is_required else suspects.difference(blank)
    return texts, suspects


def _numeric_pattern(column: ColumnType) -> str:
    limits = column.precision_and_scale
    if limits is None:
        return _NUMERIC
    precision, scale = limits
    if not 0 <= scale < precision:
        return "(?!)"  # every cell is left to the exact reader
    fraction = rf"(?:\.[0-9]{{1,{scale}}})?" if scale else ""
    return rf"-?[0-9]{{1,{precision - scale}}}{fraction}"


def _pattern_check(pattern: str) -> Check:
    r"""Takes the cells that match.

    The pattern must not match a `\n`: a column in which all cells match is seen to do so by one match of all of them,
    each with a `\n` behind it.
    """
    fullmatch = re.compile(pattern).fullmatch
    all_match = re.compile(rf"(?:(?:{pattern})?\n)*+").fullmatch

    def check(cells: list[str]) -> tuple[Texts, set[int]]:
        lines = "\n".join([*cells, ""])
        if lines.count("\n") == len(cells) and all_match(lines) is not None:
            return list(cells), set()
        return list(cells), {position for position, cell in enumerate(cells) if fullmatch(cell) is None}

    return check


def _choice_check(allowed: frozenset[str]) -> Check:
    def check(cells: list[str]) -> tuple[Texts, set[int]]:
        wrong = set(cells) - allowed
        return list(cells), {position for position, cell in enumerate(cells) if cell in wrong} if wrong else set()

    return check


def _check_booleans(cells: list[str]) -> tuple[Texts, set[int]]:
    texts: Texts = list(map(_BOOLEANS.get, cells))
    return texts, {position for position, text in enumerate(texts) if text is None} if None in texts else set()


_plain_texts: Final = _pattern_check(_TEXTS)


def _check_texts(cells: list[str]) -> tuple[Texts, set[int]]:
    """Arrays of words and quoted texts; a null among them is left to the reader."""
    texts, suspects = _plain_texts(cells)
    if "null" in "".join(cells).casefold():
        suspects |= {position for position, cell in enumerate(cells) if "null" in cell.casefold()}
    return texts, suspects


def _json_check(decoder: msgspec.json.Decoder[Any]) -> Check:
    def check(cells: list[str]) -> tuple[Texts, set[int]]:
        suspects = _not_decoded(cells, decoder.decode)
        whole = "".join(cells)
        if "\\u" in whole or "\0" in whole:  # NUL and half a surrogate pair are JSON, but nothing that can be stored
            suspects |= {position for position, cell in enumerate(cells) if "\\u" in cell or "\0" in cell}
        suspects |= {position for position, cell in enumerate(cells) if has_repeated_member(cell)}
        return list(cells), suspects

    return check


def _not_decoded(cells: Sequence[str], decode: Callable[[str], Any]) -> set[int]:
    try:
        deque(map(decode, cells), maxlen=0)
    except _NOT_JSON:
        return {position for position, cell in enumerate(cells) if not _is_decoded(cell, decode)}
    return set()


def _is_decoded(cell: str, decode: Callable[[str], Any]) -> bool:
    try:
        decode(cell)
    except _NOT_JSON:
        return False
    return True
