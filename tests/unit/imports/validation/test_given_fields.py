"""Which fields a row gives: an update leaves the others alone."""

from typing import Annotated, cast

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bulkport.imports.formats import CsvRecords, match_header
from bulkport.imports.resource import Reference, Resource
from bulkport.imports.validation import ChunkValidator, ValidRows
from bulkport.imports.validation.row_errors import FieldError
from bulkport.imports.validation.row_validator import TextRowValidator
from bulkport.imports.values.options import Blank, ValueOptions


class Person(BaseModel):
    email: str
    name: str | None = None
    level: int = 1
    team_id: int | None = None


class SlowPerson(Person):
    email: Annotated[str, AfterValidator(lambda email: email)]


TEAM = Reference("team_id", table="teams", label="Team", lookup_field="team", lookup_column="name")
MODELS: list[type[Person]] = [Person, SlowPerson]
EVERY = frozenset(Person.model_fields)


def validator(model: type[Person], options: ValueOptions | None = None) -> ChunkValidator:
    resource = Resource(name="p", label="P", label_field="email", model=model, table="t", references=(TEAM,))
    return ChunkValidator(resource, streamed=True, tracks_given=True, options=options or ValueOptions())


def of_json(model: type[Person], *records: str) -> ValidRows:
    rows = validator(model)
    return rows.finish(rows.decode_json([record.encode() for record in records], 1), {"team_id": {"red": 7}})


def of_cells(
    model: type[Person], header: list[str], *rows: list[str], options: ValueOptions | None = None
) -> ValidRows:
    checked = validator(model, options)
    columns = match_header(header, checked._resource)
    records = CsvRecords.of_rows(rows, len(header))
    return checked.finish(checked.decode_text(records, columns, 1), {"team_id": {"red": 7}})


@pytest.mark.parametrize("model", MODELS)
def test_members_of_a_record_are_given_including_nulls(model: type[Person]) -> None:
    valid = of_json(
        model,
        '{"email":"a"}',
        '{"email":"b","name":null}',
        '{"email":"c","level":5,"team_id":null}',
        '{"email":"d","team":"red"}',
        '{"email":1}',
        '{"email":"e","name":"x","level":1,"team_id":3}',
    )
    assert valid.given == [{"email"}, {"email", "name"}, {"email", "level", "team_id"}, {"email", "team_id"}, EVERY]
    assert [list(column) for column in valid.columns] == [
        ["a", "b", "c", "d", "e"],
        [None, None, None, None, "x"],
        [1, 1, 5, 1, 1],
        [None, None, None, 7, 3],
    ]


@pytest.mark.parametrize("model", MODELS)
def test_columns_of_a_file_are_given(model: type[Person]) -> None:
    valid = of_cells(model, ["email", "team"], ["a", "red"], ["b", ""])
    assert valid.given == [{"email", "team_id"}, {"email", "team_id"}]
    assert [list(column) for column in valid.columns] == [["a", "b"], [None, None], [1, 1], [7, None]]
    assert of_cells(model, ["email", "name", "level", "team_id"], ["a", "", "", ""]).given == [EVERY]


@pytest.mark.parametrize("model", MODELS)
def test_blank_cells_mean_what_the_import_declares(model: type[Person]) -> None:
    header = ["email", "name", "level"]
    rows = (["a", "x", "2"], ["b", "", ""])
    kept = of_cells(model, header, *rows, ["c", " ", " \u00a0"], options=ValueOptions(blank=Blank.KEEP))
    assert kept.given == [{"email", "name", "level"}, {"email"}, {"email", "name"}]
    assert [list(column) for column in kept.columns[1:3]] == [["x", None, " "], [2, 1, 1]]
    null = of_cells(model, header, *rows, options=ValueOptions(blank=Blank.NULL))
    assert null.given == [{"email", "name", "level"}] * 2
    assert [list(column) for column in null.columns[:3]] == [["a", "b"], ["x", None], [2, 1]]
    empty = of_cells(model, header, *rows, options=ValueOptions(blank=Blank.EMPTY))
    assert list(empty.columns[1]) == ["x", ""]


def test_a_blank_cell_that_keeps_the_old_value_is_missing_where_required() -> None:
    valid = of_cells(Person, ["email"], [""], options=ValueOptions(blank=Blank.KEEP))
    assert [error.message for row in valid.errors for error in row.errors] == ["email is required"]


def test_null_words_trimming_and_normal_forms_apply() -> None:
    options = ValueOptions(trim=True, normalize="NFC", null_words=("NULL", "n/a"))
    valid = of_cells(
        Person,
        ["email", "name", "level"],
        [" a\u00a0", "NULL", "n/a"],
        ["Zu\u0308rich", "\u200b", "2"],
        ["NULL", "x", "1"],
        options=options,
    )
    assert [list(column) for column in valid.columns[:3]] == [["a", "Z\u00fcrich"], [None, None], [1, 2]]
    assert [(row.row, row.errors[0].message) for row in valid.errors] == [(3, "email must not be null")]
    assert valid.errors[0].record == {"email": "NULL", "name": "x", "level": "1"}


def test_absent_and_null_are_not_distinguished_unless_requested() -> None:
    resource = Resource(name="p", label="P", label_field="email", model=Person, table="t")
    rows = ChunkValidator(resource, streamed=True)
    assert rows.finish(rows.decode_json([b'{"email":"a"}'], 1), {}).given is None


class Point(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    east_of: int


class Place(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    at_point: Point


def test_objects_in_cells_have_the_members_of_their_model() -> None:
    resource = Resource(name="places", label="Place", label_field="at_point", model=Place, table="places")
    rows = TextRowValidator(resource, [])
    assert rows.validate(['{"eastOf": 3}'], ["at_point"]) == Place(atPoint=Point(eastOf=3))
    (error,) = cast("list[FieldError]", rows.validate(["{}"], ["at_point"]))
    assert error.message == "atPoint.eastOf is required"
