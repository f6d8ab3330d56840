"""Find by its first bytes that a body is not the UTF-8 text it should be."""

import codecs
from typing import Final

from bulkport.errors import MalformedBody

WORKBOOK_SIGNATURES: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How workbooks begin: ZIP archives, and the older compound files."""
SNIFF_BYTES: Final = 4
"""Bytes that must be there before `text_start` can answer (all of them, if the body is shorter)."""

_SEND_UTF_8: Final = "send UTF-8, as JSON is (RFC 8259 §8.1), or name the charset in the Content-Type: charset=utf-16."
_FOREIGN: Final = (
    (codecs.BOM_UTF32_LE, f"The body is UTF-32 text; {_SEND_UTF_8}"),
    (codecs.BOM_UTF32_BE, f"The body is UTF-32 text; {_SEND_UTF_8}"),
    (codecs.BOM_UTF16_LE, f"The body is UTF-16 text; {_SEND_UTF_8}"),
    (codecs.BOM_UTF16_BE, f"The body is UTF-16 text; {_SEND_UTF_8}"),
    (b"\x1f\x8b", "The body is gzip data; name it in Content-Encoding."),
    (b"\x28\xb5\x2f\xfd", "The body is zstd data; name it in Content-Encoding."),
    (b"PK\x03\x04", "The body is a ZIP archive or a spreadsheet file; send text."),
    (b"\xd0\xcf\x11\xe0", "The body is an old spreadsheet file (.xls); send text."),
)


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
