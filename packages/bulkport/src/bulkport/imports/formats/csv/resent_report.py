"""Error reports that a client sends again as CSV, and cells neutralized for spreadsheets.

The report has an unreadable record unchanged in its first column, followed only by its row number and its error. When
the report is sent again, the cell is read as that record: rejected as before, or accepted if it was corrected in place.
"""

import re
from typing import Final

from bulkport.imports.formats.csv.dialect import BadRecord, CsvDialect
from bulkport.imports.formats.csv.records import CsvRecords

REPORT_HEADER: Final = ("row", "error")
NEUTRALIZED_HEADER: Final = ("row", "error", "neutralized")
"""The header of a report whose cells were neutralized."""

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_NEUTRALIZED: Final = re.compile(r"''*[=+\-@\t\r]")
# How messages about unreadable records begin.
_UNREADABLE: Final = (
    "the row has ",
    "the row is not valid ",
    "the row must be a JSON object",
    "a quote ",
    "a closing quote ",
    "a carriage return ",
    "the escape character ",
)
_VISIBLE_BYTE: Final = re.compile(r"\\x[0-9A-Fa-f]{2}")


def neutralized(cell: str) -> str:
    """The cell, prefixed with `'` if a spreadsheet would take it for a formula or it already has the prefix."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def without_neutralizing(cell: str) -> str:
    """The inverse of `neutralized`."""
    return cell[1:] if _NEUTRALIZED.match(cell) else cell


def report_columns(header: list[str]) -> int:
    """The number of trailing columns that an error report adds to a header; 0 if it is not a report."""
    names = tuple(cell.strip().lower() for cell in header)
    for added in (NEUTRALIZED_HEADER, REPORT_HEADER):
        if len(names) > len(added) and names[-len(added) :] == added:
            return len(added)
    return 0


def restore_records(records: CsvRecords, dialect: CsvDialect) -> CsvRecords:
    """The original records behind an error report or neutralized cells."""
    columns = records.columns
    if dialect.is_neutralized:
        columns = [list(map(without_neutralizing, column)) for column in columns]
        records = CsvRecords(columns, records.bad)
    width = len(columns) - dialect.report_columns
    if not dialect.report_columns or width < 1:
        return records
    firsts, others, errors = columns[0], columns[1:width], columns[width + 1]
    for position, error in enumerate(errors):
        if not error.startswith(_UNREADABLE) or position in records.bad or not firsts[position]:
            continue
        if any(column[position] for column in others):
            continue
        row = _read_record(firsts[position], error, width, dialect)
        if isinstance(row, BadRecord):
            records.bad[position] = row
            row = [""] * width
        for column, cell in zip(columns, row, strict=False):
            column[position] = cell
    return records


def _read_record(raw: str, error: str, width: int, dialect: CsvDialect) -> list[str] | BadRecord:
    from bulkport.imports.formats.csv.parser import csv_records  # noqa: PLC0415 # it imports this module

    is_undecodable = error.startswith("the row is not valid ") and "JSON" not in error[:30]
    if "JSON" in error[:40] or (is_undecodable and _VISIBLE_BYTE.search(raw)):
        return BadRecord(raw, error)
    inner = CsvDialect(dialect.header[:width], dialect.delimiter, dialect.quote, dialect.escape, dialect.charset)
    found = csv_records(raw.encode(errors="replace"), inner)
    if len(found) != 1:
        return BadRecord(raw, f"the row contains {len(found)} records instead of one")
    return found[0]
