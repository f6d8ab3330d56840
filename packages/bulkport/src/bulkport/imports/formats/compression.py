"""Decompresses a body incrementally, in flat memory and safe against hostile input."""

import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from bulkport.errors import CorruptCompression, DecompressionBomb, TooLarge, UnsupportedMediaType
from bulkport.limits import ImportLimits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OUTPUT_BYTES: Final = 256 * 1024
"""Largest piece that a decompressor gives at a time."""
_INPUT_BYTES: Final = 64 * 1024
_MOST_EMPTY_PARTS: Final = 1000
"""Members or frames in a row that hold nothing; each costs as much as a page of text."""
_WINDOW_LOG_MAX: Final = 23
"""zstd windows of 8 MiB at most, which is what RFC 9659 §3 allows for Content-Encoding."""


class Decompressor(ABC):
    """Decodes one Content-Encoding. Returns chunks of at most 256 KiB; holds one window and one chunk."""

    def __init__(self, limits: ImportLimits, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._max_ratio = limits.max_compression_ratio
        self._ratio_floor = limits.compression_ratio_floor_bytes
        self.bytes_in = 0
        """Bytes fed so far."""
        self._empty_parts = 0
        self.bytes_out = 0
        """Bytes given so far."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in `data`, and give its plain bytes. Iterate to the end before the next call.

        Raises
        ------
        CorruptCompression
            If the data cannot be decompressed, or anything but another member or frame follows the end.
        DecompressionBomb
            If more than `max_compression_ratio` bytes come out for each that went in.
        TooLarge
            If more than the largest body goes in or comes out, or a zstd frame needs a window of more than 8 MiB.
        """
        view = memoryview(data)
        for start in range(0, len(view), _INPUT_BYTES):
            bite = bytes(view[start : start + _INPUT_BYTES])
            self.bytes_in += len(bite)
            if self.bytes_in > self.max_bytes:
                # Members and frames may be empty, so that a body without end need give nothing.
                raise self._too_large()
            for plain in self._expand(bite):
                self._account(len(plain))
                yield plain

    @abstractmethod
    def finish(self) -> None:
        """Say that the body has ended.

        Raises
        ------
        CorruptCompression
            If it ended before the compressed data did.
        """

    @abstractmethod
    def _expand(self, data: bytes) -> Iterator[bytes]: ...

    def _account(self, size: int) -> None:
        self.bytes_out += size
        if self.bytes_out > self.max_bytes:
            raise self._too_large()
        if self.bytes_out > max(self._ratio_floor, self.bytes_in * self._max_ratio):
            raise DecompressionBomb(f"The compressed body expands to more than {self._max_ratio} times its size.")

    def _end_part(self, size: int) -> None:
        """Note that a member or frame has ended which gave `size` bytes."""
        self._empty_parts = 0 if size else self._empty_parts + 1
        if self._empty_parts > _MOST_EMPTY_PARTS:
            raise CorruptCompression(f"The compressed data has more than {_MOST_EMPTY_PARTS:,} empty parts in a row.")

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self.max_bytes:,} bytes.")

    def _too_short(self, encoding: str) -> CorruptCompression:
        if not self.bytes_in:
            return CorruptCompression(f"The body is empty, which is not {encoding} data.")
        return CorruptCompression(f"The {encoding} data ends too early.")


class _Identity(Decompressor):
    def _expand(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        return


class _Gzip(Decompressor):
    """gzip (RFC 1952): one or more members, one after the other."""

    def __init__(self, limits: ImportLimits, max_bytes: int) -> None:
        super().__init__(limits, max_bytes)
        self._member = zlib.decompressobj(wbits=31)
        self._member_bytes = 0

    def _expand(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                self._end_part(self._member_bytes)
                self._member, self._member_bytes = zlib.decompressobj(wbits=31), 0
            try:
                plain = self._member.decompress(data, OUTPUT_BYTES)
            except zlib.error as error:
                raise CorruptCompression("The gzip data is corrupt.") from error
            self._member_bytes += len(plain)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if plain:
                yield plain

    def finish(self) -> None:
        if not self._member.eof:
            raise self._too_short("gzip")


class _Zstd(Decompressor):
    """zstd (RFC 8878): one or more frames, one after the other."""

    def __init__(self, limits: ImportLimits, max_bytes: int) -> None:
        super().__init__(limits, max_bytes)
        self._frame = self._new_frame()
        self._frame_bytes = 0

    @staticmethod
    def _new_frame() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX})

    def _expand(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._frame.eof:
                if not data:
                    return
                self._end_part(self._frame_bytes)
                self._frame, self._frame_bytes = self._new_frame(), 0
            try:
                plain = self._frame.decompress(data, OUTPUT_BYTES)
            except zstd.ZstdError as error:
                if "too much memory" in str(error):
                    raise TooLarge("The zstd data needs a window of more than 8 MiB (RFC 9659).") from error
                raise CorruptCompression("The zstd data is corrupt.") from error
            self._frame_bytes += len(plain)
            if plain:
                yield plain
            if self._frame.eof:
                data = self._frame.unused_data
            elif self._frame.needs_input:
                return
            else:
                data = b""

    def finish(self) -> None:
        if not self._frame.eof:
            raise self._too_short("zstd")


_DECOMPRESSORS: Final[dict[str, type[Decompressor]]] = {
    "": _Identity,
    "identity": _Identity,
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "zstd": _Zstd,
}


def decompressor(encoding: str | None, limits: ImportLimits, *, max_bytes: int | None = None) -> Decompressor:
    """A decompressor for a Content-Encoding: gzip, zstd or identity (RFC 9110 §8.4, RFC 8878).

    Parameters
    ----------
    encoding:
        The header's value; None when there is none.
    max_bytes:
        Largest body after decompression, in bytes; `limits.max_body_bytes` unless given.

    Raises
    ------
    UnsupportedMediaType
        If it is another encoding, or several on top of each other.
    """
    kind = _DECOMPRESSORS.get((encoding or "").strip().lower())
    if kind is None:
        raise UnsupportedMediaType("This Content-Encoding is not supported; send gzip, zstd or none.")
    return kind(limits, limits.max_body_bytes if max_bytes is None else max_bytes)
