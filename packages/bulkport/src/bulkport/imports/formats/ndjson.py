r"""Newline-delimited JSON: one JSON value a line (application/x-ndjson).

A record ends at `\n` only. A line of nothing but spaces, tabs and carriage returns is blank and is no record.
"""

import re
from collections.abc import Iterator
from typing import Final

from bulkport.errors import MalformedBody
from bulkport.imports.formats.chunking import BufferingSplitter, Scan

_BLANKS: Final = b" \t\r"
# Finds every blank line, and lines that begin with a blank; where it finds nothing no line need be looked at.
_MAYBE_BLANK: Final = re.compile(rb"\n[ \t\r\n]")


class NdjsonSplitter(BufferingSplitter):
    """Cuts an NDJSON body into pieces without parsing it (see `RecordSplitter`)."""

    def _begin(self, block: bytes, *, is_final: bool) -> int:
        # A record is an object, so this is a JSON array, whose rows would all be refused one by one.
        if block.lstrip(b" \t\r\n").startswith(b"["):
            raise MalformedBody("The body is a JSON array; NDJSON is one object a line, without brackets and commas.")
        return 0

    def _scan(self, block: bytes) -> Scan:
        end = block.rfind(b"\n") + 1
        return Scan(end, _count_records(block[:end]))

    def _record_sizes(self, payload: bytes) -> Iterator[int]:
        return (len(line) for line in payload.split(b"\n") if line.strip(_BLANKS))


def ndjson_records(payload: bytes) -> list[bytes]:
    """The lines of a piece, without the blank ones and without `\\r` at their ends.

    The lines are not parsed here; a line that is no JSON is the validator's row error.
    """
    if b"\r" in payload:
        # Inside JSON a `\r` before `\n` stands between tokens at most, so nothing but a line end is taken away.
        payload = payload.replace(b"\r\n", b"\n").removesuffix(b"\r")
    lines = payload.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if _has_blank_lines(payload):
        return [line for line in lines if line.strip(_BLANKS)]
    return lines


def _count_records(payload: bytes) -> int:
    """Count the records of lines that all end with a newline."""
    if _has_blank_lines(payload):
        return sum(1 for line in payload.split(b"\n") if line.strip(_BLANKS))
    return payload.count(b"\n")


def _has_blank_lines(payload: bytes) -> bool:
    """Whether there may be blank lines."""
    return payload[:1] in {b" ", b"\t", b"\r", b"\n"} or _MAYBE_BLANK.search(payload) is not None
