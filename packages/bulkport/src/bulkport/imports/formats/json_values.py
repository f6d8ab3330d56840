"""Finds the ends of values in a JSON text, in short steps however long they are.

A parser written in C keeps the interpreter until it has read all it was given. Here nothing is parsed: strings and
brackets are passed over by regular expressions, a window at a time, and values are left to a parser, one by
one. Every function is a generator that gives None after each step.
"""

import re
from collections.abc import Generator
from typing import Final

from bulkport.errors import MalformedBody

_WINDOW: Final = 64 * 1024
_TOKENS_IN_A_STEP: Final = 2000
_MAX_DEPTH: Final = 5000
_BLANKS: Final = re.compile(rb"[ \t\r\n]*+")
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[,\[{]', re.DOTALL)
_VALUE_TOKENS: Final = frozenset({b",", b"[", b"{"})
# Up to a bracket, or to a string that the window cuts.
_TO_BRACKET: Final = re.compile(rb'[^"{}\[\]]*+(?:"(?:[^"\\]++|\\.)*+"[^"{}\[\]]*+)*+', re.DOTALL)
_SCALAR: Final = re.compile(rb'[^ \t\r\n,:"{}\[\]]*+')
_QUOTE, _OPENING, _CLOSING = ord('"'), frozenset(b"[{"), frozenset(b"]}")

Steps = Generator[None, None, int]
"""Gives None after each step, and returns an offset."""


class ValueTooLong(Exception):  # for those who know what the value is
    """A value is longer than it may be."""


def skip_blanks(text: bytes | bytearray, at: int) -> Steps:
    """Offset of the first non-blank character from `at` on."""
    while True:
        end = _end_of(_BLANKS, text, at, at + _WINDOW)
        if end - at < _WINDOW:
            return end
        at = end
        yield


def value_end(text: bytes | bytearray, at: int, *, most: int) -> Steps:
    """Offset behind the value that begins at `at`.

    Parameters
    ----------
    most
        Bytes that it may have.

    Raises
    ------
    ValueTooLong
        It has more.
    MalformedBody
        The text ends before it, there is none, or it is nested too deeply.
    """
    stop = min(len(text), at + most + 1)
    first = text[at] if at < len(text) else None
    if first == _QUOTE:
        return (yield from _string_end(text, at, stop))
    if first in _OPENING:
        return (yield from _bracket_end(text, at, stop))
    end = _end_of(_SCALAR, text, at, stop)
    if end == at:
        raise malformed("expected a value", at)
    return _within(text, end, stop)


def has_many_values(text: bytes | bytearray, most: int) -> bool:
    """Whether a JSON text has more than `most` values, about: elements, members, lists and objects."""
    if text.count(b",") + text.count(b"[") + text.count(b"{") <= most:
        return False
    values = 0
    for tokens, found in enumerate(_TOKEN.finditer(text)):
        values += found[0] in _VALUE_TOKENS
        # A value has two strings at most, so that this ends soon whatever the text is.
        if values > most or tokens > 3 * most:
            return True
    return False


def malformed(what: str, at: int) -> MalformedBody:
    """The error for invalid JSON."""
    return MalformedBody(f"The body is not valid JSON: {what} (byte {at}).")


def _string_end(text: bytes | bytearray, at: int, stop: int) -> Steps:
    at += 1
    while True:
        end = _end_of(_IN_STRING, text, at, min(at + _WINDOW, stop))
        if end < stop and text[end] == _QUOTE:
            return end + 1
        # The window may have cut an escape in two, which the next one begins with.
        if end == at or end >= stop:
            return _within(text, stop, stop)
        at = end
        yield


def _bracket_end(text: bytes | bytearray, at: int, stop: int) -> Steps:
    depth = tokens = 0
    while at < stop:
        end = _end_of(_TO_BRACKET, text, at, min(at + _WINDOW, stop))
        tokens += 1
        if end - at > _WINDOW // 2 or tokens % _TOKENS_IN_A_STEP == 0:
            yield
        if end >= stop:
            break
        sign = text[end]
        at = end + 1
        if sign in _OPENING:
            depth += 1
            if depth > _MAX_DEPTH:
                raise MalformedBody("The JSON is nested too deeply.")
        elif sign in _CLOSING:
            depth -= 1
            if not depth:
                return at
        elif sign == _QUOTE:
            at = yield from _string_end(text, end, stop)
        else:
            at = end
    return _within(text, stop, stop)


def _within(text: bytes | bytearray, end: int, stop: int) -> int:
    """The end of a value, unless it is where the text or its limit is."""
    if end < stop:
        return end
    if stop < len(text):
        raise ValueTooLong
    raise malformed("it ends too early", len(text))


def _end_of(pattern: re.Pattern[bytes], text: bytes | bytearray, at: int, stop: int) -> int:
    found = pattern.match(text, at, stop)
    assert found is not None
    return found.end()
