"""Columns are matched to fields by name, and missing ones are named."""

import pytest
from format_samples import COMMANDS, PLATFORMS

from bulkport.errors import CsvHeaderError
from bulkport.fastapi.error_responses import status_of
from bulkport.imports.formats import CsvColumns, match_header


@pytest.mark.parametrize(
    "name", ["platformName", "PLATFORMNAME", "Platform Name", " platform_name ", "platform-name", "Platform\u00a0Name"]
)
def test_names_match_ignoring_case_spaces_and_dashes(name: str) -> None:
    assert match_header([name], PLATFORMS) == CsvColumns(["platform_name"], [])


def test_columns_can_have_any_order_and_optional_ones_can_be_absent() -> None:
    header = ["platform id", "Command Line", "how_to"]
    assert match_header(header, COMMANDS).fields == ["platform_id", "command_line", "how_to"]


def test_a_name_column_of_the_referenced_row_replaces_its_id() -> None:
    header = ["howTo", "commandLine", "platformName"]
    assert match_header(header, COMMANDS).fields == ["how_to", "command_line", "platform_name"]


def test_unknown_and_nameless_columns_are_collected() -> None:
    columns = match_header(["Colour ", "platformName", "", "x"], PLATFORMS)
    assert columns == CsvColumns([None, "platform_name", None, None], ["Colour", "(column 3)", "x"])


def test_each_unknown_column_has_its_own_name() -> None:
    columns = match_header(["a (column 4)", "platformName", "a", "a", "(column 5)", ""], PLATFORMS)
    assert columns.unknown == ["a (column 4)", "a", "a (column 4) (column 4)", "(column 5)", "(column 6)"]
    assert match_header(["x", "x", "platformName"], PLATFORMS).unknown == ["x", "x (column 2)"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["platformName", "platform_name"], "The CSV header has the column platformName twice."),
        (["name"], "The CSV header has no column platformName."),
        (["id;platformName"], "no column platformName. Is another delimiter needed"),
        (['{"platforms":[{"platformName":"Docker"}]}'], "If the body is JSON"),
        (["<html><table>"], "looks like HTML or XML"),
        (["%PDF-1.7"], "is a PDF"),
    ],
)
def test_an_unusable_header_is_rejected(header: list[str], message: str) -> None:
    with pytest.raises(CsvHeaderError) as caught:
        match_header(header, PLATFORMS)
    assert message in caught.value.detail
    assert status_of(caught.value) == 400


def test_every_missing_column_is_named() -> None:
    with pytest.raises(CsvHeaderError, match=r"no column commandLine, platformId \(or platformName\)\."):
        match_header(["howTo"], COMMANDS)
