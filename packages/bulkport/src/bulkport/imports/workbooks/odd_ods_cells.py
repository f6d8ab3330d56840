"""Cells of an .ods sheet that show an error.

LibreOffice marks them (`calcext:value-type="error"`); other programs leave the value of the formula empty and show the
error as the cell's text (OpenDocument 1.3, part 3, 9.1.4).
"""

import zipfile
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree

OddCells = dict[int, dict[int, str]]
"""Texts by row and column, both counted from 0."""

_PART: Final = "content.xml"
_BLOCK: Final = 1 << 20
_FORMULA: Final = b"table:formula="
_TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE: Final = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_CALC: Final = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_MOST: Final = 200_000
_MOST_REPEATED: Final = 1_000


def find_odd_ods_cells(archive: zipfile.ZipFile, sheet: str) -> OddCells:
    """The cells of a sheet that show an error."""
    if not any(_FORMULA in block for block in _blocks(archive)):
        return {}
    found: OddCells = {}
    with archive.open(_PART) as part:
        is_in_sheet, row, cells = False, 0, list[tuple[str, int]]()
        for event, element in ElementTree.iterparse(part, events=("start", "end")):  # noqa: S314 # in a process with limits
            if event == "start":
                if element.tag == f"{_TABLE}table":
                    is_in_sheet, row = element.get(f"{_TABLE}name") == sheet, 0
                continue
            if not is_in_sheet:
                continue
            if element.tag in {f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"}:
                cells.append((_error(element), _count(element, "columns")))
            elif element.tag == f"{_TABLE}table-row":
                odd = dict(_placed(cells))
                for offset in range(min(_count(element, "rows"), _MOST_REPEATED) if odd else 0):
                    found[row + offset] = odd
                row, cells = row + _count(element, "rows"), []
                element.clear()
            if len(found) >= _MOST:
                break
    return found


def _blocks(archive: zipfile.ZipFile) -> Iterator[bytes]:
    with archive.open(_PART) as part:
        rest = b""
        while data := part.read(_BLOCK):
            yield rest + data
            rest = data[-len(_FORMULA) :]


def _placed(cells: list[tuple[str, int]]) -> Iterator[tuple[int, str]]:
    column = 0
    for text, count in cells:
        if text:
            yield from ((column + offset, text) for offset in range(min(count, _MOST_REPEATED)))
        column += count


def _error(cell: ElementTree.Element) -> str:
    """What an error shows; empty if the cell has none."""
    is_marked = cell.get(f"{_CALC}value-type") == "error"
    if not is_marked and (cell.get(f"{_TABLE}formula") is None or cell.get(f"{_OFFICE}string-value") != ""):
        return ""
    return "".join(cell.itertext()).strip()


def _count(element: ElementTree.Element, what: str) -> int:
    return max(1, int(element.get(f"{_TABLE}number-{what}-repeated", "1")))
