"""Messages of validation errors by the path of their field."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from bulkport.fastapi.validation_errors import field_path, messages_by_path


class Row(BaseModel):
    name: Annotated[str, Field(alias="platformName", max_length=3)]
    tags: list[int] = []


class Envelope(BaseModel):
    platforms: list[Row]

    @model_validator(mode="after")
    def _check(self) -> "Envelope":
        if len(self.platforms) == 2:
            raise ValueError("Two is a crowd")
        return self


def errors_of(value: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Envelope.model_validate(value)
    return caught.value


def test_paths_name_the_row_and_the_field() -> None:
    rows = [{"platformName": "ok"}, {"platformName": "long"}, {"tags": [1, "x"]}]
    assert messages_by_path(errors_of({"platforms": rows}).errors()) == {
        "platforms[1].platformName": ["platformName must be at most 3 characters"],
        "platforms[2].platformName": ["platformName is required"],
        "platforms[2].tags[1]": ["tags[1] must be a whole number"],
    }


def test_an_error_about_the_whole_body_has_the_empty_path() -> None:
    two = [{"platformName": "a"}, {"platformName": "b"}]
    assert messages_by_path(errors_of({"platforms": two}).errors()) == {"": ["Two is a crowd"]}


def test_several_messages_of_a_field_are_kept_in_order_without_duplicates() -> None:
    errors = [
        {"type": "missing", "loc": ("query", "limit"), "msg": ""},
        {"type": "int_parsing", "loc": ("query", "limit"), "msg": ""},
        {"type": "missing", "loc": ("query", "limit"), "msg": ""},
    ]
    assert messages_by_path(errors, skip=1) == {"limit": ["limit is required", "limit must be a whole number"]}


@pytest.mark.parametrize(
    ("location", "path"),
    [((), ""), (("a",), "a"), ((0,), "[0]"), (("a", 0, 1, "b", "c"), "a[0][1].b.c"), ((3, "name"), "[3].name")],
)
def test_a_path_is_written_as_in_code(location: tuple[str | int, ...], path: str) -> None:
    assert field_path(location) == path
