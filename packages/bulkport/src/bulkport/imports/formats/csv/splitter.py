"""Cut a CSV body into pieces without parsing it (accepting side)."""

import re
from collections.abc import Iterator
from typing import Final

from bulkport.errors import CsvHeaderError, MalformedBody, RecordTooLarge
from bulkport.imports.formats.chunking import BufferingSplitter, Scan
from bulkport.imports.formats.csv.dialect import BadRecord, CsvDialect, parse_delimiter
from bulkport.imports.formats.csv.grammar import record_line, skeleton
from bulkport.imports.formats.csv.parser import split_record
from bulkport.limits import ImportLimits

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")


class CsvSplitter(BufferingSplitter):
    """Takes the header row off a CSV body and cuts the rest into pieces (see `RecordSplitter`).

    Parameters
    ----------
    delimiter:
        As the client gave it; see `parse_delimiter` for what it may be.

    Raises
    ------
    BadRequest
        If the delimiter is none that is supported.
    CsvHeaderError
        From `feed` or `finish`: if there is no header row, or it is not proper CSV.
    """

    def __init__(self, limits: ImportLimits, delimiter: str | None = None) -> None:
        super().__init__(limits)
        self.delimiter = parse_delimiter(delimiter)
        self.header: list[str] | None = None
        """Cells of the header row, once it has arrived: always before the first piece is given."""
        self._record = record_line(self.delimiter)

    @property
    def dialect(self) -> CsvDialect | None:
        """What a worker needs to read the pieces, once the header row has arrived."""
        return None if self.header is None else CsvDialect(self.header, self.delimiter)

    def _too_large(self, number: int) -> RecordTooLarge:
        limit = f"{self._max_record_bytes:,} bytes"
        if self.header is None:
            return RecordTooLarge(f"The CSV header row is larger than {limit}.")
        return RecordTooLarge(f"Record {number} is larger than {limit}; a quote may be opened and never closed.")

    def _begin(self, block: bytes, *, is_final: bool) -> int | None:
        start = len(block) - len(block.lstrip(b"\r\n"))
        text = block + b"\n" if is_final else block
        found = self._record.match(text, start)
        if found is None:
            if is_final:
                raise CsvHeaderError("A quote in the CSV header is opened but never closed.")
            return None
        self.header = _read_header(found[0], self.delimiter)
        return min(found.end(), len(block))

    def _scan(self, block: bytes) -> Scan:
        if b'"' not in block:
            end = block.rfind(b"\n") + 1
            return Scan(end, _count_lines(block[:end]))
        return self._scan_quoted(block)

    def _scan_quoted(self, block: bytes) -> Scan:
        parts = block.split(b'"')
        bones = skeleton(parts, self.delimiter)
        if bones is None:
            return self._scan_one_by_one(block)
        end = bones.rfind(b"\n") + 1
        if not end:
            return Scan(0, 0)
        # The same newline in the block: the last one of the parts outside quotes.
        rest = len(parts[-1]) + 1 if len(parts) % 2 == 0 else 0
        for position in range((len(parts) - 1) // 2 * 2, -1, -2):
            part = parts[position]
            newline = part.rfind(b"\n")
            if newline >= 0:
                rest += len(part) - newline - 1
                break
            rest += len(part) + len(parts[position - 1]) + 2
        return Scan(len(block) - rest, _count_lines(bones[:end]))

    def _scan_one_by_one(self, block: bytes) -> Scan:
        end = records = 0
        for record in self._read_records(block):
            end += len(record)
            records += not _is_blank(record)
        return Scan(end, records)

    def _read_records(self, block: bytes) -> Iterator[bytes]:
        """Each complete record of a block with its newline, blank lines too."""
        match = self._record.match
        found = match(block)
        while found is not None:
            yield found[0]
            found = match(block, found.end())

    def _record_sizes(self, payload: bytes) -> Iterator[int]:
        end = 0
        for record in self._read_records(payload):
            end += len(record)
            if not _is_blank(record):
                yield len(record) - 1
        if end < len(payload):
            yield len(payload) - end


def _is_blank(line: bytes) -> bool:
    return line in {b"\n", b"\r\n"}


def _count_lines(payload: bytes) -> int:
    """Count the records of a payload whose every newline ends a record, and that ends with one."""
    lines = payload.count(b"\n")
    if _BLANK_LINE.search(payload) or payload.startswith((b"\n", b"\r\n")):
        lines -= sum(1 for line in payload.split(b"\n")[:-1] if line in {b"", b"\r"})
    return lines


def _read_header(record: bytes, delimiter: str) -> list[str]:
    try:
        text = record.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise MalformedBody("The CSV header is not valid UTF-8.") from error
    if "\0" in text:
        raise MalformedBody("The CSV header has a NUL byte, which no text has.")
    if "\r" in text and '"' not in text:
        raise CsvHeaderError("The CSV lines end with carriage returns alone; end them with newlines.")
    cells = split_record(text, delimiter)
    if isinstance(cells, BadRecord):
        raise CsvHeaderError(f"The CSV header cannot be read: {cells.message}.")
    if not any(cell.strip() for cell in cells):
        raise CsvHeaderError("The CSV body has no header row.")
    return cells
