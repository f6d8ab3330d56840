"""Recognises by its first bytes that a body is not UTF-8 text."""

import codecs
from typing import Final

from bulkport.errors import MalformedBody
from bulkport.imports.body_format import SPREADSHEET

WORKBOOK_SIGNATURES: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How workbooks begin: ZIP archives, and the older compound files."""
SNIFF_BYTES: Final = 4
"""Bytes that must be there before `text_start` can answer (all of them, if the body is shorter)."""

_SEND_UTF_8: Final = "send UTF-8, as JSON is (RFC 8259 §8.1), or name the charset in the Content-Type: charset=utf-16."
_SEND_WORKBOOK: Final = f"send a workbook with its own Content-Type, such as {SPREADSHEET}, and all else as text."
_UNPACK: Final = "unpack it, or send it compressed with gzip or zstd (Content-Encoding)."
_FOREIGN: Final = (
    (codecs.BOM_UTF32_LE, f"The body is UTF-32 text; {_SEND_UTF_8}"),
    (codecs.BOM_UTF32_BE, f"The body is UTF-32 text; {_SEND_UTF_8}"),
    (codecs.BOM_UTF16_LE, f"The body is UTF-16 text; {_SEND_UTF_8}"),
    (codecs.BOM_UTF16_BE, f"The body is UTF-16 text; {_SEND_UTF_8}"),
    (b"\x1f\x8b", "The body is gzip data; name it in Content-Encoding."),
    (b"\x28\xb5\x2f\xfd", "The body is zstd data; name it in Content-Encoding."),
    (b"PK\x03\x04", f"The body is a spreadsheet file or another ZIP archive; {_SEND_WORKBOOK}"),
    (b"\xd0\xcf\x11\xe0", f"The body is an old spreadsheet file (.xls); {_SEND_WORKBOOK}"),
    (b"BZh", f"The body is bzip2 data; {_UNPACK}"),
    (b"\xfd7zX", f"The body is xz data; {_UNPACK}"),
    (b"\x04\x22\x4d\x18", f"The body is LZ4 data; {_UNPACK}"),
    (b"7z\xbc\xaf", f"The body is a 7z archive; {_UNPACK}"),
    (b"Rar!", f"The body is a RAR archive; {_UNPACK}"),
    (b"%PDF", "The body is a PDF; save the table as .xlsx or CSV."),
    (b"\x89PNG", "The body is a picture; send text or a workbook."),
    (b"\xff\xd8\xff", "The body is a picture; send text or a workbook."),
    (b"Obj\x01", "The body is an Avro file; send Parquet, NDJSON or CSV."),
)
BINARY_SIGNATURES: Final = (*(signature for signature, _ in _FOREIGN[4:]), b"PAR1")
"""How files begin that are not text of any charset."""


def text_start(start: bytes) -> int:
    """Offset of the text in a body that begins with `start`: 3 after a UTF-8 byte order mark, else 0.

    Raises
    ------
    MalformedBody
        If the body is UTF-16 or UTF-32 (with or without a byte order mark), or a compressed file.
    """
    if start.startswith(codecs.BOM_UTF8):
        return len(codecs.BOM_UTF8)
    for signature, detail in _FOREIGN:
        if start.startswith(signature):
            raise MalformedBody(detail)
    # JSON and CSV begin with ASCII characters, which have NUL bytes beside them in UTF-16 and UTF-32 only.
    if b"\0" in start[:SNIFF_BYTES]:
        raise MalformedBody(f"The body has NUL bytes at its start, as UTF-16 text has; {_SEND_UTF_8}")
    return 0
