"""Turns the bytes of an arriving body into chunks of whole records."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection

from bulkport.errors import BadRequest, CsvHeaderError, UploadTimedOut
from bulkport.identifiers import ImportId, UserId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.body.body_work import INLINE_BYTES, BodyWork
from bulkport.imports.body.text_reader import TextReader
from bulkport.imports.charsets import UTF_8
from bulkport.imports.formats import (
    BodyChunk,
    BodyFormat,
    ColumnNames,
    CsvColumns,
    CsvDialect,
    CsvSplitter,
    Handling,
    JsonArraySplitter,
    NdjsonSplitter,
    decompressor,
    is_array_of_objects,
    match_header,
)
from bulkport.imports.formats.sniffing import SNIFF_BYTES
from bulkport.imports.formats.transcoding import BodyCharset, known_charset, utf8_of
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.resource import Resource
from bulkport.imports.workbooks.body import ConvertedBody
from bulkport.imports.write_options import WriteOptions
from bulkport.limits import ImportLimits

OnAccept: TypeAlias = Callable[[AsyncConnection[Any], AcceptedImport], Awaitable[None]]

_NO_LABELS: Final = ImportLabels()
_AS_DETECTED: Final = ReadingOptions()
_PEEKED_BYTES: Final = 64 * 1024
_FEW_COLUMNS: Final = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """A request to import a body."""

    resource: Resource
    user_id: UserId
    format: BodyFormat
    content_encoding: str | None
    handling: Handling | None
    """What the client prefers; None: the format's default."""
    body: AsyncIterable[bytes]
    reading: ReadingOptions = _AS_DETECTED
    """How the body is to be read, as the request and the resource say."""
    writing: WriteOptions | None = None
    """The request's write options; None for the resource's defaults."""
    file_name: str | None = None
    """What the client calls the file."""
    labels: ImportLabels = _NO_LABELS
    """The client's own words about the import."""
    start_at: datetime | None = None
    """Aware time before which no row is written; None: at once."""
    on_accept: OnAccept | None = None
    """Called in the transaction that accepts the import, with its connection; an exception rolls it back."""
    import_id: ImportId | None = None
    """The import that was accepted before its body, and has waited for it; None: a new one."""


class BodyReader:
    """Reads a body: counts its bytes, undoes its compression, and gives up on a silent or a very slow client.

    Raises
    ------
    UploadTimedOut
        If the client is silent for longer than the limit, or slower.
    TooLarge
        If the body, decompressed, is larger than `max_bytes` or expands beyond measure.
    CorruptCompression
        If the body cannot be decompressed.
    BodyTooCostly
        If the body takes too much of a processor.
    """

    def __init__(self, upload: Upload, limits: ImportLimits, max_bytes: int) -> None:
        self._body = aiter(upload.body)
        self._decompressor = decompressor(upload.content_encoding, limits, max_bytes=max_bytes)
        self._limits = limits
        self._waited = 0.0
        self.work = BodyWork(limits.body_cpu_seconds)
        """Runs the processor work of the body."""
        self._is_compressed = (upload.content_encoding or "").strip().lower() not in {"", "identity"}
        self.received = 0
        """Bytes received so far, before decompression."""

    def raise_limit(self, max_bytes: int) -> None:
        """Take `max_bytes` of a body that turns out to be of a kind that may be larger."""
        self._decompressor.max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._receive():
            if not self._is_compressed:
                for part in self._decompressor.feed(data):
                    self.work.allow(len(part))
                    yield part
                continue
            parts, has_more = self._decompressor.feed(data), True
            while has_more:
                plain, has_more = await self.work.advance(parts)
                if plain is not None:
                    self.work.allow(len(plain))
                    yield plain
        self._decompressor.finish()

    async def _receive(self) -> bytes:
        limits = self._limits
        while True:
            started = time.monotonic()
            try:
                async with asyncio.timeout(limits.body_idle_seconds):
                    data = await anext(self._body, None)
            except TimeoutError:
                raise UploadTimedOut(
                    f"No data arrived for {limits.body_idle_seconds:g} seconds; nothing was stored. "
                    "Send the body again."
                ) from None
            if data is None:
                return b""
            self._waited += time.monotonic() - started
            self.received += len(data)
            # By the time that was spent on waiting for the client alone.
            if self._waited > limits.body_grace_seconds and self.received < limits.body_min_rate * self._waited:
                raise UploadTimedOut(
                    f"The body arrives at less than {limits.body_min_rate:,} bytes per second; nothing was stored."
                )
            if data:
                return data


class PeekedBody:
    """A body whose beginning has been peeked at, readable from the start."""

    def __init__(self, body: AsyncIterable[bytes]) -> None:
        self._rest = aiter(body)
        self._start = b""

    async def begins_with(self, *signatures: bytes) -> bool:
        """Whether the body begins with one of these."""
        while len(self._start) < max(map(len, signatures)):
            data = await anext(self._rest, None)
            if data is None:
                break
            self._start += data
        return self._start.startswith(signatures)

    async def charset(self, said: str | None) -> BodyCharset | None:
        """The charset of a body of JSON; None for UTF-8, which JSON has unless another one is said (RFC 8259 §8.1)."""
        if said in (None, UTF_8):
            return None
        await self.begins_with(b"\0" * SNIFF_BYTES)
        known = known_charset(self._start, said)
        return None if known is None or known.name == UTF_8 else known

    async def is_array_of_objects(self, charset: BodyCharset | None = None) -> bool:
        """Whether the body is a JSON array whose first element is an object."""
        while (found := is_array_of_objects(self._text_start(charset))) is None and len(self._start) < _PEEKED_BYTES:
            data = await anext(self._rest, None)
            if data is None:
                break
            self._start += data
        return bool(found)

    def _text_start(self, charset: BodyCharset | None) -> bytes:
        return self._start if charset is None else utf8_of(self._start, charset)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._start:
            yield self._start
        async for data in self._rest:
            yield data


class ChunkReader:
    """The body of a stream as chunks of whole records.

    Raises
    ------
    ValidationFailed
        The options name fields that the resource does not have.
    """

    def __init__(
        self,
        upload: Upload,
        body: AsyncIterable[bytes],
        body_format: BodyFormat,
        limits: ImportLimits,
        *,
        work: BodyWork | None = None,
        converting: asyncio.Semaphore | None = None,
    ) -> None:
        self._limits = limits
        self._work = work or BodyWork(limits.body_cpu_seconds)
        self._said = upload.reading
        self._names = ColumnNames(upload.resource, upload.reading)
        self._converted: ConvertedBody | None = None
        self._format = body_format
        options = upload.reading
        if body_format in (BodyFormat.EXCEL, BodyFormat.PARQUET):
            slots = converting or asyncio.Semaphore(1)
            body = self._converted = ConvertedBody(body, body_format, options, self._names, limits=limits, slots=slots)
            self._format = BodyFormat.CSV if body_format is BodyFormat.EXCEL else BodyFormat.NDJSON
            options = replace(options, charset=UTF_8, delimiter=",", quote='"', escape=None)
        self._text = TextReader(body, self._format, options)
        self._splitter: NdjsonSplitter | CsvSplitter | JsonArraySplitter | None = None
        self.columns: CsvColumns | None = None
        """What the columns of a CSV body are; known with its first chunk."""

    @property
    def dialect(self) -> CsvDialect | None:
        """How a CSV body is written; known with its first chunk."""
        return self._splitter.dialect if isinstance(self._splitter, CsvSplitter) else None

    @property
    def reading(self) -> ReadingOptions:
        """The reading options, completed by detection."""
        found = self._splitter.found if isinstance(self._splitter, CsvSplitter) else {}
        if self._converted is None:
            return self._text.options.detect(**found)
        rows = {name: found[name] for name in ("header_row", "data_row") if name in found}
        return self._said.detect(**rows, **self._converted.found)

    @property
    def warnings(self) -> list[str]:
        """What the client ought to know of the body; complete when it has ended."""
        of_records = [] if self._splitter is None else self._splitter.warnings()
        of_file = [] if self._converted is None else self._converted.warnings
        return [*of_file, *self._text.warnings, *of_records]

    async def __aiter__(self) -> AsyncIterator[BodyChunk]:
        try:
            async for chunk in self._chunks():
                yield chunk
        except CsvHeaderError as error:
            if self._converted is None or not self._converted.others:
                raise
            others = ", ".join(map(repr, self._converted.others))
            sheet = self._converted.found["sheet"]
            raise CsvHeaderError(
                f"{error.detail} The sheet {sheet!r} was read; sheet= names another one: {others}."
            ) from error

    async def _chunks(self) -> AsyncIterator[BodyChunk]:
        async for data in self._text:
            splitter = self._splitter = self._splitter or self._new_splitter()
            size = splitter.buffered + len(data)
            is_small = size <= INLINE_BYTES or not splitter.may_cut(data)
            async for chunk in self._cut(splitter.feed(data), is_small=is_small):
                await self._match_header()
                yield chunk
        splitter = self._splitter = self._splitter or self._new_splitter()
        async for chunk in self._cut(splitter.finish(), is_small=splitter.buffered <= INLINE_BYTES):
            await self._match_header()
            yield chunk
        await self._match_header()

    async def _cut(self, chunks: Iterator[BodyChunk], *, is_small: bool) -> AsyncIterator[BodyChunk]:
        if is_small:
            for chunk in chunks:
                yield chunk
            return
        has_more = True
        while has_more:
            found, has_more = await self._work.advance(chunks)
            if found is not None:
                yield found

    def _new_splitter(self) -> NdjsonSplitter | CsvSplitter | JsonArraySplitter:
        if self._format is BodyFormat.CSV:
            return CsvSplitter(self._limits, options=self._text.options, names=self._names)
        if self._format is BodyFormat.JSON_ARRAY:
            return JsonArraySplitter(self._limits)
        return NdjsonSplitter(self._limits)

    async def _match_header(self) -> None:
        """Refuse a CSV body as soon as its header is known to be unusable."""
        if self.columns is not None or (dialect := self.dialect) is None:
            return
        if len(dialect.header) <= _FEW_COLUMNS:
            self.columns = match_header(
                dialect.header, self._names.resource, self._names, report_columns=dialect.report_columns
            )
            if absent := self._names.mapped_but_absent(dialect.header):
                self._text.warnings.append(f"map names columns that the file does not have: {', '.join(absent)[:200]}")
        else:
            self.columns = await self._work.run(
                match_header,
                dialect.header,
                self._names.resource,
                self._names,
                report_columns=dialect.report_columns,
            )


def no_records() -> BadRequest:
    """The error for a body without a single record."""
    return BadRequest("The body contains no records.")


async def nothing() -> AsyncIterator[bytes]:
    """The body of an import that is fetched later."""
    no_parts: tuple[bytes, ...] = ()
    for part in no_parts:
        yield part
