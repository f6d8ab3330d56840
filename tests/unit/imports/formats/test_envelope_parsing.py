"""The JSON envelope: its records as they came, or one clear error."""

from contextlib import suppress
from dataclasses import replace

import pytest
from format_samples import COMMANDS, PLATFORMS
from hypothesis import given
from hypothesis import strategies as st

from bulkport.errors import MalformedBody, RecordTooLarge, TooLarge, ValidationFailed
from bulkport.fastapi.error_responses import status_of
from bulkport.imports.formats import parse_envelope
from bulkport.imports.resource import Resource
from bulkport.limits import ImportLimits

LIMITS = ImportLimits()


def parse(body: bytes, resource: Resource = PLATFORMS, limits: ImportLimits = LIMITS) -> list[bytes]:
    return parse_envelope(body, resource, limits)


@pytest.mark.parametrize(
    ("body", "records"),
    [
        (
            b'{"platforms":[{"platformName":"Docker"},{"a": [1, {}]}]}',
            [b'{"platformName":"Docker"}', b'{"a": [1, {}]}'],
        ),
        (b'\xef\xbb\xbf{"platforms":[1]}', [b"1"]),
        (b' \r\n{ "x": [[]], "platforms" : [ {\n"a":\n1} ], "y": "z"} \n', [b'{ "a": 1}']),
        (b'{"platforms":null,"platforms":[2,3]}', [b"2", b"3"]),
        (b'{"platforms":[null,"x",[],1e999,' + b"9" * 400 + b"]}", [b"null", b'"x"', b"[]", b"1e999", b"9" * 400]),
    ],
    ids=["plain", "byte order mark", "spaces", "same member twice", "rows that are no objects"],
)
def test_records_are_returned_as_sent(body: bytes, records: list[bytes]) -> None:
    assert parse(body) == records


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"platforms":null}', "Platforms list cannot be null"),
        (b"{}", "Platforms list cannot be null"),
        (b'{"Platform":[{}]}', "Platforms list cannot be null"),
        (b'{"platforms":[{}],"platforms":null}', "Platforms list cannot be null"),
        (b'{"platforms":[ ]}', "Platforms list must contain at least one platform"),
        (b'{"platforms":[' + b",".join([b"{}"] * 1001) + b"]}", "Bulk import cannot exceed 1000 platforms per request"),
        (
            b'{"platforms":[' + b",".join([b"1"] * 90_000) + b"]}",
            "Bulk import cannot exceed 1000 platforms per request",
        ),
    ],
)
def test_lists_of_the_wrong_length_are_rejected_in_the_contracts_words(body: bytes, message: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse(body)
    assert (caught.value.detail, caught.value.errors) == (message, {"platforms": [message]})


def test_messages_name_the_resource_and_the_limit() -> None:
    limits = replace(LIMITS, max_envelope_records=2)
    assert parse(b'{"commands":[1,2]}', COMMANDS, limits) == [b"1", b"2"]
    with pytest.raises(ValidationFailed, match=r"^Bulk import cannot exceed 2 commands per request$"):
        parse(b'{"commands":[1,2,3]}', COMMANDS, limits)
    with pytest.raises(ValidationFailed, match=r"^Commands list must contain at least one command$"):
        parse(b'{"commands":[]}', COMMANDS)


def test_a_thousand_records_are_accepted() -> None:
    assert len(parse(b'{"platforms":[' + b",".join([b"{}"] * 1000) + b"]}")) == 1000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is empty."),
        (b"  \n", "not valid JSON"),
        (b"\xef\xbb\xbf", "not valid JSON"),
        (b"[]", 'must be an object such as {"platforms": [...]}'),
        (b'{"platforms":{}}', "must be an object such as"),
        (b'{"platforms":"x"}', "must be an object such as"),
        (b'{"platforms":[1],"platforms":[2,3]}', "The body has the list platforms twice; send one list."),
        (b'{"platforms":[{}]}x', "not valid JSON"),
        (b'{"platforms":[{}]}{"platforms":[{}]}', "not valid JSON"),
        (b'{"platforms":[{}]', "not valid JSON"),
        (b'{"platforms":[{},]}', "not valid JSON"),
        (b'{"platforms":[NaN]}', "not valid JSON"),
        (b'{"platforms":[{"a":Infinity}]}', "not valid JSON"),
        (b"{'platforms':[]}", "not valid JSON"),
        (b'{"platforms":[{"platformName":"caf\xe9"}]}', "not valid UTF-8"),
        (b'{"platforms":[{"a":"\xed\xa0\x80"}]}', "not valid UTF-8"),
        (b'{"x":"\xff","platforms":[{}]}', "not valid UTF-8"),
        ('{"platforms":[{}]}'.encode("utf-16"), "UTF-16"),
        ('{"platforms":[{}]}'.encode("utf-16-le"), "NUL bytes at its start"),
        ('{"platforms":[{}]}'.encode("utf-32"), "UTF-32"),
        (b'{"platforms":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"platforms":[' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]}", "nested too deeply"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"platforms":[{}]}', "nested too deeply"),
        (b"[" * 100_000, "must be an object such as"),
    ],
)
def test_malformed_bodies_are_rejected(body: bytes, message: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse(body)
    assert message in caught.value.detail
    assert status_of(caught.value) == 400


@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]":,platforms1\\u \n', max_size=60).map(str.encode))
def test_any_bytes_lead_to_records_or_a_client_error(body: bytes) -> None:
    with suppress(MalformedBody, ValidationFailed):
        assert parse(b'{"platforms":[' + body + b"]}")


def test_sizes_are_limited() -> None:
    limits = replace(LIMITS, max_envelope_bytes=60, max_record_bytes=20)
    with pytest.raises(TooLarge, match="larger than 60 bytes"):
        parse(b'{"platforms":["' + b"x" * 60 + b'"]}', limits=limits)
    with pytest.raises(RecordTooLarge, match="Record 2 is larger than 20 bytes"):
        parse(b'{"platforms":[1,"' + b"x" * 20 + b'"]}', limits=limits)
