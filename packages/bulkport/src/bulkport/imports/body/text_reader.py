"""Decodes a streamed body to UTF-8 text: detects its charset and normalises line ends and separators."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Final

from bulkport.imports.charsets import UTF_8
from bulkport.imports.formats import BodyFormat
from bulkport.imports.formats.line_ends import (
    CarriageReturns,
    DoubledReturns,
    ends_lines_with_cr,
    ends_lines_with_two_crs,
)
from bulkport.imports.formats.ndjson import sequence_lines
from bulkport.imports.formats.transcoding import (
    HEAD_BYTES,
    STEP_BYTES,
    BodyCharset,
    Transcoder,
    find_body_charset,
    is_utf8,
)
from bulkport.imports.options import ReadingOptions

_UNCHANGED: Final[Callable[[bytes], bytes]] = bytes


class TextReader:
    """Reads a body as UTF-8.

    Parameters
    ----------
    body:
        Its bytes, without a content encoding.
    options:
        What was said on how to read it.
    """

    def __init__(self, body: AsyncIterable[bytes], body_format: BodyFormat, options: ReadingOptions) -> None:
        self._body = body
        self._format = body_format
        self.options = options
        """Completed by detection once the first part has arrived."""
        self.warnings: list[str] = []
        """Warnings for the client."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = aiter(self._body)
        head = bytearray()
        is_whole = True
        async for data in body:
            head += data
            if len(head) >= HEAD_BYTES:
                is_whole = False
                break
        start = bytes(head)
        charset = await self._find_charset(start[:HEAD_BYTES], is_whole=is_whole and len(start) <= HEAD_BYTES)
        start = start[charset.bom_bytes :]
        self.options = self.options.detect(charset=charset.name)
        if charset.name == UTF_8:
            convert = self._line_ends(start)
            yield start if convert is None else convert(start)
            async for data in body:
                yield data if convert is None else convert(data)
            return
        transcoder = Transcoder(charset.name)
        text = transcoder.feed(start[:STEP_BYTES])
        convert = self._line_ends(text) or _UNCHANGED
        yield convert(text)
        start = start[STEP_BYTES:]
        while start:
            for position in range(0, len(start), STEP_BYTES):
                yield convert(transcoder.feed(start[position : position + STEP_BYTES]))
                await asyncio.sleep(0)
            start = await anext(body, b"")
        yield convert(transcoder.finish())

    async def _find_charset(self, head: bytes, *, is_whole: bool) -> BodyCharset:
        if self.options.charset is None and not is_utf8(head, is_whole=is_whole):
            # Guessing takes some milliseconds, which other requests need not wait for.
            found = await asyncio.to_thread(find_body_charset, head, None, is_whole=is_whole)
        else:
            found = find_body_charset(head, self.options.charset, is_whole=is_whole)
        if found.is_guessed:
            self.warnings.append(_guessed(head, found.name))
        elif self.options.charset not in (None, found.name) and not found.name.startswith(self.options.charset or ""):
            self.warnings.append(f"The body is {found.name} by its byte order mark, and was read so")
        return found

    def _line_ends(self, text: bytes) -> Callable[[bytes], bytes] | None:
        if self._format is BodyFormat.JSON_SEQ:
            return sequence_lines
        if self._format is BodyFormat.CSV:
            quote = ('"' if self.options.quote is None else self.options.quote).encode()
        else:
            quote = b""
        if self._format is not BodyFormat.JSON_ARRAY and ends_lines_with_cr(text, quote):
            return CarriageReturns(quote).feed
        if self._format is BodyFormat.CSV and ends_lines_with_two_crs(text, quote):
            return DoubledReturns(quote).feed
        return None


def _guessed(head: bytes, charset: str) -> str:
    said = f"was read as {charset}; save it as UTF-8, or send charset={charset}, to be sure of it"
    if charset.startswith(("utf-16", "utf-32")):
        return f"The body has no byte order mark and {said}"
    for line, text in enumerate(head.split(b"\n"), start=1):
        if not text.isascii():
            byte = next(byte for byte in text if byte > 0x7F)
            return f"The body is not valid UTF-8 (byte 0x{byte:02X} in line {line}) and {said}"
    return f"The body is not valid UTF-8 and {said}"
