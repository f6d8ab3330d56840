"""An error report in NDJSON that comes back: each of its lines wraps the record that was rejected."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from typing import Any, Final

import msgspec

from bulkport.fastapi.sent_file import SentFile
from bulkport.imports.formats import BodyFormat, decompressor
from bulkport.limits import ImportLimits

_WRAPPED: Final = b'{"row":'


class _ReportLine(msgspec.Struct, forbid_unknown_fields=True):
    row: int
    errors: list[dict[str, Any]]
    record: msgspec.Raw


_DECODER: Final = msgspec.json.Decoder(_ReportLine)


def unwrap_report(file: SentFile, limits: ImportLimits) -> SentFile:
    """The file with the records of its report in place of the lines that wrap them; every other file as it is."""
    if file.media_type.format is not BodyFormat.NDJSON:
        return file
    plain = _decompressed(file, limits)
    return replace(file, content=_records(plain, limits.max_record_bytes), content_encoding=None)


async def _decompressed(file: SentFile, limits: ImportLimits) -> AsyncIterator[bytes]:
    expand = decompressor(file.content_encoding, limits, max_bytes=limits.max_body_bytes)
    async for data in file.content:
        for part in expand.feed(data):
            yield part
    expand.finish()


async def _records(parts: AsyncIterable[bytes], longest: int) -> AsyncIterator[bytes]:
    rest = b""
    async for data in parts:
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield b"".join(_record(line) + b"\n" for line in lines)
        if len(rest) > longest:  # refused as a record that is too long
            yield rest
            rest = b""
    if rest:
        yield _record(rest)


def _record(line: bytes) -> bytes:
    if not line.startswith(_WRAPPED):
        return line
    try:
        record = bytes(_DECODER.decode(line).record)
        # What was no object is reported as its text.
        return record if not record.startswith(b'"') else _text(msgspec.json.decode(record, type=str))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return line


def _text(raw: str) -> bytes:
    return raw.replace("\r", " ").replace("\n", " ").encode("utf-8", "replace")
