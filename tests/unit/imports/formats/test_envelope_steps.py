"""Incremental parsing of the envelope gives the result of a parser."""

import json
from dataclasses import replace
from typing import Any

import pytest
from format_samples import PLATFORMS
from hypothesis import given
from hypothesis import strategies as st

from bulkport.errors import MalformedBody, RecordTooLarge, TooLarge, ValidationFailed
from bulkport.imports.formats import envelope_steps, parse_envelope
from bulkport.imports.formats.json_values import has_many_values
from bulkport.imports.formats.short_envelope import short_envelope
from bulkport.limits import ImportLimits

LIMITS = ImportLimits()
MIB = 2**20

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\{}[],: \né', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
_blanks = st.text(alphabet=" \t\r\n", max_size=2)

_PADDING = " " * 2000
"""Blanks that make an envelope one that is read in steps."""


@given(records=st.lists(_values, min_size=1, max_size=5), other=_values, blanks=_blanks)
def test_a_short_envelope_has_the_same_records_as_incremental_parsing(
    records: list[Any], other: Any, blanks: str
) -> None:
    body = json.dumps({"x": other, "platforms": records, "y": other}, separators=("," + blanks, blanks + ":"))
    short = short_envelope(body.encode(), "platforms", LIMITS, most_values=1000)
    assert short == parse_envelope((_PADDING + body).encode(), PLATFORMS, LIMITS)


@given(text=st.text(alphabet='{}[]":,\\ 1etrufalsn-.\n\ud800', max_size=30), name=st.sampled_from(["platforms", "x"]))
def test_a_body_rejected_by_incremental_parsing_is_not_a_short_envelope(text: str, name: str) -> None:
    body = f'{{"{name}":[{text}]}}'.encode(errors="surrogatepass")
    try:
        records = parse_envelope(_PADDING.encode() + body, PLATFORMS, LIMITS)
    except (MalformedBody, ValidationFailed):
        records = None
    assert short_envelope(body, "platforms", LIMITS, most_values=1000) == records


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        (b'{"platforms":[1,2,3]}', replace(LIMITS, max_envelope_records=2)),
        (b'{"platforms":["aaaaaaaaa"]}', replace(LIMITS, max_record_bytes=10)),
        (b'{"platforms":[1],"x":"aaaaaaaaa"}', replace(LIMITS, max_record_bytes=10)),
        (b'{"platforms":[1]}', replace(LIMITS, max_envelope_bytes=10)),
        (b'{"platforms":[[1,2,3,4,5,6]]}', LIMITS),
        (b'{"platforms":' + b"[" * 5000 + b"]" * 5000 + b"}", LIMITS),
        (b'{"platforms":[1],"platforms":null}', LIMITS),
        (b'\xef\xbb\xbf{"platforms":[1]}', LIMITS),
        (b"", LIMITS),
    ],
)
def test_a_body_that_may_exceed_a_limit_is_not_a_short_envelope(body: bytes, limits: ImportLimits) -> None:
    assert short_envelope(body, "platforms", limits, most_values=10) is None


@given(records=st.lists(_values, min_size=1, max_size=5), other=_values, indent=st.sampled_from([None, 1]))
def test_records_are_read_as_written(records: list[Any], other: Any, indent: int | None) -> None:
    body = json.dumps({"x": other, "platforms": records, "y": other}, indent=indent).encode()
    found = parse_envelope(body, PLATFORMS, LIMITS)
    assert [json.loads(record) for record in found] == records
    assert not any(b"\n" in record for record in found)


@given(text=st.text(alphabet='{}[]":,\\ 1etrufalsn-.\n', max_size=30))
def test_json_that_a_parser_rejects_is_rejected(text: str) -> None:
    body = '{"platforms":[' + text + "]}"
    try:
        value = json.loads(body, parse_constant=_refuse)
    except ValueError:
        with pytest.raises((MalformedBody, ValidationFailed)):
            parse_envelope(body.encode(), PLATFORMS, LIMITS)
    else:
        records = value.get("platforms")
        try:
            found = parse_envelope(body.encode(), PLATFORMS, LIMITS)
        except ValidationFailed:
            assert not records
        except MalformedBody as error:
            # Stricter than Python: a lone surrogate, and a list that is none.
            assert "surrogate" in error.detail or not isinstance(records, list)  # noqa: PT017
        else:
            assert [json.loads(record) for record in found] == records


def _refuse(constant: str) -> None:
    raise ValueError(constant)


@pytest.mark.parametrize(
    "content",
    [b'"' + b"a" * MIB + b'"', b'"' + b"\\\\" * (MIB // 2) + b'"', b'{"a":"' + b'\\"' * (MIB // 2 - 9) + b'"}'],
)
def test_a_record_can_have_its_full_length(content: bytes) -> None:
    limits = replace(LIMITS, max_record_bytes=len(content))
    assert parse_envelope(b'{"platforms":[1,' + content + b",2]}", PLATFORMS, limits) == [b"1", content, b"2"]
    with pytest.raises(RecordTooLarge, match="Record 2 is larger"):
        parse_envelope(
            b'{"platforms":[1,' + content + b"]}", PLATFORMS, replace(limits, max_record_bytes=len(content) - 1)
        )


@pytest.mark.parametrize(
    "body",
    [
        b'{"platforms":[' + b"[]," * MIB + b"[]]}",
        b'{"x":[' + b"[]," * 300_000 + b'[]],"platforms":[1]}',
        b" " * (4 * MIB) + b'{"platforms":[1]}',
        b'{"platforms":["' + b"a" * MIB + b'"]}',
    ],
)
def test_a_large_body_is_parsed_in_many_steps(body: bytes) -> None:
    steps = 0
    try:
        for _ in envelope_steps(body, PLATFORMS, LIMITS):
            steps += 1
    except (TooLarge, ValidationFailed):
        pass
    assert steps > len(body) / (256 * 1024)


def test_members_outside_the_list_are_limited() -> None:
    limits = replace(LIMITS, max_record_bytes=100)
    assert parse_envelope(b'{"x":"' + b"a" * 90 + b'","platforms":[1]}', PLATFORMS, limits) == [b"1"]
    with pytest.raises(TooLarge, match="beside platforms are larger than 100 bytes"):
        parse_envelope(b'{"x":"' + b"a" * 60 + b'","y":"' + b"a" * 60 + b'","platforms":[1]}', PLATFORMS, limits)
    with pytest.raises(MalformedBody, match="more than 1,000 members"):
        parse_envelope(b"{" + b'"platforms":[],' * 1000 + b'"platforms":[1]}', PLATFORMS, LIMITS)


def test_a_record_of_many_values_is_rejected() -> None:
    fits = b"[" + b"1," * 49_000 + b'"' + b"," * 100_000 + b'"]'
    assert parse_envelope(b'{"platforms":[' + fits + b"]}", PLATFORMS, LIMITS) == [fits]
    with pytest.raises(RecordTooLarge, match="more than 50,000 values"):
        parse_envelope(b'{"platforms":[[' + b"1," * 50_001 + b"1]]}", PLATFORMS, LIMITS)


def test_values_are_counted_outside_of_strings() -> None:
    assert has_many_values(b"[1,2,3,4]", 3)
    assert not has_many_values(b"[1,2,3,4]", 4)
    assert not has_many_values(b'["[[[[,,,,{{{{\\",,,,"]', 2)
    assert has_many_values(b'"",' * 100, 10)
