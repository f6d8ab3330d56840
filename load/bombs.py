"""Bodies that are small on the wire and expand enormously."""

import io
import json
import sys
import zipfile
from functools import cache
from typing import Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NDJSON: Final = {"content-type": "application/x-ndjson"}
CSV: Final = {"content-type": "text/csv"}
ZSTD: Final = {"content-encoding": "zstd"}
WORKBOOK: Final = {"content-type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
PARQUET: Final = {"content-type": "application/vnd.apache.parquet"}


@cache
def blank_lines() -> bytes:
    """Fifteen MiB of newlines in some hundred bytes."""
    return zstd.compress(b"\n" * 15 * 2**20)


@cache
def bad_rows(rows: int) -> bytes:
    """Rows of which none is good."""
    return zstd.compress(b'{"platformName":7}\n' * rows)


@cache
def good_rows(rows: int) -> bytes:
    """Rows that are stored."""
    return zstd.compress(b"".join(b'{"platformName":"attack %d"}\n' % row for row in range(rows)))


@cache
def long_envelope() -> bytes:
    """A thousand records with 45 unknown values each."""
    other = {f"member {place}": [place] * 20 for place in range(40)}
    return json.dumps({"platforms": [{"platformName": "attack", **other}] * 1000}).encode()


@cache
def workbook() -> bytes:
    """A compressed sheet of a million rows that all have the same text."""
    row = '<row><c t="inlineStr"><is><t>attack</t></is></c></row>'
    sheet = (
        '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row><c t="inlineStr"><is><t>platformName</t></is></c></row>' + row * 1_000_000 + "</sheetData></worksheet>"
    )
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    files = {
        "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
        '+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override '
        'PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        f'relationships"><Relationship Id="rId1" Type="{kind}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/_rels/workbook.xml.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/'
        f'package/2006/relationships"><Relationship Id="rId1" Type="{kind}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/workbook.xml": '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
        f'main" xmlns:r="{kind}"><sheets><sheet name="s" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": sheet,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


@cache
def parquet() -> bytes:
    """Four million rows of one text, which a dictionary makes a few kilobytes."""
    import pyarrow as pa  # noqa: PLC0415  # an extra
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows = 4_000_000
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), pa.array(["attack"]))
    packed = io.BytesIO()
    pq.write_table(pa.table({"platformName": column}), packed, compression="zstd")
    return packed.getvalue()
