"""Take a piece of a CSV body apart into the cells of its records (worker side)."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from bulkport.formats.csv.dialect import BadRecord, CsvDialect
from bulkport.formats.csv.grammar import field_text, quoted_field_text, record_text

_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")


def csv_records(payload: bytes, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    """The cells of each record of a piece, in order; a record that cannot be read is a `BadRecord`.

    A record is bad when it is not quoted as RFC 4180 says, has another number of fields than the header, has a
    carriage return outside quotes, or is not UTF-8. Blank lines are skipped, as `CsvSplitter` does.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        # In surrogateescape form the bad bytes stay within their record and spoil no other.
        return list(_read_one_by_one(payload.decode(errors="surrogateescape"), dialect))
    rows = _read_quoted(text, dialect) if '"' in text else _read_unquoted(text, dialect)
    return list(_read_one_by_one(text, dialect)) if rows is None else rows


def split_record(record: str, delimiter: str) -> list[str] | BadRecord:
    """The cells of one record that has no newline at its end."""
    if _ESCAPED_BYTE.search(record):
        return _bad(record, "the row is not valid UTF-8")
    cells = []
    match = field_text(delimiter).match
    position = 0
    while found := match(record, position):
        quoted, plain, end = found.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        position = found.end()
        if not end:
            return cells
    if record.startswith('"', position):
        return _bad(record, "a closing quote must be followed by the delimiter or the end of the row")
    if "\r" in record[position:].split(delimiter, 1)[0].split('"', 1)[0]:
        return _bad(record, "a carriage return must be inside quotes")
    return _bad(record, "a quote must open its field, and be doubled inside it")


def _read_unquoted(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord] | None:
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
        if "\r" in text:
            return None
    lines = [line for line in text.split("\n") if line]
    delimiter, width = dialect.delimiter, len(dialect.header)
    if width == 1 and delimiter not in text:
        return [[line] for line in lines]
    rows = [line.split(delimiter) for line in lines]
    if _have_width(rows, width):
        return rows  # type: ignore[return-value]  # a list of the wider type, without a copy
    return [row if len(row) == width else _wrong_width(line, row, width) for row, line in zip(rows, lines, strict=True)]


def _read_quoted(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord] | None:
    outside = quoted_field_text(dialect.delimiter).sub("_", text)
    if '"' in outside or "\r" in outside.replace("\r\n", "\n").removesuffix("\r"):
        return None
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="\n"), delimiter=dialect.delimiter) if row]
    except csv.Error:  # a field above csv.field_size_limit
        return None
    if not _have_width(rows, len(dialect.header)):
        return None
    return rows  # type: ignore[return-value]  # a list of the wider type, without a copy


def _read_one_by_one(text: str, dialect: CsvDialect) -> Iterator[list[str] | BadRecord]:
    """The exact way, for text with something irregular in it: about five times slower."""
    width = len(dialect.header)
    match = record_text(dialect.delimiter).match
    position = 0
    while position < len(text):
        found = match(text, position)
        if found is None:
            yield _bad(text[position:], "a quote is opened but never closed")
            return
        record = found[1].removesuffix("\r")
        position = found.end()
        if record:
            row = split_record(record, dialect.delimiter)
            is_odd = isinstance(row, list) and len(row) != width
            yield _wrong_width(record, row, width) if is_odd else row  # type: ignore[arg-type]  # a list if odd


def _have_width(rows: list[list[str]], width: int) -> bool:
    return set(map(len, rows)) <= {width}


def _wrong_width(record: str, row: list[str], width: int) -> BadRecord:
    return BadRecord(record, f"the row has {len(row)} fields where the header has {width}")


def _bad(record: str, message: str) -> BadRecord:
    raw = record.encode(errors="surrogateescape").decode(errors="replace")
    return BadRecord(raw, message)
