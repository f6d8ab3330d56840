"""The properties that are fuzzed: bytes of any kind into every reader, with Python's own as oracle."""

import codecs
import csv
import gzip
import importlib
import io
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

_TESTS: Final = Path(__file__).resolve().parents[1] / "tests" / "unit" / "imports"
for _folder in (_TESTS.parents[1], _TESTS, _TESTS / "formats", _TESTS / "validation", _TESTS / "values"):
    sys.path.append(str(_folder))

from files_read import read_file  # noqa: E402
from format_samples import SMALL, bites_of, split  # noqa: E402

from bulkport.errors import BulkportError  # noqa: E402
from bulkport.imports.formats import (  # noqa: E402
    BadRecord,
    BodyFormat,
    CsvSplitter,
    NdjsonSplitter,
    csv_records,
    decompressor,
    parse_prefer,
)
from bulkport.imports.formats.json_array import JsonArraySplitter  # noqa: E402
from bulkport.limits import ImportLimits  # noqa: E402

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _unpacked(packed: bytes) -> bytes:
    """By Python's decoder, byte by byte: given whole frames, libzstd looks at more of their header."""
    plain, decoder = b"", zstd.ZstdDecompressor()
    for place in range(len(packed)):
        if decoder.eof:
            decoder = zstd.ZstdDecompressor()
        plain += decoder.decompress(packed[place : place + 1])
    if not decoder.eof:
        raise EOFError
    return plain


Property = Any
"""A function that Hypothesis' `given` has decorated."""
_LIMITS: Final = ImportLimits()
_SIZES: Final = st.lists(st.integers(1, 60), min_size=1, max_size=4)
_ENCODINGS: Final = st.sampled_from(["gzip", "zstd"])
_CHARSETS: Final = st.sampled_from(["windows-1252", "shift_jis", "utf-16", "gb18030", "utf-8"])
_CSV_BYTES: Final = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from([b"a", b'"', b",", b";", b"\n", b"\r", b"\t", b" ", b"\xc3\xa9", b"\0", b"'"]), max_size=80
    ).map(b"".join),
)
_PAIR: Final = st.lists(st.text(alphabet='ab",;\n\r \té', max_size=6), min_size=2, max_size=2).filter(any)
_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def _outcome(read: Callable[[], Any]) -> tuple[str, Any]:
    """What reading came to: a result, or an error of the library's own. Others get out."""
    try:
        return "read", read()
    except BulkportError as error:
        return type(error).__name__, None


@given(body=_CSV_BYTES, sizes=_SIZES)
def csv_is_the_same_wherever_it_is_cut(body: bytes, sizes: list[int]) -> None:
    """Any bytes as CSV: the same records, or the same error."""

    def read(bites: list[bytes]) -> Any:
        splitter = CsvSplitter(SMALL, ",")
        pieces = split(splitter, bites)
        if splitter.dialect is None:
            return []
        return [row for piece in pieces for row in csv_records(piece.payload, splitter.dialect)]

    assert _outcome(lambda: read([body])) == _outcome(lambda: read(bites_of(body, sizes)))


@given(rows=st.lists(_PAIR, min_size=1, max_size=12))
def csv_of_the_csv_module_is_read_as_it_was_written(rows: list[list[str]]) -> None:
    """What Python's csv module writes, its own reader being the oracle."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([["h1", "h2"], *rows])
    splitter = CsvSplitter(_LIMITS, ",")
    pieces = split(splitter, [text.getvalue().encode()])
    assert splitter.dialect is not None
    found = [row for piece in pieces for row in csv_records(piece.payload, splitter.dialect)]
    (_, *expected) = csv.reader(io.StringIO(text.getvalue(), newline=""))
    assert found == expected


@given(body=st.binary(max_size=300), sizes=_SIZES)
def ndjson_is_the_same_wherever_it_is_cut(body: bytes, sizes: list[int]) -> None:
    """Any bytes as NDJSON."""

    def read(bites: list[bytes]) -> Any:
        return [(piece.payload, piece.records) for piece in split(NdjsonSplitter(SMALL), bites)]

    assert _outcome(lambda: read([body])) == _outcome(lambda: read(bites_of(body, sizes)))


@given(values=st.lists(st.dictionaries(st.text(max_size=4), _JSON, max_size=3), min_size=1, max_size=8), sizes=_SIZES)
def json_arrays_are_read_as_json_reads_them(values: list[dict[str, Any]], sizes: list[int]) -> None:
    """Arrays as Python's json module writes them, cut anywhere."""
    body = json.dumps(values).encode()
    limits = ImportLimits(chunk_bytes=24, max_record_bytes=100_000)
    pieces = split(JsonArraySplitter(limits), bites_of(body, sizes))
    found = [json.loads(line) for piece in pieces for line in piece.payload.split(b"\n") if line.strip()]
    assert found == values


@given(body=st.binary(max_size=300).map(lambda rest: b"[{" + rest), sizes=_SIZES)
def broken_json_arrays_are_refused(body: bytes, sizes: list[int]) -> None:
    """Bytes that begin like an array: an error, unless they are one."""
    kind, _ = _outcome(lambda: split(JsonArraySplitter(SMALL), bites_of(body, sizes)))
    if kind == "read":
        json.loads(body)


@given(
    body=st.binary(max_size=300), sizes=_SIZES, bend=st.integers(0, 10**6), encoding=st.sampled_from(["gzip", "zstd"])
)
def bent_compressed_bodies_are_whole_or_refused(body: bytes, sizes: list[int], bend: int, encoding: str) -> None:
    """Change one byte of a compressed body: an accepted body equals the output of Python's own decompressor."""
    packed = bytearray(gzip.compress(body, mtime=0) if encoding == "gzip" else zstd.compress(body))
    packed[bend % len(packed)] ^= 1 << (bend % 8)

    def read() -> bytes:
        unpack = decompressor(encoding, _LIMITS)
        plain = b"".join(part for bite in bites_of(bytes(packed), sizes) for part in unpack.feed(bite))
        unpack.finish()
        return plain

    kind, plain = _outcome(read)
    if kind == "read":
        try:
            wanted = gzip.decompress(packed) if encoding == "gzip" else _unpacked(bytes(packed))
        except (OSError, EOFError, zlib.error, zstd.ZstdError):
            raise AssertionError(f"accepted, and Python refuses it: {packed.hex()}") from None
        assert plain == wanted


@given(
    text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters='\0\r\n"'), min_size=1, max_size=40),
    charset=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    bite=st.integers(1, 40),
)
def text_of_every_unicode_charset_arrives(text: str, charset: str, bite: int) -> None:
    """Files as Python's codecs write them."""
    body = f'name\n"{text}"\n'.encode(charset)
    said = {"utf-16-le": "utf-16le", "utf-16-be": "utf-16be"}.get(charset)
    found = read_file(body, *([("charset", said)] if said else []), bite=bite)
    assert found.named() == [text] or not text.strip()


@given(
    body=st.binary(max_size=200), charset=st.sampled_from(["windows-1252", "shift_jis", "utf-16", "gb18030", "utf-8"])
)
def any_bytes_in_any_charset_are_rows_or_refused(body: bytes, charset: str) -> None:
    """What a charset does not have makes its row bad, and ends nothing."""
    codecs.lookup(charset)
    kind, found = _outcome(lambda: read_file(b"name\n" + body, ("charset", charset)))
    if kind == "read":
        assert all(isinstance(row, dict | BadRecord) for row in found.rows)


@given(header=st.text(max_size=80))
def any_preference_is_read_or_passed_over(header: str) -> None:
    """The header `Prefer` (RFC 7240)."""
    _outcome(lambda: parse_prefer([header]))


@given(body=st.binary(max_size=200), format_=st.sampled_from([BodyFormat.CSV, BodyFormat.NDJSON, BodyFormat.JSON_SEQ]))
def any_body_is_read_or_refused(body: bytes, format_: BodyFormat) -> None:
    """The whole way of a body in, options detected."""
    _outcome(lambda: read_file(body, format_=format_))


_OWN: Final = (
    csv_is_the_same_wherever_it_is_cut,
    csv_of_the_csv_module_is_read_as_it_was_written,
    ndjson_is_the_same_wherever_it_is_cut,
    json_arrays_are_read_as_json_reads_them,
    broken_json_arrays_are_refused,
    bent_compressed_bodies_are_whole_or_refused,
    text_of_every_unicode_charset_arrives,
    any_bytes_in_any_charset_are_rows_or_refused,
    any_preference_is_read_or_passed_over,
    any_body_is_read_or_refused,
)
_OF_TESTS: Final = (
    *("test_csv_splitting", "test_ndjson_splitting", "test_decompression", "test_envelope_parsing"),
    *("test_prefer_header", "test_text_files", "test_fast_path_agrees_with_pydantic", "test_typed_cells_agree"),
)


def targets() -> dict[str, Property]:
    """All properties by name: those above, and those of the unit tests of the readers."""
    found = {target.__name__: target for target in _OWN}
    for module in map(importlib.import_module, _OF_TESTS):
        for name, member in vars(module).items():
            if (
                name.startswith("test_")
                and getattr(member, "is_hypothesis_test", False)
                and not hasattr(member, "pytestmark")
            ):
                found[f"{module.__name__}.{name}"] = member
    return found
