"""Models of all kinds keep their constraints and validators; none of their types converts by itself."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import (
    AfterValidator,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    NaiveDatetime,
    PlainValidator,
    PositiveInt,
    StringConstraints,
    WrapValidator,
    create_model,
)
from pydantic.networks import IPvAnyAddress
from pydantic_core import PydanticCustomError

from bulkport.imports.formats import CsvRecords, match_header
from bulkport.imports.resource import Resource
from bulkport.imports.validation import ChunkValidator

T = TypeVar("T")


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Lenient(Enum):
    X = "x"

    @classmethod
    def _missing_(cls, value: object) -> "Lenient | None":
        return cls.X if str(value).lower() == "x" else None


@dataclass
class Point:
    x: int
    day: date


class Part(BaseModel):
    model_config = ConfigDict(strict=True)
    n: int
    day: date = date(2024, 1, 1)


class Cat(BaseModel):
    kind: Literal["cat"]
    n: int


class Dog(BaseModel):
    kind: Literal["dog"]
    day: date


class Box(BaseModel, Generic[T]):
    v: T


class Tree(BaseModel):
    n: int
    kids: "list[Tree]" = []


def _address(text: str) -> str:
    if "@" not in text[1:-1]:
        raise PydanticCustomError(
            "value_error", "value is not a valid email address: {reason}", {"reason": "No domain."}
        )
    return text


def cell(annotation: Any, text: str) -> Any:
    return _read(
        annotation,
        lambda validator, resource: validator.decode_text(
            CsvRecords.of_rows([["x", text]], 2), match_header(["label", "v"], resource), 1
        ),
    )


def member(annotation: Any, text: str) -> Any:
    return _read(annotation, lambda validator, _: validator.decode_json([f'{{"label":"x","v":{text}}}'.encode()], 1))


def _read(annotation: Any, decode: Any) -> Any:
    model = create_model("Model", label=(str, ...), v=(annotation, ...))
    resource = Resource(name="m", label="M", label_field="label", model=model, table="t")
    validator = ChunkValidator(resource, streamed=True)
    valid = validator.finish(decode(validator, resource), {})
    if valid.errors:
        return "; ".join(error.message for error in valid.errors[0].errors)
    return valid.columns[1][0]


@pytest.mark.parametrize(
    ("annotation", "text", "written", "value"),
    [
        (PositiveInt, "5", "5", 5),
        (Decimal | None, "1.50", "1.50", Decimal("1.50")),
        (Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True)], " ab ", '" ab "', "AB"),
        (set[str], "{a,b,a}", '["a","b","a"]', {"a", "b"}),
        (tuple[int, str], '[1,"a"]', '[1,"a"]', (1, "a")),
        (list[date], "{2024-01-31}", '["2024-01-31"]', [date(2024, 1, 31)]),
        (Level, "2", "2", Level.HIGH),
        (Lenient, "X", '"X"', Lenient.X),
        (Literal[1, 2], "2", "2", 2),
        (Literal[True], "true", "true", True),
        (int | str, "5", "5", 5),
        (int | str, "x", '"x"', "x"),
        (Point, '{"x":1,"day":"2024-01-31"}', '{"x":1,"day":"2024-01-31"}', Point(1, date(2024, 1, 31))),
        (Part, '{"n":1}', '{"n":1}', Part(n=1)),
        (
            Annotated[Cat | Dog, Field(discriminator="kind")],
            '{"kind":"cat","n":1}',
            '{"kind":"cat","n":1}',
            Cat(kind="cat", n=1),
        ),
        (Box[date], '{"v":"2024-01-31"}', '{"v":"2024-01-31"}', Box[date](v=date(2024, 1, 31))),
        (Tree, '{"n":1,"kids":[{"n":2}]}', '{"n":1,"kids":[{"n":2}]}', Tree(n=1, kids=[Tree(n=2)])),
        (dict[str, Decimal], '{"a":1.10}', '{"a":1.10}', {"a": Decimal("1.10")}),
        (Json[list[int]], "[1]", '"[1]"', [1]),
        (Base64Bytes, "aGk=", '"aGk="', b"hi"),
        (IPvAnyAddress, "192.0.2.1", '"192.0.2.1"', IPv4Address("192.0.2.1")),
        (timedelta, "P1D", '"P1D"', timedelta(days=1)),
        (Annotated[int, AfterValidator(lambda value: value * 2)], "4", "4", 8),
        (Annotated[int, BeforeValidator(len)], "abc", '"abc"', 3),
        (Annotated[int, PlainValidator(lambda text: int(text, 16))], "ff", '"ff"', 255),
        (Annotated[int, WrapValidator(lambda value, handler: handler(value) + 1)], "5", "5", 6),
    ],
)
def test_cells_and_members_are_read_alike(annotation: Any, text: str, written: str, value: Any) -> None:
    assert cell(annotation, text) == value
    assert member(annotation, written) == value


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (Point, '{"x":"1","day":"2024-01-31"}', "v.x must be a whole number, not '1'"),
        (Part, '{"n":1,"day":20240131}', "v.day 20240131 is not a date; write 2024-01-31 or set dateFormat"),
        (Box[date], '{"v":45322}', "v.v 45322 is not a date; write 2024-01-31 or set dateFormat"),
        (Tree, '{"n":1,"kids":[{"n":"2"}]}', "v.kids[0].n must be a whole number, not '2'"),
        (list[date], '["20240131"]', "v[0] '20240131' is not a date; write 2024-01-31 or set dateFormat"),
        (dict[str, int], '{"a":1.0}', "v.a must be a whole number, not 1.0"),
        (Level, '"1"', "v must be 1 or 2, not '1'"),
        (timedelta, "86400", "v 86400 is not a duration; write P1DT2H30M or 1 day 02:30:00"),
        (AwareDatetime, '"2024-01-31T00:00:00"', "v must have a time zone, not 2024-01-31T00:00:00"),
        (NaiveDatetime, '"2024-01-31T00:00:00Z"', "v must not have a time zone"),
        (
            Annotated[datetime, BeforeValidator(lambda value: value)],
            "1706659200",
            "v 1706659200 is not a date and time; write 2024-01-31T23:59:59Z or set dateFormat",
        ),
        (Annotated[str, AfterValidator(_address)], '"a@"', "v 'a@' is not an address: No domain."),
    ],
)
def test_values_that_would_be_converted_are_rejected(annotation: Any, written: str, message: str) -> None:
    assert member(annotation, written) == message


def test_a_number_is_not_an_address() -> None:
    assert str(member(IPvAnyAddress, "5")).startswith("v 5 is not an IP address")
