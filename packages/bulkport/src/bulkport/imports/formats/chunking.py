"""Splits a stream of bytes into chunks of complete records, in bounded memory and linear time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from bulkport.errors import RecordTooLarge, TooLarge
from bulkport.imports.formats.sniffing import SNIFF_BYTES, text_start
from bulkport.limits import ImportLimits

MOST_RECORDS: Final = 30_000
"""Records of a chunk, whatever its bytes: other users' chunks wait for it."""


@dataclass(frozen=True, slots=True)
class BodyChunk:
    """Complete records, byte for byte as they came: the payload of one chunk."""

    payload: bytes
    """Starts with the first byte of a record (or of a blank line before it) and ends with a record."""
    records: int
    """Number of records in the payload, at least one; blank lines are not records."""


class RecordSplitter(Protocol):
    """Cuts a body into chunks. The chunks depend on the bytes only, never on how they were fed."""

    def feed(self, data: bytes) -> Iterator[BodyChunk]:
        """Take in `data`, and give the chunks that are complete. Iterate to the end before the next call.

        Raises
        ------
        RecordTooLarge
            As soon as one record is known to be larger than `max_record_bytes`.
        MalformedBody
            If the body is not UTF-8 text but UTF-16, UTF-32 or a compressed file.
        """

    def finish(self) -> Iterator[BodyChunk]:
        """Return the rest at the end of the body; the last record may lack its newline."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The complete records at the start of a block."""

    end: int
    """Bytes up to and including the newline of the last complete record; 0 when there is none."""
    records: int
    """Records in these bytes, blank lines not counted."""
    payload: bytes | None = None
    """The records, if they differ from these bytes because of lines that are not records."""
    blank_lines: int = 0


class BufferingSplitter(ABC):
    """The part that NDJSON and CSV share: gather a block, cut it after its last record, keep the rest.

    A block is cut when it has `chunk_bytes`; when one unfinished record fills it, next when it has doubled.
    So a record is scanned at most a few times however long it is, however small the bites it comes in. Before that its
    lines are counted from time to time: where they are very short, it is cut when it has `MOST_RECORDS`, as a chunk
    must not keep other users' chunks waiting for seconds.
    """

    LOOK_BYTES: Final = 32 * 1024

    def __init__(self, limits: ImportLimits) -> None:
        self._chunk_bytes = limits.chunk_bytes
        self._max_record_bytes = limits.max_record_bytes
        # One buffer, not a list of chunks: chunks of a few bytes would cost a hundred times their size.
        self._buffer = bytearray()
        self._threshold = SNIFF_BYTES
        """Bytes at which the block is looked at."""
        self._target = 0
        """Bytes at which it is cut, once the body has begun."""
        self._lines = self._counted = 0
        """Lines in the first bytes of the block, after an unfinished record."""
        self._is_sniffed = False
        self._has_begun = False
        self._records = 0
        self._max_rows = limits.max_rows
        self._blank_lines = 0
        self._max_blank_lines = limits.max_blank_lines

    @property
    def buffered(self) -> int:
        """Bytes that wait to be cut."""
        return len(self._buffer)

    def may_cut(self, data: bytes) -> bool:
        """Whether `feed` may cut with these bytes; else it costs a copy of them."""
        if len(self._buffer) + len(data) >= max(self._threshold, self._target):
            return True
        if len(self._buffer) + len(data) < self._threshold:
            return False
        lines = self._lines + self._buffer.count(b"\n", self._counted) + data.count(b"\n")
        return not self._has_begun or lines >= MOST_RECORDS

    def feed(self, data: bytes) -> Iterator[BodyChunk]:
        """See `RecordSplitter.feed`."""
        rest = memoryview(data)
        while len(self._buffer) + len(rest) >= self._threshold:
            # Cutting exactly at the threshold makes the chunks independent of how the body was fed.
            bite = self._threshold - len(self._buffer)
            self._buffer += rest[:bite]
            rest = rest[bite:]
            if not self._has_begun or self._is_due():
                yield from self._cut(is_final=False)
        self._buffer += rest

    def finish(self) -> Iterator[BodyChunk]:
        """See `RecordSplitter.finish`."""
        yield from self._cut(is_final=True)

    def _is_due(self) -> bool:
        """Whether to split the block; otherwise wait for more input."""
        if self._threshold >= self._target:
            return True
        self._lines += self._buffer.count(b"\n", self._counted)
        self._counted = len(self._buffer)
        if self._lines >= MOST_RECORDS:
            return True
        self._threshold = min(self._target, self._threshold + self.LOOK_BYTES)
        return False

    @abstractmethod
    def _scan(self, block: bytes) -> Scan:
        """Find the complete records of a block that starts with a record."""

    @abstractmethod
    def _record_sizes(self, payload: bytes) -> Iterator[int]:
        """Size of each record of a payload, without its newline."""

    def _begin(self, block: bytes, *, is_final: bool) -> int | None:
        """Length of the header at the start of the body; None while more input is needed."""
        return 0

    def _cut(self, *, is_final: bool) -> Iterator[BodyChunk]:
        if is_final:
            self._drop_end_of_file_sign()
        block = bytes(self._buffer)
        if not self._is_sniffed:
            block = block[text_start(block) :]
            self._is_sniffed = True
        if not self._has_begun:
            start = self._begin(block, is_final=is_final)
            if start is None:
                self._carry(block, 0, least=1)
                return
            self._has_begun = True
            block = block[start:]
            if not is_final and len(block) < self._chunk_bytes:
                self._hold(block, self._chunk_bytes)
                self._threshold = min(self._target, len(block) + self.LOOK_BYTES)
                self._lines = block.count(b"\n")
                return
        scan = self._scan_end(block) if is_final else self._scan(block)
        payload = block[: scan.end] if scan.payload is None else scan.payload
        self._check_sizes(payload)
        self._carry(block[scan.end :], scan.records, least=self._chunk_bytes)
        self._records += scan.records
        self._blank_lines += scan.blank_lines
        if self._blank_lines > self._max_blank_lines:
            raise TooLarge(f"The body is larger than it may be: more than {self._max_blank_lines:,} blank lines.")
        if self._records > self._max_rows:
            raise TooLarge(f"The body has more than {self._max_rows:,} records; send it in parts.")
        if scan.records:
            yield BodyChunk(payload, scan.records)

    def _scan_end(self, block: bytes) -> Scan:
        """The records of the last block, whose last one may lack its newline."""
        is_closed = not block or block.endswith(b"\n")
        scan = self._scan(block if is_closed else block + b"\n")
        if scan.end >= len(block) + (not is_closed):
            payload = scan.payload if is_closed or scan.payload is None else scan.payload.removesuffix(b"\n")
            return Scan(len(block), scan.records, payload, scan.blank_lines)
        # The body ends inside a record (an open quote): it counts, and the worker reports it.
        payload = None if scan.payload is None else scan.payload + block[scan.end :]
        return Scan(len(block), scan.records + 1, payload, scan.blank_lines)

    def _drop_end_of_file_sign(self) -> None:
        """DOS programs and `copy` end a text file with 0x1A; what fills up a last block is NUL, or more of these."""
        end = len(self._buffer.rstrip(b"\r\n\x1a\0"))
        self._buffer[end:] = self._buffer[end:].translate(None, b"\x1a\0")

    def _carry(self, rest: bytes, records_before: int, *, least: int) -> None:
        if len(rest) > self._max_record_bytes:
            raise self._too_large(self._records + records_before + 1)
        self._hold(rest, max(least, min(2 * len(rest), self._max_record_bytes + 1)))

    def _hold(self, rest: bytes, threshold: int) -> None:
        self._buffer = bytearray(rest)
        self._target = max(threshold, len(rest) + 1)
        self._threshold = self._target
        if self._has_begun:
            # An unfinished record has doubled when it is looked at next, whatever lines there are in it.
            self._threshold = min(self._target, 2 * len(rest) + self.LOOK_BYTES)
            self._lines, self._counted = 0, len(rest)

    def _check_sizes(self, payload: bytes) -> None:
        if len(payload) <= self._max_record_bytes:
            return
        for number, size in enumerate(self._record_sizes(payload), start=self._records + 1):
            if size > self._max_record_bytes:
                raise self._too_large(number)

    def _too_large(self, number: int) -> RecordTooLarge:
        return RecordTooLarge(f"Record {number} is larger than {self._max_record_bytes:,} bytes.")
