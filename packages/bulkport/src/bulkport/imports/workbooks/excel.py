"""The cells of a workbook as CSV: dates and times as ISO 8601, whole numbers without a fraction, formulas as values."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import chain, islice
from typing import Any, Final, Self

import python_calamine

from bulkport.imports.column_names import normalized_name
from bulkport.imports.workbooks.errors import UnreadableFileError
from bulkport.imports.workbooks.odd_cells import (
    find_long_numbers,
    find_numbers_of_no_day,
    find_odd_cells,
    with_errors_as_texts,
)
from bulkport.imports.workbooks.odd_ods_cells import OddCells

_PART_ROWS: Final = 500
_SEARCHED_ROWS: Final = 20
_MOST_SHEETS: Final = 10
_EXACT: Final = 2**53
"""Up to here every whole number has a floating-point number of its own."""
_MOST_COLUMNS: Final = 2_000
"""Columns that are kept though they are empty; PostgreSQL's tables have 1,600."""
_MOST_BLANK_ROWS: Final = 1_000
"""Blank rows in a row that are kept, for the numbers of those below them: a stray cell may stand in the last row."""
_NOTHING_ODD: Final[OddCells] = {}


@dataclass(frozen=True, slots=True)
class _Words:
    """The import's text formats for typed cells, which it reads back by the same rules."""

    decimal: str = "."
    true: str = "true"
    false: str = "false"

    @classmethod
    def of(cls, order: dict[str, Any]) -> Self:
        return cls(
            order["decimal"] or ".", (order["true_words"] or ["true"])[0], (order["false_words"] or ["false"])[0]
        )


_PLAIN: Final = _Words()
_UNKNOWN_VALUE: Final = "Unsupported cell error value"


class _UnknownErrorValue(UnreadableFileError):
    """A cell has an error that the reader does not know: its whole sheet cannot be opened."""


def read_workbook(order: dict[str, Any]) -> tuple[dict[str, Any], Iterator[bytes]]:
    """Remarks about the sheet that was chosen, and its rows as CSV.

    Raises
    ------
    UnreadableFileError
        The file is not a workbook, has no such sheet, or is too large.
    """
    try:
        workbook = python_calamine.CalamineWorkbook.from_path(order["path"])
    except python_calamine.PasswordError:
        raise UnreadableFileError("it is protected by a password; save it without one") from None
    except (python_calamine.CalamineError, python_calamine.XmlError, python_calamine.ZipError, OSError) as error:
        raise UnreadableFileError(f"it is not a readable workbook ({_short(error)})") from None
    try:
        name = _choose_sheet(workbook, order)
        sheet = _open_sheet(workbook, name)
    except _UnknownErrorValue:
        workbook = python_calamine.CalamineWorkbook.from_filelike(with_errors_as_texts(order["path"]))
        name = _choose_sheet(workbook, order)
        sheet = _open_sheet(workbook, name)
    row, column = sheet.end or (-1, -1)
    cells = (row + 1) * (column + 1)
    if cells > order["max_cells"]:
        last = f"its last filled cell is in row {row + 1:,} and column {column + 1:,}"
        raise UnreadableFileError(
            f"the sheet {name!r} has {cells:,} cells, and {order['max_cells']:,} is the limit; {last}"
        )
    rows = _rows(
        sheet,
        find_odd_cells(order["path"], name),
        _Words.of(order),
        partial(find_numbers_of_no_day, order["path"], name),
        partial(find_long_numbers, order["path"], name),
    )
    found = {"sheet": name} if order["sheet"] is not None else {"sheet": name, **_other_sheets(workbook, name)}
    return found, _csv(rows)


def _choose_sheet(workbook: python_calamine.CalamineWorkbook, order: dict[str, Any]) -> str:
    names = workbook.sheet_names
    if not names:
        raise UnreadableFileError("the workbook has no sheets")
    wanted: str | None = order["sheet"]
    if wanted is not None:
        if wanted in names:
            return wanted
        if (
            same := next((name for name in names if normalized_name(name) == normalized_name(wanted)), None)
        ) is not None:
            return same
        if wanted.isdecimal() and 0 < int(wanted) <= len(names):
            return names[int(wanted) - 1]
        listed = ", ".join(map(repr, names[:20]))
        raise UnreadableFileError(f"there is no sheet {wanted!r}; there are {listed}")
    visible = _visible_sheets(workbook) or names
    if len(visible) == 1:
        return visible[0]
    filled = None
    for name in visible[:50]:
        rows = list(islice(_rows(_open_sheet(workbook, name)), _SEARCHED_ROWS))
        if any(_fits(row, order["required"]) for row in rows):
            return name
        filled = filled or (name if any(map(any, rows)) else None)
    return filled or visible[0]


def _visible_sheets(workbook: python_calamine.CalamineWorkbook) -> list[str]:
    return [
        sheet.name
        for sheet in workbook.sheets_metadata
        if sheet.visible == python_calamine.SheetVisibleEnum.Visible
        and sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
    ]


def _other_sheets(workbook: python_calamine.CalamineWorkbook, name: str) -> dict[str, list[str]]:
    """What else there is to be read: the other sheets that are seen, and all others."""
    others = [other for other in workbook.sheet_names if other != name]
    seen = set(_visible_sheets(workbook))
    return {"unread": [other for other in others if other in seen][:_MOST_SHEETS], "others": others[:_MOST_SHEETS]}


def _open_sheet(workbook: python_calamine.CalamineWorkbook, name: str) -> python_calamine.CalamineSheet:
    try:
        return workbook.get_sheet_by_name(name)
    except (python_calamine.CalamineError, python_calamine.XmlError, OSError) as error:
        if _UNKNOWN_VALUE in str(error):
            raise _UnknownErrorValue(f"the sheet {name!r} cannot be opened ({_short(error)})") from None
        raise UnreadableFileError(f"the sheet {name!r} cannot be opened ({_short(error)})") from None


def _fits(row: Sequence[str], required: Sequence[Sequence[str]]) -> bool:
    cells = {normalized_name(cell) for cell in row}
    return any(cells) and all(not cells.isdisjoint(names) for names in required)


def _rows(
    sheet: python_calamine.CalamineSheet,
    odd: OddCells = _NOTHING_ODD,
    words: _Words = _PLAIN,
    no_days: Callable[[], OddCells] = dict,
    long_numbers: Callable[[], OddCells] = dict,
) -> Iterator[list[str]]:
    """The rows of a sheet from its first one on, whether or not it is filled; its first filled column comes first.

    Parameters
    ----------
    odd:
        Texts of cells that have no value.
    no_days:
        Finds numbers that are not days whatever their cell's format; asked once one may be among the rows.
    long_numbers:
        Finds whole numbers that are not floating-point numbers; asked once one may be among the rows.
    """
    first_row, first_column = sheet.start or (0, 0)
    numbers: OddCells | None = None
    exact: OddCells | None = None
    blank = 0
    rows = iter(sheet.iter_rows())
    first = next(rows, [])
    if first_row and any(cell != "" for cell in first):  # rows above the first that is filled are left out
        yield from ([] for _ in range(first_row))
        number = first_row
    else:
        number = 0
    for row in chain([first], rows):
        cells = [_text(cell, words) for cell in row]
        for column, text in odd.get(number, {}).items():
            if 0 <= column - first_column < len(cells) and not cells[column - first_column]:
                cells[column - first_column] = text
        if any(_may_be_no_day(cell) for cell in row):
            numbers = no_days() if numbers is None else numbers
            for column, text in numbers.get(number, {}).items():
                if 0 <= column - first_column < len(cells) and _may_be_no_day(row[column - first_column]):
                    cells[column - first_column] = text
        if any(isinstance(cell, float) and abs(cell) >= _EXACT for cell in row):
            exact = long_numbers() if exact is None else exact
            for column, text in exact.get(number, {}).items():
                if 0 <= column - first_column < len(cells) and isinstance(row[column - first_column], float):
                    cells[column - first_column] = text
        number += 1
        if len(cells) > _MOST_COLUMNS and not any(cells[_MOST_COLUMNS:]):
            del cells[_MOST_COLUMNS:]
        blank = 0 if any(cells) else blank + 1
        if blank <= _MOST_BLANK_ROWS:
            yield cells


def _may_be_no_day(cell: Any) -> bool:
    """Whether a cell's day or time may come of a number that has none: the reader gives it that of another number."""
    return isinstance(cell, time) or (isinstance(cell, date) and (cell.year, cell.month, cell.day) == (1900, 2, 28))


def _text(value: Any, words: _Words) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return words.true if value else words.false
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) <= _EXACT
        return str(int(value)) if is_whole else repr(value).replace(".", words.decimal)
    if isinstance(value, datetime):
        # A day without a time is a date, as it is shown.
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    return "" if value is None else str(value)


def _duration(value: timedelta) -> str:
    seconds = round(value.total_seconds(), 3)
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    sign = "-" if seconds < 0 else ""
    return f"{sign}{hours:02d}:{minutes:02d}:" + (f"{int(rest):02d}" if rest == int(rest) else f"{rest:06.3f}")


def _csv(rows: Iterable[list[str]]) -> Iterator[bytes]:
    rows = iter(rows)
    while part := list(islice(rows, _PART_ROWS)):
        text = io.StringIO()
        # With these line ends the writer puts carriage returns and newlines in quotes.
        csv.writer(text, lineterminator="\r\n").writerows(part)
        yield text.getvalue().encode(errors="replace")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
