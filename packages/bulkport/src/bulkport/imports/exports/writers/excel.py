"""A workbook with one sheet: numbers, truth values, dates and times are cells of their kind where that is exact.

Everything else is text, as CSV has it: numbers of more digits than a cell keeps, moments with an offset, durations.
"""

import csv
import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, Final

import xlsxwriter

from bulkport.imports.exports.writers.errors import UnfitError

# Numbers are kept in binary, and shown with this many digits.
_MAX_DIGITS: Final = 15
# Before that day Excel's calendar has a day too many.
_FIRST_DATE: Final = date(1900, 3, 1)
_WIDTHS: Final = {"text": 30, "date": 12, "timestamp": 20}
_BLOCK_BYTES: Final = 64 * 1024


def write_workbook(
    columns: Sequence[dict[str, str]],
    pages: Iterable[bytes],
    out: BinaryIO,
    *,
    null_word: str = "",
    folder: str | None = None,
) -> None:
    """Write the rows of the pages, CSV without a header, below a header row.

    Parameters
    ----------
    columns:
        `name` and `kind` of each: text, integer, number, bool, date or timestamp.
    folder:
        Where it grows; None: the system's folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="bulkport-", dir=folder) as own:
        path = f"{own}/export.xlsx"
        # Rows are written to the file at once; memory holds only one.
        book = xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": own})
        sheet = book.add_worksheet("Rows")
        bold = book.add_format({"bold": True})
        formats = {
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "timestamp": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        for position, column in enumerate(columns):
            sheet.set_column(position, position, _WIDTHS.get(column["kind"], 12))
            sheet.write_string(0, position, column["name"], bold)
        sheet.freeze_panes(1, 0)
        kinds = [column["kind"] for column in columns]
        for number, row in enumerate(_rows(pages), 1):
            for position, text in enumerate(row):
                if not text:
                    continue
                kind = kinds[position]
                value = None if kind == "text" or text == null_word else _READERS[kind](text)
                if value is None:
                    _write_text(sheet, number, position, text)
                elif kind == "bool":
                    sheet.write_boolean(number, position, value)
                elif kind in formats:
                    sheet.write_datetime(number, position, value, formats[kind])
                else:
                    sheet.write_number(number, position, value)
        book.close()
        with Path(path).open("rb") as file:
            shutil.copyfileobj(file, out, _BLOCK_BYTES)


def _write_text(sheet: Any, row: int, column: int, text: str) -> None:
    match sheet.write_string(row, column, text):
        case -1:
            raise UnfitError("a sheet has 1,048,575 rows below its header, and there are more: take csv or ndjson")
        case -2:
            raise UnfitError(f"a cell has 32,767 characters at most, and a value has {len(text):,}: take csv or ndjson")


def _rows(pages: Iterable[bytes]) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    for page in pages:
        for row in csv.reader(io.StringIO(page.decode(), newline="")):
            yield row or [""]


def _integer(text: str) -> int | None:
    return int(text) if len(text.lstrip("-")) <= _MAX_DIGITS else None


def _number(text: str) -> float | None:
    """The number where a cell keeps it as it is, as a reader finds it."""
    try:
        value, exact = float(text), Decimal(text)
    except (ValueError, InvalidOperation):
        return None
    # The file has sixteen digits of a number.
    is_exact = exact.is_finite() and float(f"{value:.16G}") == value and Decimal(repr(value)) == exact
    return value if is_exact else None


def _bool(text: str) -> bool:
    return text == "true"


def _date(text: str) -> date | None:
    try:
        value = date.fromisoformat(text)
    except ValueError:  # infinity, or a year that Python does not have
        return None
    return value if value >= _FIRST_DATE else None


def _timestamp(text: str) -> datetime | None:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    # A cell keeps days as a binary fraction: whole seconds come back as they were.
    return value if value.date() >= _FIRST_DATE and not value.microsecond else None


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "integer": _integer,
    "number": _number,
    "bool": _bool,
    "date": _date,
    "timestamp": _timestamp,
}
