"""Cells with errors in the binary workbooks of Excel: .xlsb ([MS-XLSB]) and .xls ([MS-XLS] in [MS-CFB])."""

import struct
import zipfile
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree

from bulkport.imports.workbooks.odd_ods_cells import OddCells

_ERRORS: Final = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
_UNKNOWN: Final = "#ERROR!"
_MOST: Final = 200_000

_ROW, _ERROR_CELL, _ERROR_FORMULA, _SHEET = 0, 3, 11, 156
_SIGNATURE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BOUND_SHEET, _BOOL_OR_ERROR, _FORMULA, _END = 0x85, 0x205, 0x06, 0x0A
_LAST_SECTOR: Final = 0xFFFFFFFA
_SHORT_STREAM: Final = 4096


def find_odd_xlsb_cells(archive: zipfile.ZipFile, sheet: str) -> OddCells:
    """The cells of a sheet of an .xlsb that have an error."""
    found: OddCells = {}
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.bin.rels"))  # noqa: S314 # in a process with limits
    targets = {e.get("Id"): e.get("Target", "") for e in relations.iter()}
    for kind, data in _xlsb_records(archive.read("xl/workbook.bin")):
        if kind != _SHEET:
            continue
        relation, rest = _wide_text(data[8:])
        if _wide_text(rest)[0] != sheet:
            continue
        target = targets.get(relation, "")
        row = 0
        for cell_kind, cell in _xlsb_records(archive.read(target.lstrip("/") if target[:1] == "/" else f"xl/{target}")):
            if cell_kind == _ROW:
                row = int.from_bytes(cell[:4], "little")
            elif cell_kind in (_ERROR_CELL, _ERROR_FORMULA) and len(found) < _MOST:
                found.setdefault(row, {})[int.from_bytes(cell[:4], "little")] = _ERRORS.get(cell[8], _UNKNOWN)
    return found


def find_odd_xls_cells(data: bytes, sheet: str) -> OddCells:
    """The cells of a sheet of an .xls that have an error."""
    found: OddCells = {}
    stream = _workbook_stream(data) if data.startswith(_SIGNATURE) else b""
    for kind, record in _xls_records(stream, 0):
        if kind != _BOUND_SHEET or _sheet_name(record) != sheet:
            continue
        for cell_kind, cell in _xls_records(stream, int.from_bytes(record[:4], "little")):
            code = None
            if cell_kind == _BOOL_OR_ERROR and cell[7]:
                code = cell[6]
            elif cell_kind == _FORMULA and cell[12:14] == b"\xff\xff" and cell[6] == 2:  # an error
                code = cell[8]
            if code is not None and len(found) < _MOST:
                row, column = struct.unpack_from("<HH", cell)
                found.setdefault(row, {})[column] = _ERRORS.get(code, _UNKNOWN)
    return found


def _xlsb_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, at = _seven_bits(data, at, most=2)
        size, at = _seven_bits(data, at, most=4)
        yield kind, data[at : at + size]
        at += size


def _seven_bits(data: bytes, at: int, *, most: int) -> tuple[int, int]:
    value = 0
    for place in range(most):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # the last byte
            break
    return value, at + place + 1


def _wide_text(data: bytes) -> tuple[str, bytes]:
    size = int.from_bytes(data[:4], "little")
    end = 4 if size == 0xFFFFFFFF else 4 + 2 * size  # null
    return data[4:end].decode("utf-16-le", "replace"), data[end:]


def _xls_records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The records of one substream."""
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        if kind == _END:
            return
        yield kind, stream[at + 4 : at + 4 + size]
        at += 4 + size


def _sheet_name(record: bytes) -> str:
    length, is_wide = record[6], record[7] & 1
    return record[8 : 8 + length * (1 + is_wide)].decode("utf-16-le" if is_wide else "latin-1", "replace")


def _workbook_stream(data: bytes) -> bytes:
    """The stream of the workbook inside its compound file; empty if there is none."""
    size = 1 << int.from_bytes(data[30:32], "little")
    short_size = 1 << int.from_bytes(data[32:34], "little")

    def sector(number: int) -> bytes:
        return data[(number + 1) * size : (number + 2) * size]

    def numbers(block: bytes) -> list[int]:
        return [value for (value,) in struct.iter_unpack("<I", block[: len(block) // 4 * 4])]

    listed = numbers(data[76:512])
    more = int.from_bytes(data[68:72], "little")
    while more < _LAST_SECTOR and len(listed) < len(data) // size + 1:
        *part, more = numbers(sector(more))
        listed += part
    table = [number for block in listed if block < _LAST_SECTOR for number in numbers(sector(block))]

    def chain(first: int, following: list[int]) -> Iterator[int]:
        for _ in range(len(following)):
            if first >= len(following):
                return
            yield first
            first = following[first]

    def read(first: int) -> bytes:
        return b"".join(map(sector, chain(first, table)))

    directory = read(int.from_bytes(data[48:52], "little"))
    entries = [directory[at : at + 128] for at in range(0, len(directory), 128)]
    for entry in entries:
        name = entry[: max(0, int.from_bytes(entry[64:66], "little") - 2)].decode("utf-16-le", "replace")
        if name not in ("Workbook", "Book"):
            continue
        first, length = struct.unpack_from("<II", entry, 116)
        if length >= _SHORT_STREAM:
            return read(first)[:length]
        short = read(int.from_bytes(entries[0][116:120], "little"))
        shorts = numbers(read(int.from_bytes(data[60:64], "little")))
        parts = (short[at * short_size : (at + 1) * short_size] for at in chain(first, shorts))
        return b"".join(parts)[:length]
    return b""
