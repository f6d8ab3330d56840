"""What is odd about rows that are valid: said once in an import's `warnings`."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bulkport.imports.validation.not_blank import is_blank

_MOST_RECORDS: Final = 500
"""Of a chunk that are looked at in the search for members given twice: it is to cost nothing that is noticed."""
_MOST_KEYS: Final = 2_000
"""Of a chunk that are compared."""
_MOST_NAMES: Final = 20
"""Members given twice that one chunk reports."""
_MOST_EXAMPLES: Final = 3
_AT_AN_END: Final = (" \n", "\n ", "\t", "\n\n", "\r")
"""Some of these are in texts joined by line ends of which one begins or ends with a blank."""
_EXAMPLE: Final = ", such as "


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
        try:
            members = _PAIRS.decode(record.decode())
        except (ValueError, RecursionError):
            continue
        if isinstance(members, _Members):
            counts = Counter(name for name, _ in members)
            if len(counts) < len(members) and len(found) < _MOST_NAMES:
                found.update(dict.fromkeys(name for name, count in counts.items() if count > 1))
    return list(found)[:_MOST_NAMES]


def repeated_members_remark(name: str) -> str:
    """The warning about a member that a record has twice."""
    return f"{name} is given twice in a record; the last value was used"


def differ_in_blanks(texts: Sequence[Any]) -> list[tuple[str, str]]:
    """Pairs of texts that differ only in blanks at their ends, or in characters that are not seen."""
    texts = texts[:_MOST_KEYS]
    try:
        whole = "\n".join(texts)
    except TypeError:  # null, or no text at all
        texts = [text for text in texts if isinstance(text, str)]
        whole = "\n".join(texts)
    if whole.isascii() and not any(map(whole.__contains__, _AT_AN_END)) and not _has_blank_ends(whole):
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


def once(remarks: Iterable[str]) -> list[str]:
    """Remarks without those that differ from an earlier one in their example only."""
    first: dict[str, str] = {}
    for remark in remarks:
        first.setdefault(remark.partition(_EXAMPLE)[0], remark)
    return list(first.values())


def _has_blank_ends(text: str) -> bool:
    return text[:1].isspace() or text[-1:].isspace()


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
