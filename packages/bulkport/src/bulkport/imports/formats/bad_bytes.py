"""Bytes that are no text in the charset of their body: how they stay visible, and what their row is told."""

import re
from typing import Final

from bulkport.imports.charsets import UTF_8

_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")
_WESTERN: Final = "windows-1252"
# Signs that stand inside words, and letters that hardly any word has.
_JOINERS: Final = "\u2019\u2018\u00b7\u00ad\u00b4"
_RARE: Final = "\u0178\u0192"


def has_bad_bytes(text: str) -> bool:
    """Whether a text that was decoded with `surrogateescape` has bytes that are no text."""
    return _ESCAPED_BYTE.search(text) is not None


def visible_bytes(text: str) -> str:
    r"""The text with each byte that is no text as `\xFC`, so that nothing of it is lost."""
    return _ESCAPED_BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02X}", text)


def bad_bytes_message(text: str, charset: str | None = None) -> str:
    """What is wrong, and what to do: names the first byte that is no text, and the charset that it is likely from.

    Parameters
    ----------
    text:
        Decoded with `surrogateescape`.
    charset:
        Of the body; UTF-8 where it was not another.
    """
    found = _ESCAPED_BYTE.search(text)
    assert found is not None
    byte = ord(found[0]) - 0xDC00
    place = f"byte 0x{byte:02X} at character {found.start() + 1}"
    if charset not in (None, UTF_8):
        return f"is not valid {charset}: {place}; name the file's charset (charset=), or save the file as UTF-8"
    try:
        likely = bytes([byte]).decode(_WESTERN)
    except UnicodeDecodeError:
        likely = ""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    is_inside = before.isalpha() and after.isalpha()
    if not likely or (is_inside and not likely.isalpha() and likely not in _JOINERS) or likely in _RARE:
        return f"is not valid UTF-8: {place}; save the file as UTF-8, or name its charset (charset=)"
    return (
        f"is not valid UTF-8: {place}, which is {likely!r} in {_WESTERN}; "
        f"save the file as UTF-8, or send charset={_WESTERN}"
    )
