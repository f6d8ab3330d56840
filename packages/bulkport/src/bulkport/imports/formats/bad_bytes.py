"""Undecodable bytes: how they are shown, and the message of their row."""

import re
from typing import Final

from bulkport.imports.charsets import UTF_8

_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")
_WESTERN: Final = "windows-1252"
# Signs that stand inside words, and letters that hardly any word has.
_JOINERS: Final = "\u2019\u2018\u00b7\u00ad\u00b4"
# Marks that stand alone in no word, and signs that stand before digits.
_DIACRITICS: Final = "\u00a8\u00af\u00b8\u02c6\u02dc"
_AMOUNTS: Final = "\u00a2\u00a3\u00a4\u00a5\u0192"
_RARE: Final = "\u0178\u0192"


def has_bad_bytes(text: str) -> bool:
    """Whether a text that was decoded with `surrogateescape` has bytes that are not text."""
    return _ESCAPED_BYTE.search(text) is not None


def visible_bytes(text: str) -> str:
    r"""The text with each undecodable byte as `\xFC`, so that nothing is lost."""
    return _ESCAPED_BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02X}", text)


def bad_bytes_message(text: str, charset: str | None = None, *, at: int | None = None) -> str:
    """The error and its remedy: names the first undecodable byte and its likely charset.

    Parameters
    ----------
    text:
        Decoded with `surrogateescape`.
    charset:
        Of the body; UTF-8 where it was not another.
    at:
        Offset of the first byte that is not text, where the text is a part of the body.
    """
    found = _ESCAPED_BYTE.search(text)
    assert found is not None
    byte = ord(found[0]) - 0xDC00
    place = f"byte 0x{byte:02X} at {f'character {found.start() + 1}' if at is None else f'offset {at}'}"
    if charset not in (None, UTF_8):
        return f"is not valid {charset}: {place}; name the file's charset (charset=), or save the file as UTF-8"
    try:
        likely = bytes([byte]).decode(_WESTERN)
    except UnicodeDecodeError:
        likely = ""
    before, after = text[: found.start()][-1:], text[found.end() :][:1]
    if not likely or likely in _RARE or not _makes_sense(before, likely, after):
        return f"is not valid UTF-8: {place}; save the file as UTF-8, or name its charset (charset=)"
    return (
        f"is not valid UTF-8: {place}, which is {likely!r} in {_WESTERN}; "
        f"save the file as UTF-8, or send charset={_WESTERN}"
    )


def _makes_sense(before: str, character: str, after: str) -> bool:
    """Whether a character stands between these two in a text that people write."""
    if character.isupper():
        return not before.islower()
    if character.isalpha() or character in _JOINERS:
        return True
    if character in _DIACRITICS:
        return False
    if _ESCAPED_BYTE.match(after):
        return False
    return not (after.isalpha() and (before.isalpha() or character in _AMOUNTS))
