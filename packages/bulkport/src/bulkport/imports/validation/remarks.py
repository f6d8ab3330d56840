"""Warnings about valid but suspicious rows, each reported once in an import's `warnings`."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from bulkport.imports.validation.not_blank import is_blank

_MOST_RECORDS: Final = 500
"""Of a chunk that are looked at in the search for members given twice: it is to cost nothing that is noticed."""
_MOST_NAMES: Final = 20
"""Members given twice that one chunk reports."""
_MOST_EXAMPLES: Final = 3
_CONTROLS: Final = "\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
"""Blanks of ASCII beside the usual one; all others, and what is not seen, count as not printable."""
_EXAMPLE: Final = ", such as "
_NULL_WORDS: Final = ("NULL", r"\N")
"""How programs write null into files of text, which nobody would take for a text."""
ODD_CELLS: Final = (b"NULL", rb"\N", b"E+", b"e+", b'=""')
"""Some of these are in a file with cells that `odd_cells` finds."""
_AS_FORMULA: Final = re.compile(r'="[^"]*"')
"""A text in the formula by which programs keep Excel from taking it for a number."""
_SHORTENED: Final = re.compile(r"-?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2,3}")


def repeated_members(records: Sequence[bytes], fields: int, *, has_optional: bool) -> list[str]:
    """Names that some JSON record has twice, at its top.

    Parameters
    ----------
    fields:
        How many members a record has that has each of them once.
    has_optional:
        Whether a record may have fewer.
    """
    records = records[:_MOST_RECORDS]
    # Where all records have every field, one count shows that none has one twice.
    if not has_optional and b"".join(records).count(b'":') == len(records) * fields:
        return []
    found: dict[str, None] = {}
    suspects = records if has_optional else [record for record in records if record.count(b'":') != fields]
    for record in suspects:
        if len(found) < _MOST_NAMES:
            found.update(dict.fromkeys(repeated_names(record)))
    return list(found)[:_MOST_NAMES]


def repeated_names(record: bytes) -> list[str]:
    """Duplicate names at the top of a JSON record; empty if it is not an object."""
    try:
        members = _PAIRS.decode(record.decode())
    except (ValueError, RecursionError):
        return []
    if not isinstance(members, _Members):
        return []
    counts = Counter(name for name, _ in members)
    return [name for name, count in counts.items() if count > 1]


def repeated_members_remark(name: str) -> str:
    """The warning about a member that a record has twice."""
    return f"{name} is given twice in a record; the last value was used"


def differ_in_blanks(texts: Sequence[Any]) -> list[tuple[str, str]]:
    """Pairs of texts that differ only in blanks at their ends, or in characters that are not seen."""
    if not isinstance(next((text for text in texts if text is not None), None), str):
        return []
    try:
        whole = " ".join(texts)
    except TypeError:  # null
        texts = [text for text in texts if isinstance(text, str)]
        whole = " ".join(texts)
    # Of all that is done with every row this is to be among the cheapest: half a millisecond a chunk.
    is_printable = not any(map(whole.__contains__, _CONTROLS)) if whole.isascii() else whole.isprintable()
    if is_printable and "  " not in whole and whole.strip(" ") == whole:
        return []
    distinct = set(texts)
    odd = [text for text in distinct if text != _core(text)]
    if not odd:
        return []
    by_core: dict[str, str] = {}
    for text in sorted(distinct, key=lambda text: (text != _core(text), text)):
        by_core.setdefault(_core(text), text)
    return sorted((by_core[_core(text)], text) for text in odd if by_core[_core(text)] != text)[:_MOST_EXAMPLES]


def differ_in_blanks_remark(name: str, one: str, other: str) -> str:
    """The warning about values of a key that look alike."""
    return f"values of {name} differ only in blanks{_EXAMPLE}{one!a} and {other!a}; trim=true treats them as equal"


def odd_cells(name: str, cells: Sequence[str], null_words: Collection[str]) -> list[str]:
    """Warnings about text cells that are probably not what was meant.

    Parameters
    ----------
    name
        Of the column.
    null_words
        Words that are read as null.
    """
    found = [
        f"{name} has cells of {word}, which were read as text; nullWords={word} takes them for null"
        for word in _NULL_WORDS
        if word in cells and word not in null_words
    ]
    shortened = next(filter(_SHORTENED.fullmatch, cells), None)
    if shortened is not None:
        what = "numbers of which a spreadsheet has kept the first digits alone"
        found.append(f"{name} has {what}{_EXAMPLE}{shortened}; format the column as text before it is saved")
    formula = next(filter(_AS_FORMULA.fullmatch, cells), None)
    if formula is not None:
        found.append(f"{name} has texts that are written as formulas and were read with their signs{_EXAMPLE}{formula}")
    return found


def once(remarks: Iterable[str]) -> list[str]:
    """Remarks without those that differ from an earlier one in their example only."""
    first: dict[str, str] = {}
    for remark in remarks:
        first.setdefault(remark.partition(_EXAMPLE)[0], remark)
    return list(first.values())


def _core(text: str) -> str:
    if "!" <= text[:1] <= "~" and "!" <= text[-1:] <= "~":
        return text
    start, end = 0, len(text)
    while start < end and is_blank(text[start]):
        start += 1
    while end > start and is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


class _Members(list[tuple[str, Any]]):
    """The members of an object, in order."""


_PAIRS: Final = json.JSONDecoder(object_pairs_hook=_Members)
