"""Arguments are checked against the signature, stored as JSON and come back typed."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.arguments import TaskArguments
from bulkport.jobs.context import JobContext
from bulkport.jobs.errors import ArgumentsDoNotFit, TaskDeclarationError

CONTEXT = JobContext(
    BackgroundJobId("1"), "task", {}, 0, attempt=1, max_attempts=1, asks_cancel=lambda: False, asks_stop=lambda: False
)


class Colour(Enum):
    RED = "red"


@dataclass
class Part:
    size: Decimal
    made: date


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    number: UUID = Field(alias="orderNumber")
    at: datetime


ORDER = Order(orderNumber=UUID(int=7), at=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 2**60),
        (str, "Grüße \\u0000 🎈"),
        (float, 1.5),
        (bytes, b"abc"),
        (date, date(2026, 2, 28)),
        (datetime, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (timedelta, timedelta(minutes=90)),
        (UUID, UUID(int=3)),
        (Decimal, Decimal("10.10")),
        (Colour, Colour.RED),
        (Part, Part(Decimal("1.20"), date(2026, 1, 1))),
        (Order, ORDER),
        (list[Part], [Part(Decimal(1), date(2026, 1, 1))]),
        (dict[int, set[str]], {1: {"a"}}),
        (tuple[int, str] | None, (1, "a")),
        (str | None, None),
        (Annotated[int, Field(gt=0)], 1),
        (Any, {"any": [1, None]}),
    ],
    ids=str,
)
def test_a_value_round_trips(annotation: Any, value: object) -> None:
    def task(value: Any) -> None: ...

    task.__annotations__["value"] = annotation
    arguments = TaskArguments(task, "task")
    stored = json.loads(json.dumps(arguments.to_stored([value], {})))
    again = arguments.from_stored(stored)["value"]
    assert again == value
    assert type(again) is type(value)


def every_kind(first: int, /, second: str, context: JobContext, *, third: bool = False) -> tuple[object, ...]:
    return first, second, context, third


def test_each_kind_of_parameter_is_passed() -> None:
    arguments = TaskArguments(every_kind, "task")
    stored = arguments.to_stored([1, "b"], {"third": True})
    assert stored == {"first": 1, "second": "b", "third": True}
    assert arguments.call(every_kind, arguments.from_stored(stored), CONTEXT) == (1, "b", CONTEXT, True)


def test_defaults_are_those_of_the_running_function() -> None:
    def old(a: int, b: int = 1) -> int: ...  # type: ignore[empty-body]

    def new(a: int, b: int = 2) -> int:
        return a + b

    stored = TaskArguments(old, "task").to_stored([1], {})
    arguments = TaskArguments(new, "task")
    assert stored == {"a": 1}
    assert arguments.call(new, arguments.from_stored(stored), CONTEXT) == 3


@pytest.mark.parametrize(
    ("args", "kwargs", "names"),
    [
        ([], {}, ["count"]),
        ([1, None, 3, 4], {}, ["too many"]),
        ([1], {"other": 2}, ["other"]),
        (["x"], {"when": "never"}, ["count: ", "when: "]),
        ([1], {"anything": float("nan")}, ["not JSON"]),
        ([1], {"anything": ["\0"]}, ["NUL"]),
        ([1], {"anything": {"\ud800": 1}}, ["surrogate"]),
        ([1], {"anything": object()}, ["object"]),
        ([1], {"context": CONTEXT}, ["context"]),
    ],
)
def test_mismatched_arguments_are_named(args: list[object], kwargs: dict[str, object], names: list[str]) -> None:
    def task(count: int, when: date | None = None, anything: Any = None, context: JobContext = CONTEXT) -> None: ...

    with pytest.raises(ArgumentsDoNotFit) as raised:
        TaskArguments(task, "send").to_stored(args, kwargs)
    assert str(raised.value).startswith("send: ")
    for name in names:
        assert name in str(raised.value)


def test_an_argument_that_cannot_be_read_back_is_rejected_at_once() -> None:
    class Measure(BaseModel):
        value: Annotated[int, PlainSerializer(lambda value: f"{value} m")]

    def task(measure: Measure) -> None: ...

    with pytest.raises(ArgumentsDoNotFit, match=r"measure\.value"):
        TaskArguments(task, "task").to_stored([Measure(value=3)], {})


def test_stored_arguments_are_checked_again() -> None:
    def task(count: int, recipient: str) -> None: ...

    with pytest.raises(ArgumentsDoNotFit) as raised:
        TaskArguments(task, "task").from_stored({"count": "many", "address": "a"})
    for name in ("count: ", "recipient: ", "address: "):
        assert name in str(raised.value)


def takes_rest(*rest: int) -> None: ...
def takes_named(**named: int) -> None: ...
def takes_connection(connection: int) -> None: ...
def takes_at(at: int) -> None: ...
def takes_in(in_: int) -> None: ...
def takes_stranger(it: "object()") -> None: ...  # type: ignore[valid-type]
def takes_unknown(it: "Unknown") -> None: ...  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    "function",
    [takes_rest, takes_named, takes_connection, takes_at, takes_in, takes_stranger, takes_unknown],
    ids=lambda function: function.__name__,
)
def test_a_parameter_that_no_job_could_fill_is_rejected(function: Any) -> None:
    with pytest.raises(TaskDeclarationError, match="task send: "):
        TaskArguments(function, "send")
