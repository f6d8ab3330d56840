r"""Newline-delimited JSON: one JSON value a line (application/x-ndjson).

A record ends at `\n` only. A line of nothing but spaces, tabs and carriage returns is blank and is no record.
"""

from collections.abc import Iterator
from typing import Final

from bulkport.formats.pieces import BufferingSplitter, Scan

_BLANKS: Final = b" \t\r"


class NdjsonSplitter(BufferingSplitter):
    """Cuts an NDJSON body into pieces without parsing it (see `RecordSplitter`)."""

    def _scan(self, block: bytes) -> Scan:
        end = block.rfind(b"\n") + 1
        return Scan(end, _count_records(block[:end]))

    def _record_sizes(self, payload: bytes) -> Iterator[int]:
        return (len(line) for line in payload.split(b"\n") if line.strip(_BLANKS))


def ndjson_records(payload: bytes) -> list[bytes]:
    """The lines of a piece, without the blank ones and without `\\r` at their ends.

    The lines are not parsed here; a line that is no JSON is the validator's row error.
    """
    lines = payload.split(b"\n")
    if b"\r" in payload:
        lines = [line.removesuffix(b"\r") for line in lines]
    if not lines[-1]:
        lines.pop()
    if len(lines) == payload.count(b"\n{") + payload.startswith(b"{"):
        return lines
    return [line for line in lines if line.strip(_BLANKS)]


def _count_records(payload: bytes) -> int:
    """Count the records of lines that all end with a newline."""
    lines = payload.count(b"\n")
    # Where every line begins with a brace none is blank: two passes at memory speed instead of a list of lines.
    if lines == payload.count(b"\n{") + payload.startswith(b"{"):
        return lines
    return sum(1 for line in payload.split(b"\n") if line.strip(_BLANKS))
