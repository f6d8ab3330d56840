"""A value that cannot be read or stored exactly, and its message."""

import json
import unicodedata
from datetime import date, time
from typing import Any, Final

MAX_QUOTED: Final = 60
"""Longest value in a message, in characters; longer ones are cut."""
_MAX_NAMED: Final = 3


class ValueFault(Exception):  # a finding about data, not a failure of the program
    """What is wrong with one value.

    Parameters
    ----------
    message:
        The rest of a sentence that begins with the field's name. `{value}` is replaced by the quoted, truncated value:
        `"{value} is not a date; write 2024-01-31"`, `"must be a whole number, not {value}"`.
    value:
        The value as it was sent.
    """

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.message = message
        self.value = value

    def __str__(self) -> str:
        return self.message.replace("{value}", quoted(self.value))


def quoted(value: Any) -> str:
    """A value as messages show it: text in single quotes, all else as JSON; cut after `MAX_QUOTED` characters."""
    if isinstance(value, str):
        return f"'{_cut(value)}'{code_points(value)}"
    if isinstance(value, bytes):
        return f"'{_cut(value.decode(errors='replace'))}'"
    if text := getattr(value, "text", None):
        return _cut(str(text))  # a float with the digits it was written with
    if isinstance(value, date | time):
        return value.isoformat()
    try:
        return _cut(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        return _cut(str(value))


def code_points(text: str) -> str:
    """The characters that look like others, such as ` (with U+0308 COMBINING DIAERESIS)`.

    Two texts that look alike may differ in how an accented letter is spelled (Unicode Standard Annex 15), or in a
    space or mark without width. Text without such characters gives nothing.
    """
    if text.isascii():
        strange = [character for character in text if not character.isprintable()]
    else:
        strange = [character for character in text if _looks_like_another(character)]
    if not strange:
        return ""
    names = [_named(character) for character in dict.fromkeys(strange)]
    rest = ", …" if len(names) > _MAX_NAMED else ""
    return f" (with {', '.join(names[:_MAX_NAMED])}{rest})"


def _looks_like_another(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    category = unicodedata.category(character)
    return category[0] in "CZ" or category == "Mn" or unicodedata.normalize("NFD", character) != character


def _named(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"
