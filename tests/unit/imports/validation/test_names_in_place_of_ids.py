"""Streamed rows may name another row instead of giving its id."""

from collections.abc import Callable
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bulkport.imports.formats.csv import CsvRecords, match_header
from bulkport.imports.resource import Reference, Resource
from bulkport.imports.validation import ChunkValidator, NotBlank, ValidRows, validate_envelope


class Command(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    how_to: Annotated[str, NotBlank]
    platform_id: Annotated[int, Field(gt=0, le=1000)]


class SlowCommand(Command):
    """The same for Pydantic alone."""

    how_to: Annotated[str, NotBlank, AfterValidator(lambda value: value)]


class ClosedCommand(Command):
    model_config = ConfigDict(extra="forbid")


class LooseCommand(Command):
    """The platform may be left out."""

    platform_id: Annotated[int, Field(gt=0, le=1000)] | None = None


def commands(model: type[BaseModel]) -> Resource:
    reference = Reference("platform_id", "platforms", "Platform", lookup_field="platform_name", lookup_column="name")
    return Resource("commands", model, "commands", "Command", "how_to", references=(reference,))


IDS = {"platform_id": {"Git": 7, "Far": 5000}}
MODELS = [Command, SlowCommand, ClosedCommand]


def validate_json_rows(model: type[BaseModel], *records: str) -> ValidRows:
    validator = ChunkValidator(commands(model), streamed=True)
    return validator.finish(validator.decode_json([record.encode() for record in records], 1), IDS)


def judge_text(model: type[BaseModel], *rows: list[str]) -> ValidRows:
    resource = commands(model)
    validator = ChunkValidator(resource, streamed=True)
    columns = match_header(["how to", "platform id", "platform name"], resource)
    return validator.finish(validator.decode_text(CsvRecords.of_rows(rows, len(columns.fields)), columns, 1), IDS)


def messages(valid: ValidRows) -> list[str]:
    return [error.message for row in valid.errors for error in row.errors]


@pytest.mark.parametrize("model", MODELS)
def test_names_become_ids(model: type[BaseModel]) -> None:
    assert ChunkValidator(commands(model), streamed=True).has_fast_path == (model is not SlowCommand)
    valid = validate_json_rows(
        model,
        '{"howTo":"a","platformName":"Git"}',
        '{"howTo":"b","platformId":3}',
        '{"howTo":"c","platformName":"Git","platformId":null}',
        '{"howTo":"d","platformName":null,"platformId":4}',
    )
    assert [list(column) for column in valid.columns] == [["a", "b", "c", "d"], [7, 3, 7, 4]]
    valid = judge_text(model, ["a", "", "Git"], ["b", "3", ""], ["c", " 4 ", ""])
    assert [list(column) for column in valid.columns] == [["a", "b", "c"], [7, 3, 4]]
    assert valid.record(0).value() == {"howTo": "a", "platformId": "", "platformName": "Git"}


@pytest.mark.parametrize("model", MODELS)
def test_names_to_resolve_are_reported(model: type[BaseModel]) -> None:
    validator = ChunkValidator(commands(model), streamed=True)
    rows = [b'{"howTo":"a","platformName":"Git"}', b'{"howTo":"","platformName":"Hg"}', b'{"howTo":"b","platformId":1}']
    assert validator.decode_json(rows, 1).lookups == {"platform_id": {"Git", "Hg"}}
    assert validator.decode_json(rows[2:], 1).lookups == {}


Validate = Callable[..., ValidRows]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("record", "cells", "expected"),
    [
        ('{"howTo":"a"}', ["a", "", ""], ["platformId or platformName is required"]),
        (
            '{"howTo":"a","platformId":1,"platformName":"Git"}',
            ["a", "1", "Git"],
            ["platformName must not be given together with platformId"],
        ),
        ('{"howTo":"a","platformName":"Hg"}', ["a", "", "Hg"], ["Platform 'Hg' does not exist"]),
        (
            '{"howTo":"","platformName":"Hg"}',
            ["", "", "Hg"],
            ["Platform 'Hg' does not exist", "howTo must not be blank"],
        ),
        ('{"howTo":"","platformName":"Git"}', ["", "", "Git"], ["howTo must not be blank"]),
        ('{"howTo":"a","platformName":"Far"}', ["a", "", "Far"], ["platformId must be at most 1000, not 5000"]),
        ('{"howTo":"a","platformId":0}', ["a", "0", ""], ["platformId must be greater than 0"]),
    ],
)
def test_messages_name_the_missing_reference(
    model: type[BaseModel], record: str, cells: list[str], expected: list[str]
) -> None:
    assert messages(validate_json_rows(model, record)) == expected
    assert messages(judge_text(model, cells)) == expected


@pytest.mark.parametrize("name", ["5", "[]", "{}", "true", "1.5", '["Git"]'])
@pytest.mark.parametrize("model", MODELS)
def test_names_that_are_not_text_are_rejected(model: type[BaseModel], name: str) -> None:
    assert messages(validate_json_rows(model, f'{{"howTo":"a","platformName":{name}}}')) == [
        "platformName must be text"
    ]


@pytest.mark.parametrize("model", MODELS)
def test_odd_names_do_not_exist(model: type[BaseModel]) -> None:
    valid = validate_json_rows(
        model, *(f'{{"howTo":"a","platformName":"{n}"}}' for n in ("x" * 100_000, "\\u0000", "", " "))
    )
    assert len(valid.errors) == 4
    assert all(message.endswith(" does not exist") and len(message) < 150 for message in messages(valid))


def test_lookalike_names_are_distinguished_by_their_code_points() -> None:
    names = ("Zu\u0308rich", "Z\u00fcrich", "Git\u00a0")
    rows = validate_json_rows(Command, *(f'{{"howTo":"a","platformName":"{name}"}}' for name in names))
    assert messages(rows) == [
        "Platform 'Zu\u0308rich' (with U+0308 COMBINING DIAERESIS) does not exist",
        "Platform 'Z\u00fcrich' (with U+00FC LATIN SMALL LETTER U WITH DIAERESIS) does not exist",
        "Platform 'Git\u00a0' (with U+00A0 NO-BREAK SPACE) does not exist",
    ]


def test_an_omitted_optional_platform_is_null() -> None:
    valid = validate_json_rows(
        LooseCommand, '{"howTo":"a"}', '{"howTo":"b","platformName":"Git"}', '{"howTo":"c","platformId":null}'
    )
    assert list(valid.columns[1]) == [None, 7, None]
    valid = judge_text(LooseCommand, ["a", "", ""], ["b", "", "Git"])
    assert list(valid.columns[1]) == [None, 7]


def test_an_envelope_accepts_only_ids() -> None:
    assert validate_envelope([b'{"howTo":"a","platformName":"Git"}'], commands(Command)) == {
        "commands[0].platformId": ["platformId is required"]
    }
