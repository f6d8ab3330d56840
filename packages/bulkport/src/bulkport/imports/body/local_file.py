"""A file that the application itself imports, given as bytes or a path."""

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from bulkport.imports.formats import BodyFormat, MediaType, parse_media_type
from bulkport.imports.formats.file_names import media_type_of_name
from bulkport.imports.formats.media_type import media_type_of_part
from bulkport.imports.formats.sniffing import WORKBOOK_SIGNATURES

FileContent: TypeAlias = "bytes | str | os.PathLike[str] | AsyncIterable[bytes]"
"""The bytes of a file, its path, or a stream of its bytes."""

_READ_BYTES: Final = 256 * 1024
_PARQUET: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file and what is known about it."""

    content: AsyncIterable[bytes]
    media_type: MediaType
    content_encoding: str | None
    name: str | None


def local_file(
    content: FileContent, *, resource: str, format_: "BodyFormat | str | None", name: str | None
) -> LocalFile:
    """Determine what a file is: by `format_`, else by its name, else by its first bytes.

    Parameters
    ----------
    resource
        Name of the resource: a JSON object with a member of this name is an envelope, any other a line of NDJSON.
    format_
        A format, or a media type such as `text/csv; charset=windows-1252`.
    name
        What the file is called; None: as its path says.

    Raises
    ------
    UnsupportedMediaType
        It is of no kind that is read.
    """
    if isinstance(content, str | os.PathLike):
        path = Path(content)
        return _described(_read(path), None, name or path.name, format_, resource)
    if isinstance(content, bytes | bytearray | memoryview):
        data = bytes(content)
        return _described(_whole(data), data, name, format_, resource)
    return _described(content, None, name, format_, resource)


def _described(
    content: AsyncIterable[bytes], data: bytes | None, name: str | None, format_: "str | None", resource: str
) -> LocalFile:
    by_name, encoding = media_type_of_name(name or "")
    if format_ is not None:
        known = {str(each): each for each in BodyFormat}
        media_type = MediaType(known[format_]) if format_ in known else parse_media_type(format_)
    elif by_name is not None or data is None:
        bare = name.rpartition(".")[0] if name and encoding else name
        media_type = media_type_of_part(None, bare)
    else:
        media_type = MediaType(_sniffed(data, resource))
    return LocalFile(content, media_type, encoding, name)


def _sniffed(data: bytes, resource: str) -> BodyFormat:
    if data.startswith(WORKBOOK_SIGNATURES):
        return BodyFormat.EXCEL
    if data.startswith(_PARQUET):
        return BodyFormat.PARQUET
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return BodyFormat.JSON
    if not text.startswith(b"{"):
        return BodyFormat.CSV
    try:
        first = msgspec.json.decode(text.partition(b"\n")[0])
    except msgspec.DecodeError:
        return BodyFormat.JSON
    return BodyFormat.JSON if resource in first else BodyFormat.NDJSON


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), _READ_BYTES):
        yield data[begin : begin + _READ_BYTES]


async def _read(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while data := await asyncio.to_thread(file.read, _READ_BYTES):
            yield data
    finally:
        file.close()
