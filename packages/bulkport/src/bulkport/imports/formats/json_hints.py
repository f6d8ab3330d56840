"""Hints for error messages: what a text that is not JSON looks like."""

import re
import unicodedata
from typing import Final

_SPECIAL_NUMBER: Final = re.compile(rb"(?<=[:,\[ ])-?(?:NaN|Infinity)\b")
_HALF_A_PAIR: Final = re.compile(rb"\\u(?:[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|[dD][c-fC-F][0-9a-fA-F]{2})")
_PAIR: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_COMMENT: Final = re.compile(rb"(?:\A|[,{\[\n])\s*(?://|/\*|#)")
_SINGLE_QUOTES: Final = re.compile(rb"[{,]\s*'")
_BARE_NAME: Final = re.compile(rb"[{,]\s*[A-Za-z_]\w*\s*:")
_TRAILING_COMMA: Final = re.compile(rb",\s*[}\]]")
_SHELL: Final = re.compile(rb":\s*(?:ObjectId|ISODate|Number(?:Long|Int|Decimal)|Timestamp|BinData|UUID)\(")
_UNDEFINED: Final = re.compile(rb":\s*undefined\b")
_BAD_ESCAPE: Final = re.compile(rb'(?:[^\\]|\A)(?:\\\\)*\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')
_GUARD: Final = re.compile(rb"\s*(?:\)\]\}'|[A-Za-z_$][\w.$]*\()")
_PREFIXED: Final = re.compile(rb"[^\s{\[\"][^{]*\{")
_PYTHON: Final = re.compile(rb":\s*(?:None|True|False)\b")
_TO_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def hint(text: bytes) -> str:
    """A hint about invalid JSON, such as `; NaN is not a JSON number`.

    Parameters
    ----------
    text:
        What a parser has refused, or its beginning.
    """
    bare = _TO_STRINGS.sub(b'""', text)
    if special := _SPECIAL_NUMBER.search(bare):
        return f"; {special[0].decode()} is not a JSON number"
    if _HALF_A_PAIR.search(_PAIR.sub(b"", text)):
        return "; a lone surrogate is not a character"
    if text.lstrip(b" \t").startswith(b"\x1e"):
        return "; the text begins with a record separator, as that of application/json-seq does"
    if text.lstrip(b" \t").startswith(b"<"):
        return "; it looks like XML or HTML"
    if text.startswith((b"data:", b"event:")):
        return "; it looks like a stream of events, of which JSON stands behind data:"
    if _SINGLE_QUOTES.search(bare):
        return "; JSON requires double quotes"
    if _COMMENT.search(bare):
        return "; JSON has no comments"
    if _PYTHON.search(bare):
        return "; JSON writes null, true and false"
    if _BARE_NAME.search(bare):
        return "; JSON requires names in double quotes"
    if _TRAILING_COMMA.search(bare):
        return "; JSON allows no trailing comma"
    if _SHELL.search(bare):
        return "; it is written for MongoDB's shell: export it by mongoexport"
    if _UNDEFINED.search(bare):
        return "; JSON writes null, or leaves the member out"
    if _BAD_ESCAPE.search(text):
        return "; a backslash must be doubled in JSON"
    if _GUARD.match(bare):
        return "; leave out what stands before the JSON"
    return _unseen(bare.decode(errors="ignore")) or _before(bare)


def _before(text: bytes) -> str:
    return "; leave out what stands before the object" if _PREFIXED.match(text) else ""


def _unseen(text: str) -> str:
    """An unusual space or an invisible character between JSON tokens."""
    found = next((sign for sign in text if sign not in " \t\r\n" and unicodedata.category(sign)[0] in "ZC"), None)
    if found is None:
        return ""
    name = f"U+{ord(found):04X} {unicodedata.name(found, '')}".rstrip()
    return f"; it contains an invisible character: {name}"
