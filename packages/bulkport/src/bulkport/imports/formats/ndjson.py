r"""Newline-delimited JSON: one JSON value a line (application/x-ndjson), and JSON text sequences.

A record ends at `\n` only. A line of nothing but spaces, tabs and carriage returns is blank and is not a record.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from bulkport.errors import MalformedBody
from bulkport.imports.formats.chunking import BufferingSplitter, Scan
from bulkport.imports.formats.csv.cleaning import byte_order_marks_warning
from bulkport.imports.formats.transcoding import HEAD_BYTES
from bulkport.limits import ImportLimits

_BLANKS: Final = b" \t\r"
_TO_X: Final = bytes(byte if byte == ord("\n") else ord("x") for byte in range(256))
# Finds every blank line, and lines that begin with a blank; where it finds nothing no line need be looked at.
_MAYBE_BLANK: Final = re.compile(rb"\n[ \t\r\n]")
_MARK: Final = b"\xef\xbb\xbf"
_MARK_AT_START: Final = re.compile(rb"(\A|\n)(?:" + _MARK + rb")+")
_PRETTY: Final = re.compile(rb"[ \t\r\n]*\{[ \t]*\r?\n|[ \t\r\n]*\{[^\n]*[,{\[][ \t]*\r?\n")
# One object on one line with one member, which is a list of objects.
_ENVELOPE: Final = re.compile(rb"\s*\{\s*\"[^\"\\]+\"\s*:\s*\[\s*\{[^\n]*\}\s*\]\s*\}\s*")
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
# In a JSON text sequence each text has a record separator before it, and may have line ends inside (RFC 7464 §2.1).
_SEQUENCE: Final = bytes.maketrans(b"\n\r\x1e", b"  \n")


class NdjsonSplitter(BufferingSplitter):
    """Cuts an NDJSON body into chunks without parsing it (see `RecordSplitter`)."""

    def __init__(self, limits: ImportLimits) -> None:
        super().__init__(limits)
        self._threshold = max(self._threshold, min(HEAD_BYTES, limits.chunk_bytes))
        self._marks = 0

    def warnings(self) -> list[str]:
        """What was found and passed over, for the import's `warnings`; complete when the body has ended."""
        return [byte_order_marks_warning(self._marks)] if self._marks else []

    def _begin(self, block: bytes, *, is_final: bool) -> int:
        # A record is an object, so this is a JSON array, whose rows would all be rejected one by one.
        if block.lstrip(b" \t\r\n").startswith(b"["):
            raise MalformedBody(
                "The body is a JSON array; NDJSON is one object a line, without brackets and commas. "
                "Send an array as application/json."
            )
        if _ENVELOPE.fullmatch(block) and _is_json(block):
            raise MalformedBody(
                "The body is one object with a list of objects in it; NDJSON is one object a line. Send it as "
                "application/json, or each object of the list on a line of its own."
            )
        if _is_pretty(block):
            raise MalformedBody(
                "The body looks like pretty-printed JSON; NDJSON has each object on one line. Write every object "
                "on one line (jq -c), or send an array of them as application/json."
            )
        return 0

    def _scan(self, block: bytes) -> Scan:
        end = block.rfind(b"\n") + 1
        payload = block[:end]
        if _MARK[0] in payload and _MARK in payload:
            payload, count = _MARK_AT_START.subn(rb"\1", payload)
            self._marks += count
        records = _count_records(payload)
        blank_lines = payload.count(b"\n") - records
        return Scan(end, records, None if len(payload) == end else payload, blank_lines)

    def _record_sizes(self, payload: bytes) -> Iterator[int]:
        return (len(line) for line in payload.split(b"\n") if line.strip(_BLANKS))


def sequence_lines(data: bytes) -> bytes:
    """Part of a JSON text sequence (application/json-seq) as part of NDJSON."""
    return data.translate(_SEQUENCE)


def ndjson_records(payload: bytes) -> list[bytes]:
    """The lines of a chunk, without the blank ones and without `\\r` at their ends.

    The lines are not parsed here; a line that is not JSON is the validator's row error.
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


def _is_pretty(block: bytes) -> bool:
    """Whether the first object goes over several lines and is valid as a whole."""
    if not _PRETTY.match(block):
        return False
    end = block.find(b"\n}")
    return _is_json(block) or (end >= 0 and _is_json(block[: end + 2]))


def _is_json(text: bytes) -> bool:
    try:
        _ANY.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _count_records(payload: bytes) -> int:
    """Count the records of lines that all end with a newline."""
    if _has_blank_lines(payload):
        # Each line becomes as many `x` as it has characters that are not blank: the lines with one are the records.
        return payload.translate(_TO_X, _BLANKS).count(b"x\n")
    return payload.count(b"\n")


def _has_blank_lines(payload: bytes) -> bool:
    """Whether there may be blank lines."""
    return payload[:1] in {b" ", b"\t", b"\r", b"\n"} or _MAYBE_BLANK.search(payload) is not None
