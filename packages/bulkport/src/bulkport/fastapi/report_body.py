"""An error report sent back with corrected rows, in any JSON format.

Its entries wrap the records that were rejected. A report that was read as CSV and is sent as JSON has records with the
report's own members beside those of the record: `row`, `error` and perhaps `neutralized`.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import msgspec

from bulkport.fastapi.sent_file import SentFile
from bulkport.imports.formats import BodyFormat, ColumnNames, JsonArraySplitter, decompressor, is_array_of_objects
from bulkport.imports.formats.csv.resent_report import without_neutralizing
from bulkport.imports.formats.ndjson import sequence_lines
from bulkport.imports.resource import Resource
from bulkport.limits import ImportLimits

_PEEKED_BYTES: Final = 64 * 1024
_INLINE_BYTES: Final = 64 * 1024
"""Bodies up to this size are read on the event loop, in less than a millisecond."""
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ANY: Final = msgspec.json.Decoder()
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    row: int
    record: msgspec.Raw
    errors: list[dict[str, Any]] | None = None


_ENTRY: Final = msgspec.json.Decoder(_Entry)


class _Records:
    """Restores the records of a report; other records stay as they are.

    A member is the resource's own if it has a field of that name.
    """

    def __init__(self, resource: Resource) -> None:
        names = ColumnNames(resource)
        self._wraps = names.field_of("record") is None
        self._adds = not any(names.fields_of(["row", "error"]))

    def __call__(self, text: bytes) -> bytes:
        if b'"row"' not in text:
            return text
        if self._wraps and (record := self.unwrapped(text)) is not None:
            return record
        return self._stripped(text) if self._adds else text

    def unwrapped(self, text: bytes) -> bytes | None:
        """The record of an entry; None: it is none."""
        try:
            record = bytes(_ENTRY.decode(text).record)
            # What was not an object is reported as its text.
            return record if not record.startswith(b'"') else _line(msgspec.json.decode(record, type=str))
        except _UNREADABLE:
            return None

    def _stripped(self, text: bytes) -> bytes:
        try:
            members = _OBJECT.decode(text)
            row, error = _value(members, "row"), _value(members, "error")
            is_numbered = isinstance(row, int) or (isinstance(row, str) and row.isdecimal())
            if not is_numbered or isinstance(row, bool) or not isinstance(error, str):
                return text
            del members["row"], members["error"]
            if str(_value(members, "neutralized")).lower() != "true":
                return msgspec.json.encode(members)
            del members["neutralized"]
            return msgspec.json.encode({name: _with_its_signs(value) for name, value in members.items()})
        except _UNREADABLE:
            return text


async def unwrap_report(file: SentFile, resource: Resource, limits: ImportLimits) -> SentFile:
    """The file with the original records of a report; other files unchanged."""
    found, records = file.media_type.format, _Records(resource)
    if found not in {BodyFormat.JSON, BodyFormat.NDJSON, BodyFormat.JSON_SEQ}:
        return file
    parts = _decompressed(file, limits)
    if found is BodyFormat.JSON_SEQ:
        parts = _sequence(parts)
    if found is not BodyFormat.JSON:
        return _as(file, _mended(_lines(parts, limits.max_record_bytes), records))
    start = b""
    while (is_array := is_array_of_objects(start)) is None and len(start) < _PEEKED_BYTES:
        part = await anext(parts, None)
        if part is None:
            break
        start += part
    if is_array:
        return _as(file, _mended(_elements(start, parts, limits), records))
    whole = bytearray(start)
    async for part in parts:
        whole += part
        if len(whole) > limits.max_envelope_bytes:  # refused as too large
            break
    if len(whole) <= _INLINE_BYTES:
        entries, body = _object(whole, records, resource.name)
    else:
        entries, body = await asyncio.to_thread(_object, whole, records, resource.name)
    content = _parts(body)
    return _as(file, content) if entries else replace(file, content=content, content_encoding=None)


def _object(whole: bytearray, records: _Records, name: str) -> tuple[bool, bytes | bytearray]:
    """Whether a JSON object is a page of the report, and its records: as lines then, else in their envelope."""
    if b'"row"' not in whole:
        return False, whole
    try:
        members = _OBJECT.decode(whole)
        if name in members:
            envelope = {**members, name: [msgspec.Raw(records(bytes(one))) for one in _LIST.decode(members[name])]}
            return False, msgspec.json.encode(envelope)
        if "items" in members:
            items = [records.unwrapped(bytes(one)) for one in _LIST.decode(members["items"])]
            if items and None not in items:
                return True, b"".join(_on_one_line(item) + b"\n" for item in items if item is not None)
    except _UNREADABLE:
        pass
    return False, whole


def _as(file: SentFile, lines: AsyncIterable[bytes]) -> SentFile:
    media_type = replace(file.media_type, format=BodyFormat.NDJSON)
    return replace(file, content=lines, media_type=media_type, content_encoding=None)


async def _decompressed(file: SentFile, limits: ImportLimits) -> AsyncIterator[bytes]:
    expand = decompressor(file.content_encoding, limits, max_bytes=limits.max_body_bytes)
    async for data in file.content:
        for part in expand.feed(data):
            yield part
    expand.finish()


async def _sequence(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for part in parts:
        yield sequence_lines(part)


async def _lines(parts: AsyncIterable[bytes], longest: int) -> AsyncIterator[list[bytes]]:
    rest = b""
    async for data in parts:
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield [line + b"\n" for line in lines]
        if len(rest) > longest:  # refused as a record that is too long
            yield [rest]
            rest = b""
    if rest:
        yield [rest]


async def _elements(start: bytes, parts: AsyncIterator[bytes], limits: ImportLimits) -> AsyncIterator[list[bytes]]:
    """The elements of an array, one per line."""
    splitter = JsonArraySplitter(limits)
    chunks = splitter.feed(start)
    async for part in parts:
        for chunk in chunks:
            yield chunk.payload.splitlines(keepends=True)
        chunks = splitter.feed(part)
    for chunk in chain(chunks, splitter.finish()):
        yield chunk.payload.splitlines(keepends=True)


async def _mended(batches: AsyncIterable[list[bytes]], records: _Records) -> AsyncIterator[bytes]:
    async for lines in batches:
        yield b"".join(_mended_line(line, records) for line in lines)


def _mended_line(line: bytes, records: _Records) -> bytes:
    text = line.removesuffix(b"\n")
    return records(text) + line[len(text) :]


async def _parts(body: bytes | bytearray) -> AsyncIterator[bytes]:
    yield bytes(body)


def _with_its_signs(value: msgspec.Raw) -> msgspec.Raw | str:
    return without_neutralizing(_ANY.decode(value)) if bytes(value).startswith(b'"') else value


def _value(members: dict[str, msgspec.Raw], name: str) -> Any:
    return _ANY.decode(members[name]) if name in members else None


def _line(raw: str) -> bytes:
    return _on_one_line(raw.encode("utf-8", "replace"))


def _on_one_line(text: bytes) -> bytes:
    return text.replace(b"\r", b" ").replace(b"\n", b" ")
