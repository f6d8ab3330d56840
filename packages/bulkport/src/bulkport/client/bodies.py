"""Request bodies: their format and their source."""

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from bulkport.client.errors import SourceUnusable
from bulkport.imports.body_format import BodyFormat

_BLOCK_BYTES: Final = 256 * 1024

_ENCODINGS: Final = {".gz": "gzip", ".zst": "zstd"}
_SUFFIXES: Final = {
    ".json": (BodyFormat.JSON, None),
    ".ndjson": (BodyFormat.NDJSON, None),
    ".jsonl": (BodyFormat.NDJSON, None),
    ".csv": (BodyFormat.CSV, None),
    ".tsv": (BodyFormat.CSV, "\t"),
    ".xlsx": (BodyFormat.EXCEL, None),
    ".xlsm": (BodyFormat.EXCEL, None),
    ".xlsb": (BodyFormat.EXCEL, None),
    ".ods": (BodyFormat.EXCEL, None),
    ".parquet": (BodyFormat.PARQUET, None),
}
_OWN_TYPES: Final = {
    ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
    ".xlsb": "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
}


@dataclass(frozen=True, slots=True)
class BodyKind:
    """How a body is written."""

    format: BodyFormat
    encoding: str | None = None
    """`gzip` or `zstd`; None: not compressed."""
    delimiter: str | None = None
    """What separates the fields of a CSV body; None: the server finds it."""
    media_type: str | None = None
    """Media type, where the format has several."""

    @classmethod
    def of_name(cls, name: str, *, format: BodyFormat | None = None) -> "BodyKind | None":  # noqa: A002  # the field's name
        """What a file's name says: `rows.csv.gz` is CSV, compressed with gzip.

        Parameters
        ----------
        format:
            Has the last word if it is given; the name then only says the compression.

        Returns
        -------
        None if neither the name nor `format` says it.
        """
        path = Path(name.lower())
        encoding = _ENCODINGS.get(path.suffix)
        if encoding is not None:
            path = path.with_suffix("")
        known, delimiter = _SUFFIXES.get(path.suffix, (None, None))
        if format is not None and format is not known:
            return cls(format, encoding)
        return None if known is None else cls(known, encoding, delimiter, _OWN_TYPES.get(path.suffix))

    @property
    def headers(self) -> dict[str, str]:
        """The request headers that describe the body."""
        headers = {"Content-Type": self.media_type or self.format.media_type}
        if self.encoding is not None:
            headers["Content-Encoding"] = self.encoding
        return headers


class Source(Protocol):
    """Where a body's bytes come from."""

    @property
    def size(self) -> int | None:
        """Total bytes; None if unknown."""
        ...

    @property
    def is_replayable(self) -> bool:
        """Whether `blocks` can be read from the start again."""
        ...

    def blocks(self) -> Iterator[bytes]:
        """The bytes, a piece at a time.

        Raises
        ------
        SourceUnusable
            They cannot be read.
        """
        ...


class FileSource:
    """The bytes of a regular file.

    Raises
    ------
    SourceUnusable
        The file does not exist, is a folder or the like, is empty or cannot be read.
    """

    is_replayable: Final = True

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.is_dir():
                raise SourceUnusable(f"{path} is a folder, not a file.")
            if path.exists() and not path.is_file():
                raise SourceUnusable(f"{path} is not a regular file; send it through a StreamSource.")
            with path.open("rb") as file:
                self.size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise SourceUnusable(f"{path} does not exist.") from None
        except OSError as error:
            raise SourceUnusable(f"{path} cannot be read: {error.strerror or error}.") from error
        if self.size == 0:
            raise SourceUnusable(f"{path} is empty; there is nothing to import.")

    def blocks(self) -> Iterator[bytes]:
        """The file's bytes, as many as it had at first: one that is still written to is cut there."""
        yield from self.part(0, self.size)

    def part(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`."""
        remaining = end - start
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                while block := file.read(min(_BLOCK_BYTES, remaining)):
                    remaining -= len(block)
                    yield block
        except OSError as error:
            raise SourceUnusable(f"{self.path} cannot be read: {error.strerror or error}.") from error
        if remaining:
            raise SourceUnusable(f"{self.path} became shorter while it was being sent.")


class FilePart:
    """A part of a file."""

    is_replayable: Final = True

    def __init__(self, file: FileSource, start: int, end: int) -> None:
        self._file = file
        self._start = start
        self._end = end
        self.size = end - start

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, a piece at a time."""
        return self._file.part(self._start, self._end)


class GzippedSource:
    """Another source, compressed with gzip on the way."""

    size: Final = None

    def __init__(self, source: Source) -> None:
        self._source = source
        self.is_replayable = source.is_replayable

    def blocks(self) -> Iterator[bytes]:
        """The compressed bytes as they come."""
        return gzipped(self._source.blocks())


def gzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks compressed with gzip (RFC 1952), at its fastest."""
    compressor = zlib.compressobj(1, wbits=31)
    for block in blocks:
        if data := compressor.compress(block):
            yield data
    yield compressor.flush()


class StreamSource:
    """The bytes of an open stream, such as standard input. They can be read once; the stream stays open."""

    is_replayable: Final = False
    size: Final = None

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def blocks(self) -> Iterator[bytes]:
        """The stream's bytes as they come, without waiting for a full block."""
        read = getattr(self._stream, "read1", self._stream.read)
        try:
            while block := read(_BLOCK_BYTES):
                yield block
        except OSError as error:
            raise SourceUnusable(f"{self._name} cannot be read: {error.strerror or error}.") from error
