"""Cells of a sheet that have no value: errors such as `#N/A`, and formulas of .xlsx that were never computed.

The reader of workbooks gives such cells as empty ones, which would be null without an error. Here they are found in the
file itself (.xlsx: in the sheet's XML, ECMA-376-1, 18.3.1.4), so that they are read as what they show: a text that no
number or date is. Whole numbers above 2^53, of which the reader keeps the first digits alone, are found there, too.
"""

import io
import re
import struct
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from bulkport.imports.workbooks.odd_binary_cells import find_odd_xls_cells, find_odd_xlsb_cells
from bulkport.imports.workbooks.odd_ods_cells import OddCells, find_odd_ods_cells

_UNREADABLE: Final = (
    zipfile.BadZipFile, LookupError, ElementTree.ParseError, OSError, NotImplementedError, ValueError, struct.error,
)  # fmt: skip
_BLOCK: Final = 1 << 20
_MOST: Final = 200_000
_ID: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_ERROR: Final = re.compile(rb'<c\b[^>]*\bt="e"[^>]*>')
_TEXT: Final = re.compile(rb'\bt="(?:str|inlineStr)"')
"""Of a formula whose value is a text, which may be empty."""
_PREFIX: Final = re.compile(rb"<(\w+:)?worksheet[\s>]")
_NOT_COMPUTED: Final = re.compile(rb"(?:</f>|<f\b[^>]*/>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>")
_PLACE: Final = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_VALUE: Final = re.compile(rb"<v>([^<]*)</v>")
_NO_DAY: Final = re.compile(rb"<v>(?:-[0-9][^<]*|60(?:\.[^<]*)?)</v>")
"""Numbers that no day of a spreadsheet has: those before 1900, and 29 February 1900, which was none."""
_UNKNOWN_ERROR: Final = re.compile(
    rb'(<(?:\w+:)?c\b[^>]*\bt=)"e"((?:(?!</(?:\w+:)?c>)[^\0]){0,9000}?<(?:\w+:)?v>)'
    rb"(?!#(?:N/A|NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|DATA!)<)"
)
_LONG_NUMBER: Final = re.compile(rb"<v>(-?[0-9]{16,40})</v>")
_EXACT: Final = 2**53
"""Up to here every whole number has a floating-point number of its own."""
_FORMULA: Final = re.compile(rb"<f\b[^>]*>([^<]*)</f>")


def find_odd_cells(path: str, sheet: str) -> OddCells:
    """The cells of a sheet that show an error, or a formula without a value; none where the file has no such sheet."""
    try:
        if not zipfile.is_zipfile(path):
            return find_odd_xls_cells(Path(path).read_bytes(), sheet)
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "content.xml" in names:
                return find_odd_ods_cells(archive, sheet)
            if "xl/workbook.bin" in names:
                return find_odd_xlsb_cells(archive, sheet)
            return _find_odd_xlsx_cells(archive, sheet)
    except _UNREADABLE:
        return {}  # what the reader of workbooks makes of it counts


def find_numbers_of_no_day(path: str, sheet: str) -> OddCells:
    """Numbers of cells in an .xlsx that would be another day or time if they were read as one."""
    found: OddCells = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if (name := _part_of(archive, sheet)) is not None:
                for block in _blocks(archive, name):
                    for number in _NO_DAY.finditer(block):
                        start = block.rfind(b"<c ", 0, number.start())
                        _note(found, block[max(start, 0) : number.end()])
    except _UNREADABLE:
        return {}
    return found


def with_errors_as_texts(path: str) -> io.BytesIO:
    """An .xlsx in which errors that the reader of workbooks does not know, such as `#SPILL!`, are texts."""
    mended = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(mended, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                data = _UNKNOWN_ERROR.sub(rb'\1"str"\2', data)
            copy.writestr(name, data)
    mended.seek(0)
    return mended


def find_long_numbers(path: str, sheet: str) -> OddCells:
    """Whole numbers in an .xlsx that no floating-point number is, with all of their digits."""
    found: OddCells = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if (name := _part_of(archive, sheet)) is not None:
                for block in _blocks(archive, name):
                    for number in _LONG_NUMBER.finditer(block):
                        if abs(int(number[1])) > _EXACT:
                            start = block.rfind(b"<c ", 0, number.start())
                            _note(found, block[max(start, 0) : number.end()])
    except _UNREADABLE:
        return {}
    return found


def _find_odd_xlsx_cells(archive: zipfile.ZipFile, sheet: str) -> OddCells:
    found: OddCells = {}
    if (name := _part_of(archive, sheet)) is not None:
        for block in _blocks(archive, name):
            for cell in _odd(block):
                _note(found, cell)
    return found


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    names = set(archive.namelist())
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
        return None
    workbook = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 # in a process with limits
    relation = next((e.get(_ID) for e in workbook.iter() if e.tag.endswith("}sheet") and e.get("name") == sheet), None)
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    target = next((e.get("Target", "") for e in relations.iter() if e.get("Id") == relation), "")
    name = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return name if name in names else None


def _blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """The sheet in blocks of whole cells."""
    rest = b""
    with archive.open(name) as part:
        data = part.read(_BLOCK)
        found = _PREFIX.search(data)
        prefix = found[1] if found and found[1] else b""  # as in `<x:c>`, which some libraries write
        while data:
            block = rest + data
            data = part.read(_BLOCK)
            if prefix:
                block = block.replace(b"<" + prefix, b"<").replace(b"</" + prefix, b"</")
            end = block.rfind(b"<c ")
            yield block[: max(end, 0)]
            rest = block[max(end, 0) :]
    yield rest


def _odd(block: bytes) -> Iterator[bytes]:
    for found in _ERROR.finditer(block):
        end = block.find(b"</c>", found.start())
        yield block[found.start() : end if end > 0 else found.end()]
    for found in _NOT_COMPUTED.finditer(block):
        start = block.rfind(b"<c ", 0, found.start())
        if start >= 0:
            yield block[start : found.end()]


def _note(found: OddCells, cell: bytes) -> None:
    tag_end = cell.find(b">") + 1
    place = _PLACE.search(cell, 0, tag_end)
    if place is None or len(found) >= _MOST or _TEXT.search(cell, 0, tag_end):
        return
    column = 0
    for letter in place[1]:
        column = 26 * column + letter - 64
    value, formula = _VALUE.search(cell), _FORMULA.search(cell)
    text = value[1] if value and value[1] else b"=" + (formula[1] if formula else b"")
    found.setdefault(int(place[2]) - 1, {})[column - 1] = unescape(text.decode(errors="replace"))
