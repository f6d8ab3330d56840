r"""CSV: the same records wherever the body is cut, never within quotes, and linear in time."""

import csv
import io
import re
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import repeat

import pytest
from format_samples import SMALL, bites_of, feed_all, split
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bulkport.errors import BadRequest, CsvHeaderError, RecordTooLarge
from bulkport.imports.formats import BadRecord, CsvDialect, CsvSplitter, NdjsonSplitter, csv_records, parse_delimiter
from bulkport.imports.formats.csv.dialect import CsvSyntax
from bulkport.imports.formats.csv.grammar import record_text
from bulkport.limits import MIB, ImportLimits
from drawn_examples import examples

# RFC 4180 §2, but for carriage returns in quotes, which stand there as they are.
_CELL = r'(?:"(?:[^"]|"")*"|[^",\r\n]*)'
REGULAR = re.compile(rf"{_CELL}(?:,{_CELL})*")
REGULAR_CELL = re.compile(rf"(?:^|(?<=,)){_CELL}(?=,|\Z)")
CELLS = st.text(alphabet=st.sampled_from(list('ab",;\t|\n\r é\u2028\x00')), max_size=8)
SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=5)


def write(row: list[str], delimiter: str, newline: str, *, quote_all: bool) -> str:
    """A record as RFC 4180 says. The csv module's writer leaves a carriage return without quotes."""
    cells = [
        '"' + cell.replace('"', '""') + '"' if quote_all or any(sign in cell for sign in f'{delimiter}"\r\n') else cell
        for cell in row
    ]
    return delimiter.join(cells) + newline


def read(body: bytes, sizes: list[int], delimiter: str = ",") -> tuple[list[list[str] | BadRecord], list[int]]:
    """All rows of a body, and the number of records that each piece says it has."""
    splitter = CsvSplitter(SMALL, delimiter)
    pieces = split(splitter, bites_of(body, sizes))
    assert splitter.dialect is not None
    rows = [list(csv_records(piece.payload, splitter.dialect)) for piece in pieces]
    assert [len(part) for part in rows] == [piece.records for piece in pieces]
    return [row for part in rows for row in part], [piece.records for piece in pieces]


@dataclass(frozen=True)
class CsvBody:
    """A body and its content."""

    delimiter: str
    rows: list[list[str]]
    text: str
    has_bom: bool
    quote_all: bool


@st.composite
def csv_bodies(draw: st.DrawFn) -> CsvBody:
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    quote_all = draw(st.booleans())
    rows = draw(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=20))
    lines = [write(row, delimiter, newline, quote_all=quote_all) for row in [["a", "b", "c"], *rows]]
    text = (newline * draw(st.integers(0, 2))).join(lines)
    assume(not text.rstrip("\r\n").endswith("\0"))  # NULs at the end of a file pad its last block
    return CsvBody(
        delimiter, rows, text if draw(st.booleans()) else text.removesuffix(newline), draw(st.booleans()), quote_all
    )


def has_text(body: CsvBody) -> Callable[[str], bool]:
    """Whether a cell has more than blanks outside quotes: rows of others are none."""
    blanks = " " if body.delimiter == "\t" else " \t"
    return lambda cell: bool(cell if body.quote_all else cell.strip(blanks))


@given(body=csv_bodies(), sizes=SIZES)
@settings(max_examples=examples(150))
def test_rows_equal_those_of_the_csv_module_wherever_the_body_is_split(body: CsvBody, sizes: list[int]) -> None:
    reader = csv.reader(io.StringIO(body.text, newline=""), delimiter=body.delimiter)
    assert [row for row in reader if row][1:] == body.rows
    expected = [row for row in body.rows if any(map(has_text(body), row))]
    data = (b"\xef\xbb\xbf" if body.has_bom else b"") + body.text.encode()

    rows, counts = read(data, sizes, body.delimiter)

    assert rows == expected
    assert (rows, counts) == read(data, [len(data)], body.delimiter)


@example(text='""\n\r\r', sizes=[1])
@example(text=',""\r\r', sizes=[1])
@example(text=',\n,""\r\r\n', sizes=[1])
@given(
    text=st.text(alphabet=st.sampled_from(list('a",\n\r')), max_size=120),
    sizes=SIZES,
)
@settings(max_examples=examples(300))
def test_irregular_records_follow_the_grammar_wherever_the_body_is_split(text: str, sizes: list[int]) -> None:
    expected, position = [], 0
    while position < len(text):
        found = record_text(CsvSyntax()).match(text, position)
        record = text[position:] if found is None else found[1].removesuffix("\r")
        position = len(text) if found is None else found.end()
        if record and not re.fullmatch(r'(?:"")?(?:,(?:"")?)+', record):
            expected.append(record)

    rows, counts = read(b"h,i\n" + text.encode(), sizes)

    assert len(rows) == len(expected)
    assert (rows, counts) == read(b"h,i\n" + text.encode(), [1000])
    for record, row in zip(expected, rows, strict=True):
        raw = REGULAR_CELL.findall(record) if REGULAR.fullmatch(record) else []
        cells = [cell[1:-1].replace('""', '"') if cell.startswith('"') else cell for cell in raw]
        if len(cells) >= 2 and not any(map(str.strip, cells[2:])):  # blank cells may trail
            assert row == cells[:2]
        else:
            assert isinstance(row, BadRecord), record
            assert row.raw == record


def test_chunks_end_at_records_and_never_within_quotes() -> None:
    row = b'"first\nsecond","say ""so""\r\n",3\n'
    splitter = CsvSplitter(SMALL)
    pieces = split(splitter, bites_of(b"a,b,c\n" + row * 20, [7]))
    assert len(pieces) > 5
    assert all(piece.payload == row * piece.records for piece in pieces)


@pytest.mark.parametrize("body", [b"a,b", b"a,b\r\n", b'"a","b"\n\n\r\n', b"\n\na,b\n"])
def test_a_header_alone_produces_no_chunk(body: bytes) -> None:
    splitter = CsvSplitter(SMALL)
    assert split(splitter, [body]) == []
    assert splitter.header == ["a", "b"]


@pytest.mark.parametrize("body", [b"", b"\xef\xbb\xbf", b"\n\r\n", b",,\n\n", b" \n"])
def test_a_body_without_a_header_is_rejected(body: bytes) -> None:
    with pytest.raises(CsvHeaderError, match="no header row"):
        split(CsvSplitter(SMALL), [body])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'a,"b\n1,2\n', "A quote in the CSV header is opened but never closed"),
        (b'a,b"c\n1,2\n', "a quote must open its field"),
        (b"a,b\r1,2\r", "end with carriage returns alone"),
    ],
)
def test_a_malformed_header_is_rejected(body: bytes, message: str) -> None:
    with pytest.raises(CsvHeaderError, match=message):
        split(CsvSplitter(SMALL), [body])


@pytest.mark.parametrize("delimiter", [";", "|", "\t", "tab", "\\t"])
def test_the_delimiter_can_be_chosen(delimiter: str) -> None:
    splitter = CsvSplitter(SMALL, delimiter)
    sign = parse_delimiter(delimiter)
    split(splitter, [f"a{sign}b\n".encode()])
    assert splitter.dialect == CsvDialect(["a", "b"], sign)


@pytest.mark.parametrize("delimiter", ["a", ",,", '"', "\n", " "])
def test_an_unusable_delimiter_is_rejected(delimiter: str) -> None:
    with pytest.raises(BadRequest, match="delimiter must be one of"):
        CsvSplitter(SMALL, delimiter)


@pytest.mark.parametrize("start", [b'"', b'a,"', b"x"])
def test_a_large_record_is_rejected_without_being_buffered(start: bytes) -> None:
    limits = ImportLimits()
    splitter = CsvSplitter(limits)
    bite = b"x,\n" * 20_000 if b'"' in start else b"x" * 60_000
    list(splitter.feed(b"a,b\n1,2\n" + start))
    tracemalloc.start()
    try:
        with pytest.raises(RecordTooLarge, match="Record 2 is larger"):
            feed_all(splitter, repeat(bite, 100 * MIB // len(bite)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Split at its quotes, a block is there in parts beside the whole.
    assert peak < 8 * limits.max_record_bytes


@pytest.mark.parametrize(("size", "is_refused"), [(400, False), (401, True)])
@pytest.mark.parametrize("chunk_bytes", [24, 1000])
def test_a_record_can_have_exactly_the_largest_size(chunk_bytes: int, size: int, is_refused: bool) -> None:
    limits = replace(SMALL, chunk_bytes=chunk_bytes)
    body = b'a\n1\n"2"\n\n"' + b"\n" * (size - 2) + b'"\n' + b"4\n" * 500
    for splitter, text, number in (
        (CsvSplitter(limits), body, 3),
        (NdjsonSplitter(limits), b"1\n\n" + b"x" * size + b"\n" + b"4\n" * 500, 2),
    ):
        if is_refused:
            with pytest.raises(RecordTooLarge, match=f"Record {number} is larger than 400 bytes"):
                split(splitter, [text])
        else:
            assert sum(piece.records for piece in split(splitter, [text])) == number + 500


def test_a_large_header_is_rejected() -> None:
    with pytest.raises(RecordTooLarge, match="CSV header row is larger than 400 bytes"):
        split(CsvSplitter(SMALL), [b"a" * 401])


@pytest.mark.parametrize(
    "body",
    [
        b'a,b\n"' + b"z" * 900_000,
        b'a,b\n1"2,3\n"' + b"z" * 900_000,
        b"a,b\n" + b'1"2,' * 200_000,
        b'a,b\nx,"' + b'""\n' * 300_000,
        b'a,b\nx,"' + b'"",' * 300_000,
        b"a,b\n" + b'"",""\n' * 150_000,
        b'"' + b"z" * 900_000,
    ],
    ids=[
        "open quote",
        "irregular, then open",
        "quotes inside",
        "doubled",
        "doubled, delimited",
        "empty cells",
        "header",
    ],
)
def test_hostile_quotes_take_linear_time(body: bytes) -> None:
    started = time.process_time()
    splitter = CsvSplitter(ImportLimits())
    with suppress(CsvHeaderError, RecordTooLarge):
        for piece in split(splitter, bites_of(body, [65_536])):
            assert splitter.dialect is not None
            csv_records(piece.payload, splitter.dialect)
    assert time.process_time() - started < 4


@pytest.mark.parametrize("cell", ["", "x", '""', '"a,b"', '"a\nb"', 'a"b'])
@pytest.mark.parametrize("count", [9_999, 10_000, 10_001, 30_000])
def test_a_record_can_have_any_number_of_cells(cell: str, count: int) -> None:
    record = ",".join(['"first"', *[cell] * count, '"last"'])
    body = f"a,b\n1,2\n{record}\n3,4\n".encode()
    splitter = CsvSplitter(ImportLimits())
    pieces = split(splitter, [body])
    assert [(piece.payload, piece.records) for piece in pieces] == [(body.removeprefix(b"a,b\n"), 3)]


@pytest.mark.parametrize(
    ("line", "is_ghost"),
    [
        (",", True),
        (" , ", True),
        ("\t,\t,", True),
        (",\r,", False),
        (',"",', True),
        (',"\t",', False),
        (",\x00", False),
    ],
)
def test_records_of_empty_cells_are_skipped(line: str, is_ghost: bool) -> None:
    splitter = CsvSplitter(ImportLimits())
    pieces = split(splitter, [f"a,b\n1,2\n{line}\n3,4\n".encode()])
    assert sum(piece.records for piece in pieces) == (2 if is_ghost else 3)
    assert bool(splitter.warnings()) == is_ghost


def test_an_unclosed_quote_over_many_short_lines_takes_linear_time() -> None:
    splitter = CsvSplitter(ImportLimits())
    started = time.process_time()
    with pytest.raises(RecordTooLarge):
        split(splitter, [b'a,b\n"', *[b"x\n" * 15_000] * 40])
    assert time.process_time() - started < 5
