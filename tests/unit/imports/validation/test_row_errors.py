"""What a bad row looked like, as JSON that every reader takes."""

import json

import pytest

from bulkport.imports.validation.row_errors import JsonRecord, SourceRecord, TextRecord, UnreadableRecord


@pytest.mark.parametrize(
    ("record", "value"),
    [
        (JsonRecord(b'{"a": [1.50, "x"]}'), {"a": [1.5, "x"]}),
        (JsonRecord(b'{"a": "\\ud83d\\ude00"}'), {"a": "\U0001f600"}),
        (JsonRecord(b'{"a": "\\ud83d"}'), '{"a": "\\ud83d"}'),
        (JsonRecord(b'{"a": NaN}'), '{"a": NaN}'),
        (JsonRecord(b"[1]"), "[1]"),
        (JsonRecord(b"\xff"), "\\xFF"),
        (JsonRecord(b'{"a":' + b"[" * 80 + b"]" * 80 + b"}"), '{"a":' + "[" * 80 + "]" * 80 + "}"),
        (TextRecord(["x", 'say "hi"'], ["a", "b"]), {"a": "x", "b": 'say "hi"'}),
        (TextRecord(["\0"], ["a"]), {"a": "\0"}),
        (TextRecord(['"\ud800\\'], ["a"]), {"a": '"?\\'}),
        (UnreadableRecord('a,"'), 'a,"'),
    ],
)
def test_records_are_reported_as_json(record: SourceRecord, value: object) -> None:
    text = record.json()
    assert json.loads(text) == value
    assert "\0" not in text
    text.encode()
