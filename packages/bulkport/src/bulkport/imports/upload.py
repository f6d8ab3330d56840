"""An upload as it comes in: the body's bytes turned into pieces of whole records."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection

from bulkport.errors import BadRequest, UploadTimedOut
from bulkport.identifiers import UserId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.formats import (
    BodyFormat,
    CsvSplitter,
    Handling,
    NdjsonSplitter,
    Piece,
    decompressor,
)
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.resource import Resource
from bulkport.limits import ImportLimits

OnAccept: TypeAlias = Callable[[AsyncConnection[Any], AcceptedImport], Awaitable[None]]

_NO_LABELS: Final = ImportLabels()
_AS_DETECTED: Final = ReadingOptions()


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
    file_name: str | None = None
    """What the client calls the file."""
    labels: ImportLabels = _NO_LABELS
    """The client's own words about the import."""
    on_accept: OnAccept | None = None
    """Called in the transaction that accepts the import, with its connection; what it raises rolls back."""


class BodyReader:
    """Reads a body: counts its bytes, undoes its compression, and gives up on a silent client.

    Raises
    ------
    UploadTimedOut
        If the client is silent for longer than the limit.
    TooLarge
        If the body, decompressed, is larger than `max_bytes` or expands beyond measure.
    CorruptCompression
        If the body cannot be decompressed.
    """

    def __init__(self, upload: Upload, limits: ImportLimits, max_bytes: int) -> None:
        self._body = aiter(upload.body)
        self._decompressor = decompressor(upload.content_encoding, limits, max_bytes=max_bytes)
        self._idle_seconds = limits.body_idle_seconds
        self.received = 0
        """Bytes received so far, before decompression."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._receive():
            for part in self._decompressor.feed(data):
                yield part
        self._decompressor.finish()

    async def _receive(self) -> bytes:
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    data = await anext(self._body, None)
            except TimeoutError:
                raise UploadTimedOut(
                    f"No data arrived for {self._idle_seconds:g} seconds; nothing was kept. Send the body again."
                ) from None
            if data is None:
                return b""
            if data:
                self.received += len(data)
                return data


async def read_whole(reader: BodyReader) -> bytes:
    """The whole body, for formats that are checked as a whole."""
    return b"".join([part async for part in reader])


class PieceReader:
    """The body of a stream as pieces of whole records."""

    def __init__(self, upload: Upload, reader: BodyReader, limits: ImportLimits) -> None:
        self._reader = reader
        self.splitter: NdjsonSplitter | CsvSplitter = (
            CsvSplitter(limits, upload.reading.delimiter) if upload.format is BodyFormat.CSV else NdjsonSplitter(limits)
        )

    async def __aiter__(self) -> AsyncIterator[Piece]:
        async for data in self._reader:
            for piece in self.splitter.feed(data):
                yield piece
        for piece in self.splitter.finish():
            yield piece


def no_records() -> BadRequest:
    """The error for a body without a single record."""
    return BadRequest("The body contains no records.")
