"""The fast path never accepts what Pydantic rejects, and returns the same values."""

import json
import math
from datetime import date
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from bulkport.imports.formats.csv import CsvColumns, CsvRecords
from bulkport.imports.resource import Resource
from bulkport.imports.validation import ChunkValidator, NotBlank
from bulkport.imports.validation.exact_schema import exact_validator
from bulkport.imports.validation.fast_path import FastPath, fast_path_for
from bulkport.imports.validation.unknown_fields import UnknownFields
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.json_text import read_repeating_json
from bulkport.imports.values.numbers import ExactFloat
from bulkport.imports.values.options import PLAIN
from drawn_examples import examples


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Names(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    platform_name: Annotated[str, NotBlank, Field(max_length=6)]


class Wide(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    count: Annotated[int, Field(gt=0, le=2**63 - 1)]
    short_text: Annotated[str, Field(min_length=2, max_length=4)] = "ab"
    note: Annotated[str, NotBlank] | None = None
    ratio: Annotated[float, Field(ge=0, lt=10)] | None
    day: date | None = None
    flag: bool = False
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    size: Literal["s", "m"] = "s"
    grade: Literal[1, 2] = 1


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    any_text: str
    any_number: int
    any_float: float = 0.5


MODELS: list[type[BaseModel]] = [Names, Wide, Closed]


def resource_of(model: type[BaseModel]) -> Resource:
    return Resource(name="things", label="Thing", label_field=next(iter(model.model_fields)), model=model, table="t")


def lane_of(model: type[BaseModel]) -> FastPath:
    path = fast_path_for(resource_of(model), ())
    assert path is not None
    return path


def exactly(model: type[BaseModel], record: bytes) -> Any:
    """The row as Pydantic has it behind the exact readers."""
    from_json(record, allow_inf_nan=False)
    return exact_validator(model, PLAIN, {}, is_text=False).validate_python(read_repeating_json(record.decode()))


def values_of(row: Any, model: type[BaseModel]) -> list[Any]:
    return [getattr(row, name) for name in model.model_fields]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(right, ExactFloat):
        right = float(right)
    return type(left) is type(right) and left == right


STRING_TEXTS = st.one_of(
    st.text(max_size=8).map(json.dumps),
    st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text(alphabet=" \t\n\x0b\x1c\x1f\x85\xa0\u2003\u3000\ufeff\u200b", max_size=4).map(json.dumps),
    st.sampled_from(['"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\udc00x"', '"\x01"', '"\\x"', '"', '"s"', '"1"']),
    st.sampled_from(['"2024-02-29"', '"2023-02-29"', '"0000-01-01"', '"2024-1-1"', '"2024-01-01T00:00:00Z"', '"red"']),
)
NUMBER_TEXTS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-3, 12).map(str),
    st.floats().map(repr),
    st.sampled_from(["1.0", "1e0", "1E400", "-0", "-0.0", "01", "1.", ".5", "+1", "NaN", "Infinity", "-Infinity"]),
    st.sampled_from(["9" * 30, "9" * 4301, "9223372036854775807", "9223372036854775808", "1e-400", "0x1", "1_0"]),
)
VALUE_TEXTS = st.one_of(
    STRING_TEXTS,
    NUMBER_TEXTS,
    st.sampled_from(
        ["true", "false", "null", "{}", "[]", '{"a":[1]}', "", "[" * 120 + "]" * 120, "[" * 250 + "]" * 250]
    ),
)


def keys_of(model: type[BaseModel]) -> list[str]:
    keys = [*model.model_fields, *(info.alias for info in model.model_fields.values() if info.alias)]
    return [*keys, keys[-1].upper(), "notes", "", 'q"q', "tab\t", "ключ", "\\u006eote"]


def likely_value(kind: str) -> st.SearchStrategy[str]:
    likely = {
        "count": ["1", "7"],
        "ratio": ["1", "2.5", "null"],
        "platform_name": ['"Git"'],
        "any_text": ['"x"'],
        "any_number": ["5"],
    }
    return st.one_of(st.sampled_from(likely[kind]), VALUE_TEXTS) if kind in likely else VALUE_TEXTS


@st.composite
def records(draw: st.DrawFn, model: type[BaseModel]) -> bytes:
    members = []
    for name, info in model.model_fields.items():
        if info.is_required() and draw(st.integers(0, 9)) < 9:
            members.append(f'"{info.alias or name}":{draw(likely_value(name))}')
    for key in draw(st.lists(st.sampled_from(keys_of(model)), max_size=4)):
        written = key if key.startswith("\\u") else json.dumps(key)[1:-1]
        members.append(f'"{written}":{draw(VALUE_TEXTS)}')
    text = "{" + ",".join(draw(st.permutations(members))) + draw(st.sampled_from(["}", "}", "}", "} ", ",}", "", "}}"]))
    raw = text.encode(errors="surrogatepass")
    return raw.replace(b"x", b"\xff") if draw(st.integers(0, 30)) == 0 else raw


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=examples(100))
@given(data=st.data())
def test_json_rows_of_the_fast_path_equal_pydantics(model: type[BaseModel], data: st.DataObject) -> None:
    batch = data.draw(st.lists(records(model), min_size=1, max_size=5))
    columns, refused = lane_of(model).decode_json(batch, UnknownFields(keys_of(model)[: len(model.model_fields) * 2]))
    assert {len(column) for column in columns.values()} == {len(batch)}
    for position, record in enumerate(batch):
        if position in refused:
            continue
        expected = exactly(model, record)
        found = [columns[name][position] for name in model.model_fields]
        assert all(map(same, found, values_of(expected, model))), (record, found)


CELL_TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", " ", "\x1c", "\u3000", "0", "007", "1", "-1", "+1", " 5 ", "1_0", "1.0", "٣", "²", "9" * 18]),
    st.sampled_from(["9" * 19, "9" * 4301, "ab", "abcde", "Docker", "\0", "null"]),
)


class Cells(BaseModel):
    name: Annotated[str, NotBlank, Field(max_length=6)]
    plain: str
    short_text: Annotated[str, Field(min_length=2, max_length=4)] = "ab"
    maybe: Annotated[str, Field(min_length=2)] | None
    number: Annotated[int, Field(gt=0, le=2**63 - 1)]
    other: int | None = None


@settings(max_examples=examples(100))
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["Git", "Docker"]) | CELL_TEXTS, *[CELL_TEXTS] * 3, st.sampled_from(["1", "2"]) | CELL_TEXTS
        ).map(lambda row: [*row, row[4]]),
        min_size=1,
        max_size=5,
    )
)
def test_text_rows_of_the_fast_path_equal_pydantics(rows: list[list[str]]) -> None:
    resource = resource_of(Cells)
    columns = CsvColumns(list(Cells.model_fields), [])
    records = CsvRecords.of_rows(rows, len(columns.fields))
    fast, pydantic = ChunkValidator(resource, streamed=True), ChunkValidator(resource, streamed=True)
    assert fast.has_fast_path
    pydantic._fast_path = None
    found = fast.finish(fast.decode_text(records, columns, 1), {})
    expected = pydantic.finish(pydantic.decode_text(records, columns, 1), {})
    assert [list(column) for column in found.columns] == [list(column) for column in expected.columns]
    assert list(found.row_numbers) == list(expected.row_numbers)
    assert [(error.row, list(error.errors)) for error in found.errors] == [
        (error.row, list(error.errors)) for error in expected.errors
    ]


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=examples(100))
@given(data=st.data())
def test_a_row_is_valid_exactly_where_pydantic_accepts_it(model: type[BaseModel], data: st.DataObject) -> None:
    batch = data.draw(st.lists(records(model), min_size=1, max_size=4))
    validator = ChunkValidator(resource_of(model), streamed=True)
    valid = validator.finish(validator.decode_json(batch, 1), {})
    for number, record in enumerate(batch, start=1):
        try:
            row = exactly(model, record)
        except (ValidationError, ValueFault, ValueError):
            assert number not in valid.row_numbers
        else:
            is_storable = not any("\0" in value for value in values_of(row, model) if isinstance(value, str))
            assert (number in valid.row_numbers) == is_storable
