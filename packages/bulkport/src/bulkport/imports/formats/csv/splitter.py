"""Splits a CSV body into chunks without parsing it (accepting side)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from bulkport.errors import CsvHeaderError, RecordTooLarge
from bulkport.imports.formats.chunking import BufferingSplitter, Scan
from bulkport.imports.formats.csv.cleaning import Cleaner
from bulkport.imports.formats.csv.dialect import CsvDialect, CsvSyntax, parse_delimiter
from bulkport.imports.formats.csv.grammar import proper_lines, record_fields, record_line, skeleton
from bulkport.imports.formats.csv.header import ColumnNames
from bulkport.imports.formats.csv.preamble import read_preamble
from bulkport.imports.formats.csv.resent_report import NEUTRALIZED_HEADER, report_columns
from bulkport.imports.formats.transcoding import HEAD_BYTES
from bulkport.imports.options import ReadingOptions
from bulkport.limits import ImportLimits

_AS_DETECTED: Final = ReadingOptions()
# All bytes but the newline and the quote.
_OTHERS: Final = {quote: bytes(byte for byte in range(256) if byte not in b"\n" + quote) for quote in (b'"', b"'")}
_MAX_HEADER_BYTES: Final = 256 * 1024
_MAX_COLUMNS: Final = 10_000
"""PostgreSQL's tables have 1,600."""
_MOST_QUOTES: Final = 0.4
_ROW_COUNT: Final = re.compile(rb"(?:\A|\n)\(?[0-9]{1,19} rows?(?: affected| selected\.?)?\)?[ \t\r\n]*\Z")
"""The last line that psql, sqlcmd and SQL*Plus write below a table."""
_ODD_LINE_ENDS: Final = {"\x85": "U+0085 (NEL)", "\u2028": "U+2028 (LINE SEPARATOR)", "\x1e": "U+001E"}


class CsvSplitter(BufferingSplitter):
    """Takes the header row off a CSV body and cuts the rest into chunks (see `RecordSplitter`).

    Lines that are not records go no further: blank ones, those of empty cells alone, comments, and the header row when
    it comes once more, as in files that were put together.

    Parameters
    ----------
    delimiter:
        As the client gave it; see `parse_delimiter` for what it may be.
    options:
        How the body is to be read.
    names:
        What columns may be called, by which the header row and the delimiter are found. None: the first row is the
        header.

    Raises
    ------
    BadRequest
        If the delimiter is none that is supported.
    CsvHeaderError
        From `feed` or `finish`: if there is no header row, or it is not proper CSV.
    """

    def __init__(
        self,
        limits: ImportLimits,
        delimiter: str | None = None,
        *,
        options: ReadingOptions = _AS_DETECTED,
        names: ColumnNames | None = None,
    ) -> None:
        super().__init__(limits)
        self._options = options if delimiter is None else replace(options, delimiter=parse_delimiter(delimiter))
        self._names = names
        self._threshold = max(self._threshold, min(HEAD_BYTES, limits.chunk_bytes))
        self._syntax = CsvSyntax()
        self._record, self._fields = record_line(self._syntax), record_fields(self._syntax)
        self._cleaner: Cleaner | None = None
        self._preamble_warnings: list[str] = []
        self.header: list[str] | None = None
        """Cells of the header row, once it has arrived: always before the first chunk is given."""
        self.found: dict[str, Any] = {}
        """What was detected, by fields of `ReadingOptions`; known with the header."""

    @property
    def dialect(self) -> CsvDialect | None:
        """What a worker needs to read the chunks, once the header row has arrived."""
        if self.header is None:
            return None
        added = report_columns(self.header)
        if added and self._names is not None:
            # A resource's own field of that name has its column before those that a report adds.
            own = self._names.fields_of(self.header[:-added])
            if any(name is not None and name not in own for name in self._names.fields_of(self.header[-added:])):
                added = 0
        return CsvDialect(
            self.header,
            self._syntax.delimiter,
            self._syntax.quote,
            self._syntax.escape,
            charset=self._options.charset,
            report_columns=added,
            is_neutralized=bool(self._options.neutralize) or added == len(NEUTRALIZED_HEADER),
        )

    def warnings(self) -> list[str]:
        """What was found and passed over, for the import's `warnings`; complete when the body has ended."""
        cleaned = [] if self._cleaner is None else self._cleaner.warnings()
        return [*self._preamble_warnings, *cleaned]

    def _too_large(self, number: int) -> RecordTooLarge:
        limit = f"{self._max_record_bytes:,} bytes"
        if self.header is None:
            return RecordTooLarge(f"The CSV header row is larger than {limit}.")
        return RecordTooLarge(f"Record {number} is larger than {limit}; a quote may be opened and never closed.")

    def _begin(self, block: bytes, *, is_final: bool) -> int | None:
        try:
            preamble = read_preamble(block, self._options, self._names, is_final=is_final)
        except CsvHeaderError:
            if b"\r" in block.strip(b"\r\n") and b"\n" not in block.strip(b"\r\n") and b'"' not in block:
                raise CsvHeaderError("The CSV lines end with carriage returns alone; end them with newlines.") from None
            raise
        if preamble is None:
            is_said = self._options.header_row is not None or self._options.skip_rows is not None
            if len(block) > _MAX_HEADER_BYTES and not is_said:
                raise RecordTooLarge(f"The CSV header row is larger than {_MAX_HEADER_BYTES:,} bytes.")
            return None
        if len(preamble.header) > _MAX_COLUMNS:
            raise CsvHeaderError(f"The CSV header has more than {_MAX_COLUMNS:,} columns.")
        self.header = preamble.header
        self.found = preamble.found
        self._preamble_warnings = preamble.warnings
        if is_final and not block[preamble.end :].strip():
            _require_line_ends(preamble.header)
        self._syntax = preamble.syntax
        self._record, self._fields = record_line(self._syntax), record_fields(self._syntax)
        self._cleaner = Cleaner(self._syntax, preamble.line, self._options.comment)
        return preamble.end

    def _scan(self, block: bytes) -> Scan:
        end, count = self._measure(block)
        payload = block[:end]
        assert self._cleaner is not None
        if not payload or self._cleaner.is_clean(payload):
            return Scan(end, count)
        records = self._cleaner.clean(self._read_records(payload))
        return Scan(end, len(records), b"".join(records), count - len(records))

    def _scan_end(self, block: bytes) -> Scan:
        found = _ROW_COUNT.search(block, max(0, len(block) - 200))
        if found is None or len(self.header or ()) < 2:  # in the only column it may be a value
            return super()._scan_end(block)
        self._preamble_warnings.append(
            f"The last line, {found[0].decode().strip()!r}, is a count of rows and was ignored"
        )
        table = block[: found.start() + 1] if found[0].startswith(b"\n") else b""
        scan = super()._scan_end(table)
        return Scan(len(block), scan.records, table if scan.payload is None else scan.payload, scan.blank_lines)

    def _measure(self, block: bytes) -> tuple[int, int]:
        r"""Offset after the last newline that ends a record, and how many such newlines there are."""
        syntax = self._syntax
        quote = syntax.quote.encode()
        is_escaped = syntax.escape is not None and syntax.escape.encode() in block
        if self._has_plain_lines(block):
            return block.rfind(b"\n") + 1, block.count(b"\n")
        if not is_escaped:
            found = proper_lines(syntax.delimiter, syntax.quote).match(block)
            end = 0 if found is None else found.end()
            if block.find(b"\n", end) < 0:  # what is left is not a whole record
                return end, _count_line_ends(block[:end], quote)
        # A text of little else than quotes falls into more parts than can be looked at in a few milliseconds.
        is_quotes = bool(quote) and block.count(quote) > len(block) * _MOST_QUOTES
        parts = block.split(quote) if quote and not is_quotes else [block]
        bones = None if is_escaped or is_quotes else skeleton(parts, syntax.delimiter, quote)
        if bones is None:
            sizes = list(map(len, self._read_records(block)))
            return sum(sizes), len(sizes)
        if b"\n" not in bones:
            return 0, 0
        # The same newline in the block: the last one of the parts outside quotes.
        rest = len(parts[-1]) + 1 if len(parts) % 2 == 0 else 0
        for position in range((len(parts) - 1) // 2 * 2, -1, -2):
            part = parts[position]
            newline = part.rfind(b"\n")
            if newline >= 0:
                rest += len(part) - newline - 1
                break
            rest += len(part) + len(parts[position - 1]) + 2
        return len(block) - rest, bones.count(b"\n")

    def _read_records(self, block: bytes) -> Iterator[bytes]:
        """Each complete record of a block with its newline, blank lines too."""
        if self._has_plain_lines(block):
            for line in block.split(b"\n")[:-1]:
                yield line + b"\n"
            return
        start = 0
        while (end := self._record_end(block, start)) is not None:
            yield block[start:end]
            start = end

    def _has_plain_lines(self, block: bytes) -> bool:
        """Whether every newline of the block ends a record, for sure."""
        quote, escape = self._syntax.quote.encode(), self._syntax.escape
        return not (quote and quote in block) and (escape is None or escape.encode() not in block)

    def _record_end(self, block: bytes, start: int) -> int | None:
        """Offset behind the record that starts at `start`; None: it is unfinished."""
        found = self._record.match(block, start)
        if found is None:
            fields = self._fields.match(block, start)
            while fields is not None:
                start = fields.end()
                fields = self._fields.match(block, start)
            found = self._record.match(block, start)
        return None if found is None else found.end()

    def _record_sizes(self, payload: bytes) -> Iterator[int]:
        end = 0
        for record in self._read_records(payload):
            end += len(record)
            if record not in {b"\n", b"\r\n"}:
                yield len(record) - 1
        if end < len(payload):
            yield len(payload) - end


def _require_line_ends(header: list[str]) -> None:
    """Refuse a body that is one line for us, because its lines end with another character."""
    for sign, name in _ODD_LINE_ENDS.items():
        if any(sign in cell for cell in header):
            raise CsvHeaderError(f"The CSV lines end with {name}; end them with newlines.")


def _count_line_ends(payload: bytes, quote: bytes) -> int:
    """How many newlines stand outside quotes."""
    # Quotes side by side open and close something on one line: without them a newline is inside or outside as before.
    signs = payload.translate(None, _OTHERS[quote]).replace(quote * 2, b"")
    if quote not in signs:
        return len(signs)
    return sum(map(len, signs.split(quote)[::2]))
