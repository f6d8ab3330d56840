"""Content-Encoding: all of the data or an error, and never more memory or output than the limits allow."""

import gzip
import os
import struct
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from format_samples import bites_of, feed_all
from hypothesis import given
from hypothesis import strategies as st

from bulkport.errors import CorruptCompression, DecompressionBomb, TooLarge, UnsupportedMediaType
from bulkport.fastapi.error_responses import status_of
from bulkport.imports.formats import decompressor
from bulkport.limits import MIB, ImportLimits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMITS = ImportLimits()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": lambda data: gzip.compress(data, 1), "zstd": zstd.compress}
ENCODINGS = pytest.mark.parametrize("encoding", ["gzip", "zstd"])
SKIPPABLE_FRAME = struct.pack("<II", 0x184D2A50, 5) + b"hello"


def expand(encoding: str | None, data: bytes, limits: ImportLimits = LIMITS, sizes: Sequence[int] = (65_536,)) -> bytes:
    unpack = decompressor(encoding, limits)
    plain = b"".join(part for bite in bites_of(data, sizes) for part in unpack.feed(bite))
    unpack.finish()
    assert (unpack.bytes_in, unpack.bytes_out) == (len(data), len(plain))
    return plain


@given(
    encoding=st.sampled_from(["gzip", "zstd"]),
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=4),
    repeats=st.sampled_from([0, 1, 10, 5000]),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=4),
)
def test_members_and_frames_decompress_to_the_original(
    encoding: str, parts: list[bytes], repeats: int, sizes: list[int]
) -> None:
    parts = [part * repeats for part in parts]
    data = b"".join(COMPRESS[encoding](part) for part in parts)
    assert expand(encoding, data, sizes=sizes) == b"".join(parts)


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
def test_an_uncompressed_body_passes_unchanged(encoding: str | None) -> None:
    data = os.urandom(200_000)
    assert expand(encoding, data) == data


@pytest.mark.parametrize("encoding", ["GZIP", "x-gzip", " gzip "])
def test_encoding_names_are_case_insensitive(encoding: str) -> None:
    assert expand(encoding, gzip.compress(b"abc")) == b"abc"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd;q=1", "*"])
def test_other_encodings_get_415(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="send gzip, zstd or none"):
        decompressor(encoding, LIMITS)


@ENCODINGS
def test_truncated_data_is_rejected_wherever_it_ends(encoding: str) -> None:
    data = COMPRESS[encoding](os.urandom(300))
    for length in range(1, len(data)):
        with pytest.raises(CorruptCompression, match=f"{encoding} data ends too early") as caught:
            expand(encoding, data[:length])
    assert status_of(caught.value) == 400


@ENCODINGS
def test_a_truncated_second_member_is_rejected(encoding: str) -> None:
    data = COMPRESS[encoding](b"abc")
    with pytest.raises(CorruptCompression, match="ends too early"):
        expand(encoding, data + data[:-1])


@ENCODINGS
def test_an_empty_body_is_not_compressed_data(encoding: str) -> None:
    with pytest.raises(CorruptCompression, match=f"The body is empty, which is not {encoding} data"):
        expand(encoding, b"")


@ENCODINGS
@pytest.mark.parametrize("garbage", [b"garbage!", b"\0" * 20, b'{"platformName":"Docker"}\n'])
def test_trailing_garbage_is_rejected(encoding: str, garbage: bytes) -> None:
    with pytest.raises(CorruptCompression):
        expand(encoding, COMPRESS[encoding](b"abc") + garbage)


@ENCODINGS
@pytest.mark.parametrize("data", [b'{"platformName":"Docker"}\n', b"\x1f\x8b\x08" + b"\xff" * 40, b"\0" * 40])
def test_uncompressed_data_is_rejected(encoding: str, data: bytes) -> None:
    with pytest.raises(CorruptCompression, match=f"{encoding} data is corrupt"):
        expand(encoding, data)


def test_the_gzip_checksum_is_verified() -> None:
    data = bytearray(gzip.compress(os.urandom(1000)))
    data[-8] ^= 1
    with pytest.raises(CorruptCompression, match="gzip data is corrupt"):
        expand("gzip", bytes(data))


def test_the_zstd_checksum_is_verified() -> None:
    data = bytearray(zstd.compress(os.urandom(1000), options={zstd.CompressionParameter.checksum_flag: 1}))
    data[-1] ^= 1
    with pytest.raises(CorruptCompression, match="zstd data is corrupt"):
        expand("zstd", bytes(data))


def test_skippable_zstd_frames_are_skipped() -> None:
    data = zstd.compress(b"abc")
    assert expand("zstd", SKIPPABLE_FRAME + data + SKIPPABLE_FRAME + data) == b"abcabc"


@ENCODINGS
def test_a_decompression_bomb_is_rejected_early_in_flat_memory(encoding: str) -> None:
    bomb = COMPRESS[encoding](b"\0" * (64 * MIB))
    unpack = decompressor(encoding, LIMITS)
    tracemalloc.start()
    try:
        with pytest.raises(DecompressionBomb, match="more than 200 times its size") as caught:
            feed_all(unpack, [bomb])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status_of(caught.value) == 413
    assert unpack.bytes_out < 28 * MIB
    assert peak < 4 * MIB


@ENCODINGS
def test_small_bodies_can_have_any_ratio(encoding: str) -> None:
    plain = b"a" * LIMITS.compression_ratio_floor_bytes
    assert expand(encoding, COMPRESS[encoding](plain)) == plain


@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"])
@pytest.mark.parametrize(("size", "is_refused"), [(1000, False), (1001, True)])
def test_a_body_can_have_exactly_the_largest_size(encoding: str | None, size: int, is_refused: bool) -> None:
    data = b"a" * size
    data = COMPRESS[encoding](data) if encoding else data
    limits = replace(LIMITS, max_body_bytes=1000)
    if is_refused:
        with pytest.raises(TooLarge, match=r"larger than 1,000 bytes"):
            expand(encoding, data, limits)
    else:
        assert len(expand(encoding, data, limits)) == size


@ENCODINGS
def test_endless_empty_members_are_rejected(encoding: str) -> None:
    with pytest.raises(TooLarge, match=r"larger than 1,000 bytes"):
        expand(encoding, COMPRESS[encoding](b"") * 200, replace(LIMITS, max_body_bytes=1000))


def test_a_zstd_window_above_8_mib_is_rejected() -> None:
    plain = os.urandom(64)
    for window_log, is_refused in ((23, False), (24, True), (27, True)):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
        data = compressor.compress(plain) + compressor.flush()
        if is_refused:
            with pytest.raises(TooLarge, match="window of more than 8 MiB"):
                expand("zstd", data)
        else:
            assert expand("zstd", data) == plain
