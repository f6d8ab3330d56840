"""Row validation: values, messages and row numbers."""

import gc
import json
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from bulkport.imports.formats.csv import BadRecord, CsvRecords, match_header
from bulkport.imports.resource import Resource
from bulkport.imports.validation import ChunkValidator, NotBlank, ValidRows, validate_envelope
from bulkport.imports.validation.unknown_fields import UnknownFields


class Platform(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    platform_name: Annotated[str, NotBlank, Field(max_length=10)]


class Unit(Enum):
    PIECE = "piece"
    METRE = "metre"


class Product(BaseModel):
    """A model with all that text cells can hold."""

    sku: str
    price: Annotated[Decimal, Field(max_digits=6, decimal_places=2)]
    count: int
    made_on: date | None
    unit: Unit = Unit.PIECE
    is_sold: bool = False


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


class Picky(BaseModel):
    """A model that only Pydantic supports."""

    number: Annotated[int, AfterValidator(_even)]
    tags: list[str] = []

    @model_validator(mode="after")
    def _stumble(self) -> "Picky":
        if self.number == 8:
            raise ValueError("eight is taken")
        if self.number == 66:
            raise KeyError(self.number)
        return self


def resource_of(model: type[BaseModel], name: str = "things") -> Resource:
    return Resource(name=name, label="Thing", label_field=next(iter(model.model_fields)), model=model, table="t")


PLATFORMS = resource_of(Platform, "platforms")


def validate(model: type[BaseModel], *records: bytes | str, first_row: int = 1) -> ValidRows:
    validator = ChunkValidator(resource_of(model), streamed=True)
    raw = [record.encode() if isinstance(record, str) else record for record in records]
    return validator.finish(validator.decode_json(raw, first_row), {})


def judge_cells(model: type[BaseModel], header: list[str], *rows: list[str] | BadRecord) -> ValidRows:
    resource = resource_of(model)
    validator = ChunkValidator(resource, streamed=True)
    return validator.finish(
        validator.decode_text(CsvRecords.of_rows(rows, len(header)), match_header(header, resource), 1), {}
    )


def messages(valid: ValidRows) -> list[str]:
    return [error.message for row in valid.errors for error in row.errors]


def test_rows_keep_their_order_and_numbers() -> None:
    valid = validate(Platform, '{"platformName":"a"}', "{}", '{"platformName":"b"}', first_row=41)
    assert [list(column) for column in valid.columns] == [["a", "b"]]
    assert list(valid.row_numbers) == [41, 43]
    assert [(error.row, error.record_json()) for error in valid.errors] == [(42, "{}")]
    assert valid.record(1).value() == {"platformName": "b"}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"platformName":""}', "platformName must not be blank"),
        ('{"platformName":" \\t "}', "platformName must not be blank"),
        ('{"platformName":"12345678901"}', "platformName must be at most 10 characters"),
        ('{"platformName":5}', "platformName must be text"),
        ('{"platformName":null}', "platformName must not be null"),
        ("{}", "platformName is required"),
        ('{"platform_name":"Docker"}', "platformName is required"),
        ('{"platformName":"a\\u0000b"}', "platformName must not contain the character NUL"),
        ("[]", "the row must be a JSON object"),
        ("5", "the row must be a JSON object"),
        ("null", "the row must be a JSON object"),
    ],
)
def test_messages_name_the_field_and_the_problem(record: str, message: str) -> None:
    assert messages(validate(Platform, record)) == [message]


@pytest.mark.parametrize(
    "record",
    [
        *(b"", b" ", b"{", b"nope", b"\x00", b"[" * 100_000, b'{"platformName":"a"} x'),
        *(b'{"platformName":"\xff"}', b'{"platformName":"\\ud800"}', b'\xef\xbb\xbf{"platformName":"a"}'),
        b'{"platformName":' + b"9" * 5000 + b"}",
    ],
)
def test_invalid_json_is_a_row_error(record: bytes) -> None:
    (error,) = validate(Platform, b'{"platformName":"fine"}', record).errors
    assert error.row == 2
    assert error.errors[0].message.startswith("the row is not valid JSON: ")
    json.loads(error.record_json())


def test_json_types_are_strict() -> None:
    assert messages(validate(Product, '{"sku":"a","price":"1.10","count":"5","made_on":"2024-02-29"}')) == [
        "count must be a whole number, not '5'"
    ]
    valid = validate(Product, '{"sku":"a","price":"1.10","count":5,"made_on":"2024-02-29","unit":"metre"}')
    assert [column[0] for column in valid.columns] == ["a", Decimal("1.10"), 5, date(2024, 2, 29), Unit.METRE, False]
    assert messages(validate(Product, '{"sku":"a","price":1,"count":true,"made_on":null}')) == [
        "count must be a whole number, not true"
    ]


def test_numbers_of_any_size_are_accepted_or_rejected_but_never_raise() -> None:
    valid = validate(
        Product, *('{"sku":"a","price":1,"count":%s,"made_on":null}' % ("9" * n) for n in (20, 4000, 4301))
    )
    assert list(valid.row_numbers) == [1, 2]
    assert messages(valid)[0].startswith("the row is not valid JSON")


def test_a_model_with_validators_runs_on_pydantic() -> None:
    assert not ChunkValidator(resource_of(Picky), streamed=True).has_fast_path
    valid = validate(
        Picky, '{"number":2}', '{"number":3}', '{"number":8}', '{"number":66}', '{"number":4,"tags":["a\\u0000"]}'
    )
    assert list(valid.row_numbers) == [1]
    assert messages(valid) == [
        "number must be even",
        "eight is taken",
        "the row cannot be checked: KeyError",
        "tags must not contain the character NUL",
    ]


def test_a_row_with_very_many_errors_reports_some() -> None:
    assert len(messages(validate(Picky, json.dumps({"number": 2, "tags": [1] * 1000})))) == 20


def test_nested_error_locations_are_named() -> None:
    assert messages(validate(Picky, '{"number":2,"tags":["a",5]}')) == ["tags[1] must be text"]


HEADER = ["SKU", "Price", "count", "Made on", "unit", "is-sold"]


def test_cells_are_read_according_to_their_field() -> None:
    valid = judge_cells(Product, HEADER, ["a", "1.10", " 5 ", "2024-02-29", "metre", "true"])
    assert [column[0] for column in valid.columns] == ["a", Decimal("1.10"), 5, date(2024, 2, 29), Unit.METRE, True]


def test_an_empty_cell_is_the_default_or_null_or_empty_text() -> None:
    valid = judge_cells(Product, HEADER, ["", "1", "2", "", "", ""])
    assert [column[0] for column in valid.columns] == ["", Decimal(1), 2, None, Unit.PIECE, False]
    assert messages(judge_cells(Product, HEADER, ["a", "", "", "", "", ""])) == [
        "price is required",
        "count is required",
    ]
    assert messages(judge_cells(Platform, ["platform name"], [""], [" "])) == ["platformName must not be blank"] * 2


def test_a_record_that_could_not_be_split_is_a_row_error() -> None:
    valid = judge_cells(Platform, ["platform name"], ["a"], BadRecord('x"', "a quote must open its field"), ["b"])
    assert list(valid.row_numbers) == [1, 3]
    assert valid.record(1).value() == {"platformName": "b"}
    assert messages(valid) == ["a quote must open its field"]
    assert valid.errors[0].record == 'x"'


def test_a_bad_text_row_is_reported_with_its_unknown_columns() -> None:
    (error,) = judge_cells(Platform, ["My notes", "platform name"], ["x", ""]).errors
    assert error.record == {"My notes": "x", "platformName": ""}


def test_unknown_fields_are_ignored_and_recorded() -> None:
    validator = ChunkValidator(PLATFORMS, streamed=True)
    records = [b'{"platformName":"a"}', b'{"platformName":"b","notes":[[]],"n":1}', b'{"notes":"","platformName":"c"}']
    valid = validator.finish(validator.decode_json([*records, b'{"x\\"\\u0000":1}'], 1), {})
    assert list(valid.columns[0]) == ["a", "b", "c"]
    assert validator.unknown_fields == {"notes", "n", 'x"\N{REPLACEMENT CHARACTER}'}


@pytest.mark.parametrize(("depth", "is_valid"), [(50, True), (190, True), (250, False), (5000, False)])
def test_unknown_fields_can_nest_as_deep_as_pydantic_allows(depth: int, is_valid: bool) -> None:
    validator = ChunkValidator(PLATFORMS, streamed=True)
    deep = b'{"platformName":"a","notes":' + b"[" * depth + b"]" * depth + b"}"
    for records in ([deep], [b'{"platformName":"a","notes":1}', deep], [deep, deep]):
        valid = validator.finish(validator.decode_json(records, 1), {})
        assert (len(records) in valid.row_numbers) == is_valid


def test_recorded_unknown_fields_are_bounded() -> None:
    validator = ChunkValidator(PLATFORMS, streamed=True)
    records = [json.dumps({"platformName": "a", f"{i:03}" * 100: 1}).encode() for i in range(200)]
    assert len(validator.finish(validator.decode_json(records, 1), {}).row_numbers) == 200
    assert len(validator.unknown_fields) == UnknownFields.MAX_NAMES
    assert max(map(len, validator.unknown_fields)) <= UnknownFields.MAX_LENGTH


def test_a_model_that_forbids_unknown_fields_rejects_them() -> None:
    class Closed(Platform):
        model_config = ConfigDict(extra="forbid")

    validator = ChunkValidator(resource_of(Closed), streamed=True)
    assert validator.has_fast_path
    valid = validator.finish(validator.decode_json([b'{"platformName":"a","notes":1}'] * 2, 1), {})
    assert messages(valid) == ["notes is not a known field"] * 2


@pytest.mark.parametrize("config", [ConfigDict(str_strip_whitespace=True), ConfigDict(str_to_lower=True)])
def test_a_configuration_that_changes_values_is_honoured(config: ConfigDict) -> None:
    class Configured(Platform):
        model_config = config

    assert not ChunkValidator(resource_of(Configured), streamed=True).has_fast_path
    assert validate(Configured, '{"platformName":" A "}').columns[0][0] != " A "


def test_the_garbage_collector_is_on_again_afterwards() -> None:
    seen: list[bool] = []

    class Watched(BaseModel):
        name: Annotated[str, AfterValidator(lambda value: (seen.append(gc.isenabled()), value)[1])]

    assert gc.isenabled()
    validate(Watched, '{"name":"a"}')
    assert (seen, gc.isenabled()) == ([False], True)


def test_an_envelope_is_validated_as_a_whole() -> None:
    records = [b'{"platformName":"a"}', b'{"platformName":""}', b"5", b"{}"]
    assert validate_envelope(records, PLATFORMS) == {
        "platforms[1].platformName": ["platformName must not be blank"],
        "platforms[2]": ["the row must be a JSON object"],
        "platforms[3].platformName": ["platformName is required"],
    }
    assert validate_envelope(records[:1], PLATFORMS) == {}


@pytest.mark.parametrize("value", [None, 5, 1.5, True, "x", [], {}, [[]], {"a": None}])
def test_no_value_raises(value: Any) -> None:
    for model in (Platform, Product, Picky):
        for name in model.model_fields:
            validate(model, json.dumps({name: value}), json.dumps(value))


@pytest.mark.parametrize("name", ["\u200b", "\u00a0", " \ufeff\u2060 ", "\u3164", "\u2003"])
def test_a_name_of_invisible_characters_is_blank(name: str) -> None:
    expected = ["platformName must not be blank"]
    assert messages(validate(Platform, json.dumps({"platformName": name}))) == expected
    assert messages(validate(Platform, json.dumps({"platformName": name}, ensure_ascii=False))) == expected
    assert messages(judge_cells(Platform, ["platform name"], [name])) == expected
    assert not messages(validate(Platform, json.dumps({"platformName": f"a{name}"})))


@pytest.mark.parametrize("cell", ["1_40183", "4_0", "1.0", "1e3", "0x1", "\u0661", "1 0", "1,0"])
def test_an_integer_consists_only_of_digits(cell: str) -> None:
    valid = judge_cells(Product, HEADER, ["a", "1", cell, "", "", ""])
    (message,) = messages(valid)
    assert message.startswith(f"count must be a whole number, not '{cell}'")


def test_non_json_numbers_are_rejected() -> None:
    for number in ("NaN", "Infinity", "-Infinity"):
        found = messages(validate(Product, f'{{"sku":"a","price":{number},"count":1,"made_on":null}}'))
        assert len(found) == 1
        assert f"{number} is not a JSON number" in found[0]
