"""Parses `Prefer` (RFC 7240): whether bad rows fail the whole import."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

_WORD: Final = r"""(?:"(?:[^"\\]|\\.)*"|[^\s",;=]+)"""
_PREFERENCE: Final = re.compile(
    rf"\s*([^\s\",;=]+)\s*(?:=\s*({_WORD})?)?\s*((?:;[^,\"]*(?:\"(?:[^\"\\]|\\.)*\"[^,\"]*)*)?)"
)


class Handling(StrEnum):
    """What one bad row means for the others (RFC 7240 §4.4)."""

    STRICT = "strict"
    """Any bad row fails the import, and no row is stored."""
    LENIENT = "lenient"
    """Bad rows are skipped, counted and reported."""


_HANDLINGS: Final = {str(handling): handling for handling in Handling}


def parse_prefer(prefer: str | Iterable[str] | None) -> Handling | None:
    """The `handling` preference, or None when there is none that can be understood.

    Parameters
    ----------
    prefer:
        The value of the `Prefer` header, or the values when the header occurs several times.

    Preferences that are unknown or malformed are ignored, as RFC 7240 §2 asks; of several `handling` preferences
    the first counts.
    """
    if prefer is None:
        return None
    text = prefer if isinstance(prefer, str) else ",".join(prefer)
    for name, word in _preferences(text):
        if name == "handling":
            return _HANDLINGS.get(word)
    return None


def parse_wait(prefer: Iterable[str]) -> int | None:
    """Seconds that a client which sends `respond-async, wait=10` waits for the final answer (RFC 7240 §4.1, §4.3).

    Parameters
    ----------
    prefer:
        The values of the `Prefer` header.

    Returns
    -------
    None without `respond-async`, and where `wait` is no number of seconds.
    """
    words = dict(reversed(list(_preferences(",".join(prefer)))))
    seconds = words.get("wait", "")
    if "respond-async" not in words or not seconds.isascii() or not seconds.isdecimal() or len(seconds) > 6:
        return None
    return int(seconds)


def _preferences(text: str) -> Iterable[tuple[str, str]]:
    position = 0
    while position < len(text):
        found = _PREFERENCE.match(text, position)
        if found:
            yield found[1].lower(), (found[2] or "").strip('"').lower()
            position = found.end()
        comma = text.find(",", position)
        if comma < 0:
            return
        position = comma + 1
