"""Spools the chunks of a long body until it has arrived completely.

A client may take hours. Its chunks lie compressed in a temporary file meanwhile and not in an open transaction, which
would hold a database connection and keep vacuum from its work.
"""

import errno
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from bulkport.errors import InsufficientStorage
from bulkport.imports.chunk import compress
from bulkport.imports.formats import BodyChunk

_IN_MEMORY_BYTES: Final = 1024 * 1024
_BATCH_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpooledChunks:
    """Chunks that follow each other."""

    first_number: int
    """0-based, in body order."""
    first_rows: list[int]
    """1-based row number of each chunk's first record."""
    records: list[int]
    payloads: list[bytes]


class Spool:
    """Stores the chunks of one body, and gives them back in batches.

    It is used by one thread at a time, which is none with an event loop: its methods read and write a file.

    Parameters
    ----------
    folder:
        Where the temporary file is made; None: the system's own place.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=folder)  # noqa: SIM115  # closed by __exit__
        self._chunks: list[tuple[int, int]] = []
        self.records = 0
        """Of all chunks."""
        self.bytes = 0
        """Of all chunks, compressed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def chunks(self) -> int:
        """How many there are."""
        return len(self._chunks)

    def add(self, chunk: BodyChunk) -> None:
        """Take in the next chunk.

        Raises
        ------
        InsufficientStorage
            The disk is full.
        """
        payload = compress(chunk.payload)
        try:
            self._file.write(payload)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise InsufficientStorage from error
            raise
        self._chunks.append((chunk.records, len(payload)))
        self.records += chunk.records
        self.bytes += len(payload)

    def batches(self) -> Iterator[SpooledChunks]:
        """All chunks, some megabytes at a time."""
        self._file.seek(0)
        batch, size, row = SpooledChunks(0, [], [], []), 0, 1
        for number, (records, length) in enumerate(self._chunks):
            batch.first_rows.append(row)
            batch.records.append(records)
            batch.payloads.append(self._file.read(length))
            row += records
            size += length
            if size >= _BATCH_BYTES:
                yield batch
                batch, size = SpooledChunks(number + 1, [], [], []), 0
        if batch.payloads:
            yield batch
