"""The report of an import's bad rows in its formats.

Rows are stored as JSON texts, and go out as they are in JSON and NDJSON.
"""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from bulkport.imports.exports.writing import FileFormat, written_file
from bulkport.imports.formats import BodyFormat
from bulkport.imports.formats.csv.resent_report import NEUTRALIZED_HEADER, REPORT_HEADER, neutralized
from bulkport.imports.read import CsvHeader, ReportedRow


def json_page(rows: Sequence[ReportedRow], *, next_cursor: str | None) -> bytes:
    """`{"items": […], "nextCursor": …}`."""
    items = ",".join(map(_entry, rows))
    return f'{{"items":[{items}],"nextCursor":{_json(next_cursor)}}}'.encode()


def report_lines(
    report_format: BodyFormat,
    pages: AsyncIterator[list[ReportedRow]],
    *,
    header: CsvHeader | None,
    wire_names: Sequence[str],
    neutralize: bool = False,
    folder: str | None = None,
) -> AsyncIterator[bytes]:
    """The whole report as NDJSON, CSV or a workbook.

    Parameters
    ----------
    header:
        Of the import's body, where that was CSV.
    wire_names:
        The columns of a CSV report on an import that had no header.
    folder:
        Where a workbook grows until it is complete; None: the system's folder for temporary files.
    """
    if report_format is BodyFormat.NDJSON:
        return ndjson_lines(pages)
    columns, cells = (wire_names, wire_names) if header is None else (header.names, header.cells)
    if report_format is BodyFormat.EXCEL:
        return _workbook(columns, cells, pages, folder)
    return csv_lines(columns, pages, header=cells, neutralize=neutralize)


def report_disposition(job_id: int, report_format: BodyFormat) -> str:
    """`Content-Disposition` of a whole report: under which name it is saved."""
    suffix = "xlsx" if report_format is BodyFormat.EXCEL else report_format
    return f'attachment; filename="import-{job_id}-errors.{suffix}"'


async def _workbook(
    columns: Sequence[str], header: Sequence[str], pages: AsyncIterator[list[ReportedRow]], folder: str | None
) -> AsyncIterator[bytes]:
    # Every cell is text as sent, so that nothing becomes a formula and no digit is lost.
    kinds = [(name, "text") for name in (*header, *REPORT_HEADER)]
    lines = csv_lines(columns, pages)
    await anext(lines)  # the header
    async for part in written_file(FileFormat.XLSX, kinds, lines, folder=folder):
        yield part


async def ndjson_lines(pages: AsyncIterator[list[ReportedRow]]) -> AsyncIterator[bytes]:
    """One entry a line."""
    async for page in pages:
        yield "".join(f"{_entry(row)}\n" for row in page).encode()


async def csv_lines(
    columns: Sequence[str],
    pages: AsyncIterator[list[ReportedRow]],
    *,
    header: Sequence[str] | None = None,
    neutralize: bool = False,
) -> AsyncIterator[bytes]:
    """The input's columns, then `row` and `error`; RFC 4180.

    A record that could not be taken apart stands in the first column as it came; sent again, it is read as that record.

    Parameters
    ----------
    columns:
        Member of the records for each column.
    header:
        What the columns are called in the header row; None: as in the records.
    neutralize:
        Whether cells that a spreadsheet would take for formulas get a `'` before them. A last column says so, by which
        the file is read as it was when it is sent again.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(header or columns), *(NEUTRALIZED_HEADER if neutralize else REPORT_HEADER)])
    yield text.getvalue().encode()
    async for page in pages:
        text.seek(0)
        text.truncate()
        for row in page:
            cells = [*_cells(columns, row.record), str(row.row), _messages(row.errors)]
            writer.writerow([*map(neutralized, cells), "true"] if neutralize else cells)
        yield text.getvalue().encode("utf-8", "replace")


def _entry(row: ReportedRow) -> str:
    # A stored record may have line ends between its tokens; inside strings JSON has them escaped.
    record = row.record.replace("\r", " ").replace("\n", " ")
    return f'{{"row":{row.row},"errors":{row.errors},"record":{record}}}'


def _messages(errors: str) -> str:
    return "; ".join(error["message"] for error in msgspec.json.decode(errors))


def _cells(columns: Sequence[str], record: str) -> list[str]:
    try:
        value = msgspec.json.decode(record)
    except (msgspec.DecodeError, RecursionError):
        value = record
    if not isinstance(value, Mapping):
        text = value if isinstance(value, str) else record
        return [text, *[""] * (len(columns) - 1)]
    return [_cell(value.get(column)) for column in columns]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
