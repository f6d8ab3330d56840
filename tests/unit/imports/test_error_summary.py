"""`errorSummary`: the first bad rows in at most 500 characters."""

from typing import Any

import pytest
from pydantic import BaseModel

from bulkport.imports.resource import Resource
from bulkport.imports.summary import MAX_SUMMARY_LENGTH, error_summary, fatal_summary, unknown_fields_warnings


class Thing(BaseModel):
    name: str


THINGS = Resource(name="things", label="Thing", label_field="name", model=Thing, table="things")


def _bad(number: int, name: Any = "x", *messages: str) -> tuple[int, Any, Any]:
    errors = [{"field": "name", "message": message} for message in messages or ("name is bad",)]
    return number, errors, {"name": name}


def test_without_bad_rows_there_is_no_summary() -> None:
    assert error_summary(THINGS, [], 0) is None


def test_the_summary_lists_rows_and_messages() -> None:
    summary = error_summary(THINGS, [_bad(1, "A", "one", "two"), _bad(7, "B", "three")], 2)
    assert summary == "Thing 'A': one, two; Thing 'B': three"


def test_ten_rows_are_listed_and_the_rest_counted() -> None:
    summary = error_summary(THINGS, [_bad(number, str(number)) for number in range(10)], 1234)
    assert summary is not None
    assert summary.count("Thing '") == 10
    assert summary.endswith("Thing '9': name is bad (and 1224 more)")


def test_the_summary_is_cut_between_errors() -> None:
    summary = error_summary(THINGS, [_bad(number, "n" * 90) for number in range(10)], 10)
    assert summary is not None
    assert len(summary) <= MAX_SUMMARY_LENGTH
    shown = summary.count("Thing '")
    assert summary.endswith(f"name is bad (and {10 - shown} more)")
    assert summary.count(f"'{'n' * 90}': name is bad") == shown > 1


def test_a_single_long_error_is_truncated() -> None:
    summary = error_summary(THINGS, [_bad(1, "A", "m" * 600), _bad(2)], 2)
    assert summary is not None
    assert len(summary) == MAX_SUMMARY_LENGTH
    assert summary.endswith("m… (and 1 more)")


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"name": ""}, ""),
        ({"name": "two\nlines\tand\0nul"}, "two lines andnul"),
        ({"name": "\ud800"}, "?"),
        ({"name": 12}, "12"),
        ({"name": None}, "row 3"),
        ({}, "row 3"),
        ("not an object", "row 3"),
        ({"name": "n" * 200}, "n" * 99 + "…"),
    ],
)
def test_names_are_shown(record: Any, name: str) -> None:
    assert error_summary(THINGS, [(3, [{"field": "", "message": "m"}], record)], 1) == f"Thing '{name}': m"


def test_a_fatal_error_is_one_line() -> None:
    assert fatal_summary("disk\n  full\0") == "Fatal error: disk full"
    assert len(fatal_summary("x" * 1000)) == MAX_SUMMARY_LENGTH


def test_unknown_fields_are_reported_once_each() -> None:
    assert unknown_fields_warnings([]) == []
    assert unknown_fields_warnings(["b", "a", "B", "a"]) == ["Unknown fields were ignored: b, a, B"]


def test_many_or_long_unknown_fields_are_abbreviated() -> None:
    (warning,) = unknown_fields_warnings([f"{number:02}{'x' * 200}" for number in range(60)])
    assert warning.endswith(f", 49{'x' * 97}… and others")
    assert warning.count("…") == 50
