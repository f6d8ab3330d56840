"""Take a piece of a CSV body apart into the cells of its records (worker side)."""

import csv
import io
import re
from itertools import repeat
from typing import Final

from bulkport.imports.formats.csv.dialect import BadRecord, CsvDialect
from bulkport.imports.formats.csv.grammar import field_text, proper_records, record_text, skeleton
from bulkport.imports.formats.csv.records import CsvRecords

_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")


def csv_records(payload: bytes, dialect: CsvDialect) -> CsvRecords:
    """The cells of each record of a piece; a record that cannot be read is a `BadRecord`.

    A record is bad when it is not quoted as RFC 4180 says, has another number of fields than the header, has a
    carriage return outside quotes, or is not UTF-8. Blank lines are skipped, as `CsvSplitter` does.
    """
    width = len(dialect.header)
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        # In surrogateescape form the bad bytes stay within their record and spoil no other.
        return CsvRecords.of_rows(_read_mixed(payload.decode(errors="surrogateescape"), dialect), width)
    if not _is_proper(payload, dialect.delimiter):
        return CsvRecords.of_rows(_read_mixed(text, dialect), width)
    records = _read_columns(text, dialect)
    return CsvRecords.of_rows(_read_proper(text, dialect), width) if records is None else records


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


def _is_proper(payload: bytes, delimiter: str) -> bool:
    """Whether every record is written as RFC 4180 says."""
    bones: bytes | None = payload
    if b'"' in payload:
        parts = payload.split(b'"')
        bones = skeleton(parts, delimiter) if len(parts) % 2 else None
    return bones is not None and not (b"\r" in bones and b"\r" in bones.replace(b"\r\n", b"\n").removesuffix(b"\r"))


def _read_mixed(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    """The records of a text with something irregular in it: alone what is irregular, in runs what is not."""
    rows: list[list[str] | BadRecord] = []
    match_run = proper_records(dialect.delimiter).match
    match_record = record_text(dialect.delimiter).match
    position = 0
    while position < len(text):
        run = match_run(text, position)
        if run is not None and run[0]:
            rows += _read_proper(run[0], dialect)
            position = run.end()
            continue
        found = match_record(text, position)
        if found is None:
            rows.append(_unclosed(text[position:]))
            break
        position = found.end()
        if record := found[1].removesuffix("\r"):
            rows.append(_read_record(record, dialect))
    return rows


def _read_columns(text: str, dialect: CsvDialect) -> CsvRecords | None:
    """Proper records column by column; None where a field has a newline in it."""
    delimiter, width = dialect.delimiter, len(dialect.header)
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    lines = [line for line in text.split("\n") if line]
    # What is quoted or of another width is read by itself, and a line of empty cells keeps its place meanwhile.
    apart = {position: line for position, line in enumerate(lines) if '"' in line} if '"' in text else {}
    if any(line.count('"') % 2 for line in apart.values()):
        return None
    try:
        rows = dict(zip(apart, csv.reader(apart.values(), delimiter=delimiter), strict=True))
    except csv.Error:  # a field above csv.field_size_limit
        return None
    blank = delimiter * (width - 1)
    for position in apart:
        lines[position] = blank
    if width == 1:
        misfits = [position for position, line in enumerate(lines) if delimiter in line] if delimiter in text else []
    else:
        found = map(str.count, lines, repeat(delimiter))
        misfits = [position for position, count in enumerate(found) if count != width - 1]
    for position in misfits:
        apart[position] = lines[position]
        rows[position] = lines[position].split(delimiter)
        lines[position] = blank
    columns = [lines]
    if width > 1:
        cells = delimiter.join(lines).split(delimiter) if lines else []
        columns = [cells[start::width] for start in range(width)]
    bad: dict[int, BadRecord] = {}
    for position, row in rows.items():
        if len(row) != width:
            bad[position] = _wrong_width(apart[position], row, width)
            continue
        for column, cell in zip(columns, row, strict=True):
            column[position] = cell
    return CsvRecords(columns, bad)


def _read_proper(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    if '"' in text:
        return _read_quoted(text, dialect)
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    lines = [line for line in text.split("\n") if line]
    delimiter, width = dialect.delimiter, len(dialect.header)
    if width == 1 and delimiter not in text:
        return [[line] for line in lines]
    rows = [line.split(delimiter) for line in lines]
    if _have_width(rows, width):
        return rows  # type: ignore[return-value]  # a list of the wider type, without a copy
    return [row if len(row) == width else _wrong_width(line, row, width) for row, line in zip(rows, lines, strict=True)]


def _read_quoted(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=dialect.delimiter)
    try:
        rows = [row for row in reader if row]
    except csv.Error:  # a field above csv.field_size_limit
        return [
            _read_record(record, dialect)
            for found in record_text(dialect.delimiter).finditer(text)  # every record of it matches
            if (record := found[1].removesuffix("\r"))
        ]
    if _have_width(rows, len(dialect.header)):
        return rows  # type: ignore[return-value]  # a list of the wider type, without a copy
    return _with_bad_widths(text, dialect)


def _with_bad_widths(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    """A second reading, for the raw text of records with another number of fields than the header."""
    width = len(dialect.header)
    lines = text.split("\n")
    rows: list[list[str] | BadRecord] = []
    start = 0
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=dialect.delimiter)
    for row in reader:
        if row:
            record = "" if len(row) == width else "\n".join(lines[start : reader.line_num]).removesuffix("\r")
            rows.append(_wrong_width(record, row, width) if record else row)
        start = reader.line_num
    return rows


def _read_record(record: str, dialect: CsvDialect) -> list[str] | BadRecord:
    row = split_record(record, dialect.delimiter)
    if isinstance(row, BadRecord) or len(row) == len(dialect.header):
        return row
    return _wrong_width(record, row, len(dialect.header))


def _have_width(rows: list[list[str]], width: int) -> bool:
    return set(map(len, rows)) <= {width}


def _wrong_width(record: str, row: list[str], width: int) -> BadRecord:
    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
    return BadRecord(record, f"the row has {fields} where the header has {width}")


def _unclosed(record: str) -> BadRecord:
    message = "a quote is opened but never closed"
    if lines := record.rstrip("\r\n").count("\n"):
        more, belong = ("1 more line", "belongs") if lines == 1 else (f"{lines} more lines", "belong")
        message += f", so {more} to the end of the body {belong} to this row"
    return _bad(record, message)


def _bad(record: str, message: str) -> BadRecord:
    raw = record.encode(errors="surrogateescape").decode(errors="replace")
    return BadRecord(raw, message)
