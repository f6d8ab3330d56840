"""Transcodes a body of any charset to UTF-8 incrementally.

A byte order mark is believed first, then what the request says, then the bytes themselves: what is valid UTF-8 is
UTF-8. Bytes that the charset does not have go through as they are, so that their row alone is rejected for them.
"""

import codecs
import unicodedata
from dataclasses import dataclass
from typing import Final

from bulkport.imports.charsets import UTF_8
from bulkport.imports.formats.charset_detection import detect_charset
from bulkport.imports.formats.sniffing import BINARY_SIGNATURES

HEAD_BYTES: Final = 64 * 1024
"""Bytes of a body that are looked at before it is read."""
STEP_BYTES: Final = 64 * 1024
"""Bytes that are brought to UTF-8 at a time, which takes a millisecond or two."""

_BOMS: Final = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE: Final = {"utf-16", "utf-32"}
_SAMPLE_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class BodyCharset:
    """The charset of a body."""

    name: str
    bom_bytes: int = 0
    """Bytes of the byte order mark at the beginning."""
    is_guessed: bool = False
    """Whether the bytes alone say so, without a mark."""


def is_utf8(head: bytes, *, is_whole: bool) -> bool:
    """Whether the beginning of a body is UTF-8; a character may be cut at its end unless it is the whole body."""
    if head.isascii():
        return True
    try:
        codecs.getincrementaldecoder(UTF_8)().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return False
    return True


def find_body_charset(head: bytes, said: str | None, *, is_whole: bool) -> BodyCharset:
    """The charset of a body.

    Parameters
    ----------
    head:
        Its first `HEAD_BYTES`, or all of it.
    said:
        What the request says, as `charsets.find_charset` names it.
    is_whole:
        Whether there is no more.
    """
    if (known := known_charset(head, said)) is not None:
        return known
    if is_utf8(head, is_whole=is_whole):
        return BodyCharset(UTF_8)
    guessed = detect_charset(head)
    return BodyCharset(UTF_8) if guessed is None else BodyCharset(guessed, is_guessed=True)


def known_charset(head: bytes, said: str | None) -> BodyCharset | None:
    """The charset by a byte order mark, by what is said, or by NUL bytes; None where these leave it open.

    Parameters
    ----------
    head:
        Its first bytes, at least four if it has as many.
    """
    for mark, charset in _BOMS:
        if head.startswith(mark):
            return BodyCharset(charset, len(mark))
    if said in _WIDE:
        return BodyCharset(_wide_charset(head) or f"{said}-le")
    if said is not None:
        return BodyCharset(said)
    if head.startswith(BINARY_SIGNATURES):
        return BodyCharset(UTF_8)
    if (wide := _wide_charset(head)) is not None:
        return BodyCharset(wide, is_guessed=True)
    return None


def utf8_of(body: bytes | bytearray, charset: BodyCharset) -> bytes:
    """A whole body as UTF-8; undecodable bytes stay unchanged."""
    transcoder = Transcoder(charset.name)
    return transcoder.feed(bytes(memoryview(body)[charset.bom_bytes :])) + transcoder.finish()


def _wide_charset(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: ASCII characters have NUL bytes beside them there."""
    start = head[:4]
    if len(start) < 2 or b"\0" not in start:
        return _wide_lines(head[:_SAMPLE_BYTES])
    if len(start) == 4 and start[:3] == b"\0\0\0":
        return "utf-32-be"
    if len(start) == 4 and start[1:] == b"\0\0\0":
        return "utf-32-le"
    sample = head[: len(head) // 2 * 2][:_SAMPLE_BYTES]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if start[0] and not start[1] and odd > len(sample) // 4 and not even:
        return "utf-16-le"
    if start[1] and not start[0] and even > len(sample) // 4 and not odd:
        return "utf-16-be"
    return None


def _wide_lines(sample: bytes) -> str | None:
    """UTF-16 that begins with letters of another script: its line ends and delimiters have NUL bytes beside them."""
    if b"\0" not in sample.rstrip(b"\0"):  # what fills up a last block says nothing
        return None
    for charset in ("utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(charset)().decode(sample)
        except UnicodeDecodeError:
            continue
        # In text of one byte a character nearly no newline would come out as one.
        if 2 * text.count("\n") > sample.count(b"\n") and not any(
            unicodedata.category(character) in {"Cc", "Cn", "Co"} for character in text if character not in "\t\r\n"
        ):
            return charset
    return None


class Transcoder:
    """Brings bytes of a charset to UTF-8."""

    def __init__(self, charset: str) -> None:
        self._decoder = codecs.getincrementaldecoder(charset)(errors=_KEEP_BYTES)
        # The line end of EBCDIC is NEL.
        self._ends_lines_with_nel = b"\x15".decode(charset, "replace") == "\x85"

    def feed(self, data: bytes) -> bytes:
        """The UTF-8 of the characters that are complete. Bytes that are none go through as they are."""
        text = self._decoder.decode(data)
        if self._ends_lines_with_nel:
            text = text.replace("\x85", "\n")
        return text.encode(errors="surrogateescape")

    def finish(self) -> bytes:
        """The rest at the end as UTF-8."""
        return self._decoder.decode(b"", final=True).encode(errors="surrogateescape")


def _keep_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    # ASCII bytes of half a character are written out; at least one byte stays that is not UTF-8, and spoils its row.
    escaped = "".join(chr(0xDC00 + byte) if byte >= 0x80 else f"\\x{byte:02X}" for byte in bad)
    return (escaped if any(byte >= 0x80 for byte in bad) else f"{escaped}\udcff"), error.end


_KEEP_BYTES: Final = "bulkport.keep_bytes"
codecs.register_error(_KEEP_BYTES, _keep_bytes)
