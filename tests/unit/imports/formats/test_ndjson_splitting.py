r"""NDJSON: the same records wherever the body is cut, lines split at `\n` only, and bounded memory."""

import time
import tracemalloc
from itertools import repeat

import pytest
from format_samples import SMALL, bites_of, feed_all, split
from hypothesis import given
from hypothesis import strategies as st

from bulkport.errors import MalformedBody, RecordTooLarge
from bulkport.imports.formats import BodyChunk, NdjsonSplitter, ndjson_records
from bulkport.limits import MIB, ImportLimits

LINES = st.lists(
    st.one_of(
        st.sampled_from([b"", b" ", b"\t \r", b"\r", b'{"a":1}', b' {"a":"\\n"}', b'{"a":"\xc3\xa9 \xe2\x80\xa8"}']),
        st.binary(max_size=40).map(lambda raw: b'{"x":"' + raw.replace(b"\n", b"\x0b") + b'"}'),
    ),
    max_size=30,
)


def records_of(chunks: list[BodyChunk]) -> list[bytes]:
    return [record for chunk in chunks for record in ndjson_records(chunk.payload)]


@given(
    lines=LINES,
    newline=st.sampled_from([b"\n", b"\r\n"]),
    ends=st.booleans(),
    bom=st.booleans(),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
def test_records_are_the_lines_wherever_the_body_is_split(
    lines: list[bytes], newline: bytes, ends: bool, bom: bool, sizes: list[int]
) -> None:
    text = newline.join(lines) + (newline if ends else b"")
    body = (b"\xef\xbb\xbf" if bom else b"") + text
    expected = [line.removesuffix(b"\r") for line in text.split(b"\n") if line.strip(b" \t\r")]

    chunks = split(NdjsonSplitter(SMALL), bites_of(body, sizes))

    assert records_of(chunks) == expected
    assert chunks == split(NdjsonSplitter(SMALL), [body])
    assert all(chunk.records == len(ndjson_records(chunk.payload)) for chunk in chunks)


def test_only_newlines_end_a_record() -> None:
    line = '{"a":"x\u2028y\u0085z\x0b\x0c\x1c"}\r{"b":1}'.encode()
    assert records_of(split(NdjsonSplitter(SMALL), [line + b"\n" + line])) == [line, line]


def test_a_body_without_records_produces_no_chunk() -> None:
    for body in (b"", b"\n", b"\xef\xbb\xbf", b" \r\n\t\n\r\n" * 50):
        assert split(NdjsonSplitter(SMALL), [body]) == []


@pytest.mark.parametrize(("size", "is_refused"), [(400, False), (401, True)])
def test_a_record_can_have_exactly_the_largest_size(size: int, is_refused: bool) -> None:
    body = b'{"a":1}\n' * 7 + b"x" * size + b'\n{"a":1}\n'
    if is_refused:
        with pytest.raises(RecordTooLarge, match=r"^Record 8 is larger than 400 bytes\.$"):
            split(NdjsonSplitter(SMALL), [body])
    else:
        assert len(records_of(split(NdjsonSplitter(SMALL), [body]))) == 9


def test_a_large_record_is_rejected_without_being_buffered() -> None:
    splitter, limits = NdjsonSplitter(ImportLimits()), ImportLimits()
    bite = b"x" * 65_536
    tracemalloc.start()
    try:
        with pytest.raises(RecordTooLarge):
            feed_all(splitter, repeat(bite, 100 * MIB // len(bite)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * limits.max_record_bytes


def test_one_byte_reads_cost_no_more_than_their_bytes() -> None:
    splitter = NdjsonSplitter(ImportLimits())
    bites = [bytes([byte]) for byte in range(256)]
    tracemalloc.start()
    try:
        for position in range(60_000):
            assert list(splitter.feed(bites[97 + position % 10])) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB


@pytest.mark.parametrize("body", [b'[{"platformName":"Docker"}]', b'\xef\xbb\xbf[\n{"a":1},\n{"a":2}\n]'])
def test_a_json_array_is_recognised(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="JSON array; NDJSON is one object a line"):
        split(NdjsonSplitter(SMALL), [body])


def test_long_records_are_split_in_linear_time() -> None:
    body = (b'{"a":"' + b"x" * 900_000 + b'"}\n') * 8
    started = time.process_time()
    chunks = split(NdjsonSplitter(ImportLimits()), bites_of(body, [1000]))
    assert sum(chunk.records for chunk in chunks) == 8
    assert time.process_time() - started < 2


@pytest.mark.parametrize("start", [b"", b'{"a":"' + b"x" * 100_000 + b'"}\n', b"\n" * 50_000])
def test_chunks_of_tiny_records_are_limited_by_count(start: bytes) -> None:
    body = start + b"1\n" * 300_000
    chunks = split(NdjsonSplitter(ImportLimits()), [body])
    assert max(chunk.records for chunk in chunks) < 60_000
    assert sum(chunk.records for chunk in chunks) == 300_000 + start.startswith(b"{")
    bites = [body[at : at + 10_007] for at in range(0, len(body), 10_007)]
    is_same = split(NdjsonSplitter(ImportLimits()), bites) == chunks
    assert is_same


def test_records_of_common_sizes_fill_their_chunks() -> None:
    chunks = split(NdjsonSplitter(ImportLimits()), [b'{"platformName":"some name"}\n' * 100_000])
    assert min(len(chunk.payload) for chunk in chunks[:-1]) > 600_000
