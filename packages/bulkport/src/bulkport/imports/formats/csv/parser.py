"""Parses a chunk of a CSV body into the cells of its records (worker side)."""

import csv
import io
import re
from functools import lru_cache
from itertools import repeat
from typing import Final

from bulkport.imports.formats.bad_bytes import bad_bytes_message, has_bad_bytes, visible_bytes
from bulkport.imports.formats.csv.dialect import BadRecord, CsvDialect, CsvSyntax
from bulkport.imports.formats.csv.grammar import field_text, proper_lines, proper_records, record_text
from bulkport.imports.formats.csv.records import CsvRecords
from bulkport.imports.formats.csv.resent_report import restore_records

_ESCAPE: Final = re.compile(r"\\([\s\S])")
# What MySQL writes and reads after a backslash (SELECT … INTO OUTFILE, LOAD DATA); others mean themselves.
_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_NULL: Final = "\\N"
_TYPOGRAPHIC: Final = re.compile("[\u201c\u201d\u201e\u00ab\u00bb]")
# With more quotes than these, reading row by row is faster than reading the lines that have quotes apart.
_QUOTES_A_LINE: Final = 0.5
_SAMPLE: Final = 16_384
"""Characters in which quotes and lines are counted."""


def csv_records(payload: bytes, dialect: CsvDialect) -> CsvRecords:
    """The cells of each record of a chunk; a record that cannot be read is a `BadRecord`.

    A record is bad when it is not quoted as RFC 4180 says, has another number of fields than the header, has a
    carriage return outside quotes, or is not UTF-8. Blank lines are skipped, as `CsvSplitter` does. Empty cells after
    the last one that has a name may be too many or too few.
    """
    records = _read(payload, dialect)
    return restore_records(records, dialect) if dialect.report_columns or dialect.is_neutralized else records


def _read(payload: bytes, dialect: CsvDialect) -> CsvRecords:
    width = len(dialect.header)
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        # In surrogateescape form the bad bytes stay within their record and spoil no other.
        return CsvRecords.of_rows(_read_mixed(payload.decode(errors="surrogateescape"), dialect), width)
    if not _is_proper(payload, dialect):
        return CsvRecords.of_rows(_read_mixed(text, dialect), width)
    sample = text[:_SAMPLE]
    if dialect.quote and sample.count(dialect.quote) > _QUOTES_A_LINE * sample.count("\n"):
        return CsvRecords.of_rows(_read_quoted(text, dialect), width)
    records = _read_columns(text, dialect)
    return CsvRecords.of_rows(_read_proper(text, dialect), width) if records is None else records


def split_record(record: str, syntax: CsvSyntax, charset: str | None = None) -> list[str] | BadRecord:
    """The cells of one record that has no newline at its end."""
    if has_bad_bytes(record):
        return _bad(record, f"the row {bad_bytes_message(record, charset)}")
    cells = []
    match = field_text(syntax).match
    position = 0
    while found := match(record, position):
        quoted, plain, end = found.groups()
        cells.append(_cell(quoted, plain, syntax))
        position = found.end()
        if not end:
            return cells
    if syntax.quote and record.startswith(syntax.quote, position):
        return _bad(
            record, "a closing quote must be followed by the delimiter or the end of the row" + _hint(record, syntax)
        )
    field = record[position:].split(syntax.delimiter, 1)[0]
    if "\r" in (field.split(syntax.quote, 1)[0] if syntax.quote else field):
        return _bad(record, "a carriage return must be inside quotes")
    is_indented = bool(syntax.quote) and field.startswith(" ") and field.lstrip(" ").startswith(syntax.quote)
    hint = "; take away the blank before it" if is_indented else _hint(record, syntax)
    if field.startswith(f"={syntax.quote}"):
        hint = "; take away the = with which spreadsheets are told that a cell is text"
    return _bad(record, f"a quote must open its field, and be doubled inside it{hint}")


def _cell(quoted: str | None, plain: str, syntax: CsvSyntax) -> str:
    if syntax.escape is None:
        return plain if quoted is None else quoted[1:-1].replace(syntax.quote * 2, syntax.quote)
    if quoted is None:
        return "" if plain == _NULL else _unescaped(plain)
    return _in_quotes(syntax.quote).sub(
        lambda found: syntax.quote if found[1] is None else _ESCAPES.get(found[1], found[1]), quoted[1:-1]
    )


@lru_cache
def _in_quotes(quote: str) -> re.Pattern[str]:
    """What does not mean itself inside quotes if there are escapes."""
    return re.compile(rf"{_ESCAPE.pattern}|{re.escape(quote * 2)}")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text) if "\\" in text else text


def _hint(record: str, syntax: CsvSyntax) -> str:
    is_escaped = syntax.escape is None and f"\\{syntax.quote}" in record
    return "; where quotes are escaped by backslashes, send escape=\\" if is_escaped else ""


def _is_proper(payload: bytes, dialect: CsvDialect) -> bool:
    """Whether every record is written as RFC 4180 says."""
    if dialect.escape is not None and dialect.escape.encode() in payload:
        return False
    quote = dialect.quote.encode()
    if not quote or quote not in payload:
        return b"\r" not in payload or b"\r" not in payload.replace(b"\r\n", b"\n").removesuffix(b"\r")
    match = proper_lines(dialect.delimiter, dialect.quote).match
    found = match(payload)
    rest = payload[found.end() if found else 0 :]
    if not rest:
        return True
    last = rest.removesuffix(b"\r")  # the last record may lack its line end, or half of it
    if last.endswith(b"\r"):
        return False
    last += b"\n"
    found = match(last)
    return found is not None and found.end() == len(last)


def _read_mixed(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    """The records of irregular text: irregular records singly, regular ones in runs."""
    rows: list[list[str] | BadRecord] = []
    syntax = dialect.syntax
    match_run = proper_records(dialect.delimiter).match if syntax.quote == '"' and syntax.escape is None else None
    match_record = record_text(syntax).match
    position = 0
    while position < len(text):
        run = match_run(text, position) if match_run else None
        if run is not None and run[0]:
            rows += _read_proper(run[0], dialect)
            position = run.end()
            continue
        found = match_record(text, position)
        if found is None:
            rows.append(_unclosed(text[position:], dialect))
            break
        position = found.end()
        if record := found[1].removesuffix("\r"):
            rows.append(_read_record(record, dialect))
    return rows


def _read_columns(text: str, dialect: CsvDialect) -> CsvRecords | None:
    """Proper records column by column; None if a field has a newline in it."""
    delimiter, quote, width = dialect.delimiter, dialect.quote, len(dialect.header)
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    lines = [line for line in text.split("\n") if line]
    # What is quoted or of another width is read by itself, and a line of empty cells keeps its place meanwhile.
    is_quoted = bool(quote) and quote in text
    apart = {position: line for position, line in enumerate(lines) if quote in line} if is_quoted else {}
    if any(line.count(quote) % 2 for line in apart.values()):
        return None
    try:
        rows = dict(zip(apart, csv.reader(apart.values(), delimiter=delimiter, quotechar=quote or '"'), strict=True))
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
        fitting = row if len(row) == width else _fitted(apart[position], row, dialect)
        if isinstance(fitting, BadRecord):
            bad[position] = fitting
            continue
        for column, cell in zip(columns, fitting, strict=True):
            column[position] = cell
    return CsvRecords(columns, bad)


def _read_proper(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    if dialect.quote and dialect.quote in text:
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
    return [row if len(row) == width else _fitted(line, row, dialect) for row, line in zip(rows, lines, strict=True)]


def _read_quoted(text: str, dialect: CsvDialect) -> list[list[str] | BadRecord]:
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=dialect.delimiter, quotechar=dialect.quote)
    try:
        rows = [row for row in reader if row]
    except csv.Error:  # a field above csv.field_size_limit
        return [
            _read_record(record, dialect)
            for found in record_text(dialect.syntax).finditer(text)  # every record of it matches
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
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=dialect.delimiter, quotechar=dialect.quote)
    for row in reader:
        if row:
            record = "" if len(row) == width else "\n".join(lines[start : reader.line_num]).removesuffix("\r")
            rows.append(_fitted(record, row, dialect) if record else row)
        start = reader.line_num
    return rows


def _read_record(record: str, dialect: CsvDialect) -> list[str] | BadRecord:
    row = split_record(record, dialect.syntax, dialect.charset)
    if isinstance(row, BadRecord) or len(row) == len(dialect.header):
        return row
    return _fitted(record, row, dialect)


def _have_width(rows: list[list[str]], width: int) -> bool:
    return set(map(len, rows)) <= {width}


def _fitted(record: str, row: list[str], dialect: CsvDialect) -> list[str] | BadRecord:
    """A row of another width than the header: as long as the header where only empty cells are too many or too few."""
    width = len(dialect.header)
    if len(row) > width and not any(cell.strip() for cell in row[width:]):
        return row[:width]
    if dialect.named_width <= len(row) < width:
        return row + [""] * (width - len(row))
    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
    hint = _other_quotes(record, dialect) if len(row) > width else _quoted_whole(row, dialect)
    return BadRecord(record, f"the row has {fields} where the header has {width}{hint}")


def _other_quotes(record: str, dialect: CsvDialect) -> str:
    """A hint about unrecognised quote characters if delimiters between them produce too many cells."""
    if dialect.delimiter not in record or not dialect.quote:
        return ""
    if _TYPOGRAPHIC.search(record):
        return f"; typographic quotes are not recognised; use {dialect.quote}"
    within = rf"(?:\A|{re.escape(dialect.delimiter)})'[^']*{re.escape(dialect.delimiter)}[^']*'"
    return "; where cells stand in single quotes, send quote='" if re.search(within, record) else ""


def _quoted_whole(row: list[str], dialect: CsvDialect) -> str:
    """A hint at a row that is one cell, because all of it stands in quotes."""
    if len(row) == 1 and row[0].count(dialect.delimiter) >= len(dialect.header) - 1:
        return "; the whole row is in quotes: take them away"
    return ""


def _unclosed(record: str, dialect: CsvDialect) -> BadRecord:
    if dialect.escape is not None and record.endswith(dialect.escape):
        return _bad(record, "the escape character at the end of the body has nothing after it")
    message = "a quote is opened but never closed"
    if lines := record.rstrip("\r\n").count("\n"):
        more, belong = ("1 more line", "belongs") if lines == 1 else (f"{lines} more lines", "belong")
        message += f", so {more} to the end of the body {belong} to this row"
    return _bad(record, message)


def _bad(record: str, message: str) -> BadRecord:
    return BadRecord(visible_bytes(record), message)
