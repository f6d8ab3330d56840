"""Error cells are read as displayed in every kind of workbook, instead of silently becoming null."""

import base64
import gzip
import io
import struct
import zipfile
from pathlib import Path

import pytest
from files_read import read_file

from bulkport.imports.formats import BodyFormat
from bulkport.imports.workbooks.odd_cells import find_odd_cells

# As LibreOffice writes it: name, size; x, =1/0; x, =NA(); x, =1+1.
_XLS = base64.b64decode(
    "H4sIAAAAAAACA+1XXWxUVRCec+92924p3dtCFRZYVxQo7UIgJFqjuFsKCommBvAnpoks9RZWtt2mrUkxGhcRHwwkGh70gcSQ9MHExJ+Y6IMa2z"
    "ceNPrCg0aTwpMEH65GY0hsr9/MPbe9XbdJt0UStXMz55w752fmzJmZM+fbb5omL36UvEIVcD+ZNO3FKRqiKaAV/NhEhqZNe54XkL1l+FfBlK75"
    "DCM4vzogn3lMn2tc18vw34SDVMI3QmnaRwOoh+gk1QK3wWLC6y1kzvQCxy0Ulvkvnj/Hb47jJrDS/znWs//XA1cAG4ArgY3AhH8FUBOwGbgKuB"
    "rYIjZBdDtwDXAtMAlcB1yvead0zXgn2huBd2naJtSbl2POLYO4hVOM1tFnK7/iI5ezvwKL+DAyIXZxFdhDg2wbXflib/pWwR6RIa9YhnEY6W60"
    "FF0AtZE+EOrnUu4W6wPkKN2hLfopIyeyn5Nyo5SNxPM/lTnfC2UnpegHsfI3xAkUxVQX5alIBTqKOFjAiCRdYv96WUawd6hO6eFRS+lNRRpojH"
    "3sYWfAGcoXJ8V3xuh3Lx3y0/E003m60H9bGN2okU7/O/oYdFdNz+3+eLeSvnUeemYeets89Pjf6OcN+FWZPK7tsil1UzkqdXM5IvWqckzq1eU6"
    "74jY7xms9GLEt/VDZ+GaCt+EsoBEh88puk5Pc4B2DwqbqMuBmD04SNjDuItWuOxCX8IRLDqlEPCtcZVDmaPUL7Yf8i2Efgsh3foDUf9PmHbd7J"
    "UxkO93UA0XXnCw3qiH68KibMS/LnqtFuCsqlt0bfCd4scee07saYCQz0J49tYmEdjGctu61l+/ek8y+4zQy7OvENrEGqSMOoWeiUibzGiX8hUZ"
    "G9xJp4X2qpSbZ+b/lN0SarfOtN3s1lD7ImJIHFKRKNoAt4xa0xA9PXFkMhvUih5Hj0UvybZJvW4l9E4bSWtf37SWYet2xo8MKiE0VYVmVKGZFb"
    "QpuZ/9G5n0n8Kf0n9K+gzR7wbZAf/FJG/wRYxRSiEYUpSHG6Hha0WF/NcWGm5SZ72sbM5Z2ZShFETj0MqKzJ/pMR7q7vcP1LW09bFeEmS6O2Sp"
    "iNsq9LhrV0lbDKqXeTyH7e9Bo5k+iQbcHpADIgiSEMECBoBjMN1jVnghFaRK9UvNvRQyFbPez8Fsy/D92u96iHOeRwu9Q6XhUt9Iet9or1NM33"
    "fvtsP5o06x6Ii57yn09XUsjT8ZS5k/7ZHYdJV1afLMO7/e6D5uv/emRe1bPv6OD+ltnRsqrXa26/06T+zRCj2u88URnTOWdd54VnvAtSlic5M5"
    "pUFnYPDkaJF5pnT/jlkDChvTTLv82hfXkuUfVbh9s/cvnnf568sXtq+zz7+F/WduvL+Xb/EKWo/Oc4Nwaof2+IgOkgxp3d+h+3Oh3Jt11Tk4+I"
    "QzNFwoDczVEet31/ad9E/BzXz/yf4rfKDaHNbJeNxvPwnuQ3QCGRfLcaJm+ZuhLUPryavhXWXGAjvvAt9+ZLjdkOG5RfE3Q2+whczZADww42fd"
    "yAedRZ8fB+xa33936LeaZKV0iJ7H/vuRl/LZH4AV9MmZMGUE+WoJlPmhVfOvq0H/7AuXZvjvBYdekcERC6xNno5F7P9u4LvL73+BvwARSs2ZAB"
    "YAAA=="
)
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
_CELL_ROW, _NUMBER, _TEXT, _ERROR, _ERROR_FORMULA = 0, 5, 6, 3, 11


def _archive(**parts: str | bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def _ods() -> bytes:
    """One cell as LibreOffice writes errors, and one as Excel does; empty rows and columns stand before them."""
    text = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    error = (
        '<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value=""{}>'
        "<text:p>{}</text:p></table:table-cell>"
    )
    two = '<table:table-cell table:formula="of:=1+1" office:value-type="float" office:value="2"><text:p>2</text:p>'
    rows = [
        text.format("name") + text.format("size"),
        text.format("x") + error.format(' calcext:value-type="error"', "#DIV/0!"),
        text.format("x") + error.format("", "#N/A"),
        text.format("x") + two + "</table:table-cell>",
    ]
    before = '<table:table-cell table:number-columns-repeated="2"/>'
    body = "".join(f"<table:table-row>{before}{row}</table:table-row>" for row in rows)
    spaces = f'xmlns:office="{_OFFICE}:office:1.0" xmlns:table="{_OFFICE}:table:1.0" xmlns:text="{_OFFICE}:text:1.0"'
    calc = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    return _archive(
        **{
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{_OFFICE}:manifest:1.0"/>',
            "content.xml": f"<office:document-content {spaces} {calc}><office:body><office:spreadsheet>"
            '<table:table table:name="S"><table:table-row table:number-rows-repeated="3">'
            f"<table:table-cell/></table:table-row>{body}</table:table></office:spreadsheet></office:body>"
            "</office:document-content>",
        }
    )


def _record(kind: int, data: bytes = b"") -> bytes:
    first = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    return first + bytes([len(data)]) + data


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _xlsb(*cells: tuple[int, int, bytes], **parts: bytes) -> bytes:
    """An .xlsb with one cell a row below `size`: kind of its record, format, value."""
    odd = [(_ERROR_FORMULA, 0, b"\x07" + bytes(10)), (_ERROR, 0, b"\x2a"), (_NUMBER, 0, struct.pack("<d", 2.0))]
    rows = [(_TEXT, 0, _wide("size")), *(cells or odd)]
    sheet = _record(129) + _record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, 1)) + _record(145)
    for number, (kind, form, value) in enumerate(rows):
        sheet += _record(_CELL_ROW, struct.pack("<I", number) + bytes(13))
        sheet += _record(_TEXT, struct.pack("<II", 0, 0) + _wide("x" if number else "name"))
        sheet += _record(kind, struct.pack("<II", 1, form) + value)
    bundle = _record(156, struct.pack("<II", 0, 1) + _wide("rId1") + _wide("S"))
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    return _archive(
        **{
            "xl/workbook.bin": _record(131) + _record(143) + bundle + _record(144) + _record(132),
            "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="{relations}"><Relationship Id="rId1" Type='
            '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
            'Target="worksheets/sheet1.bin"/></Relationships>',
            "xl/worksheets/sheet1.bin": sheet + _record(146) + _record(130),
            **parts,
        }
    )


@pytest.mark.parametrize("file", [_ods(), _xlsb(), gzip.decompress(_XLS)], ids=["ods", "xlsb", "xls"])
def test_cells_with_errors_are_read_as_displayed(file: bytes) -> None:
    found = read_file(file, format_=BodyFormat.EXCEL)
    assert (found.named(), found.named("size")) == (["x"] * 3, ["#DIV/0!", "#N/A", "2"])


@pytest.mark.parametrize("file", [_ods(), _xlsb(), gzip.decompress(_XLS)], ids=["ods", "xlsb", "xls"])
def test_truncated_cell_data_is_no_error(tmp_path: Path, file: bytes) -> None:
    for size in range(0, len(file), max(1, len(file) // 40)):
        (tmp_path / "file").write_bytes(file[:size])
        find_odd_cells(str(tmp_path / "file"), "S")


def test_cells_of_binary_workbooks_are_read_by_type() -> None:
    texts = _record(159, struct.pack("<II", 1, 1)) + _record(19, b"\0" + _wide("Größe ☺")) + _record(160)
    formats = (
        _record(615, struct.pack("<I", 1)) + _record(44, struct.pack("<H", 164) + _wide("[h]:mm:ss")) + _record(616)
    )
    uses = b"".join(_record(47, struct.pack("<HH", 0, number) + bytes(12)) for number in (0, 14, 22, 164))
    styles = formats + _record(617, struct.pack("<I", 4)) + uses + _record(618)
    cells = {
        (7, 0, bytes(4)): "Größe ☺",  # a shared text
        (6, 0, _wide("007")): "007",
        (2, 0, struct.pack("<i", 12345 << 2 | 3)): "123.45",  # a whole number of hundredths
        (2, 0, struct.pack("<i", -5 << 2 | 2)): "-5",
        (5, 0, struct.pack("<d", 0.1)): "0.1",
        (4, 0, b"\1"): "true",
        (5, 1, struct.pack("<d", 45322.0)): "2024-01-31",
        (5, 2, struct.pack("<d", 45322.75)): "2024-01-31T18:00:00",
        (5, 3, struct.pack("<d", 1.25)): "30:00:00",
        (9, 0, struct.pack("<d", 3.5) + bytes(10)): "3.5",  # of a formula
        (8, 0, _wide("ab") + bytes(10)): "ab",
        (10, 0, b"\0" + bytes(10)): "false",
        (1, 0, b""): "",
    }
    parts = {"xl/sharedStrings.bin": texts, "xl/styles.bin": styles}
    assert read_file(_xlsb(*cells, **parts), format_=BodyFormat.EXCEL).named("size") == list(cells.values())
