"""The catalogue of messages: every example produces its message, and no message is missing."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from bulkport.imports.formats import CsvColumns, CsvRecords
from bulkport.imports.resource import Resource
from bulkport.imports.validation import ChunkValidator, NotBlank, ValidRows, stored_texts
from bulkport.imports.values import (
    arrays,
    composite_text,
    durations,
    faults,
    hstore,
    json_text,
    moments,
    numbers,
    options,
    scalars,
)
from bulkport.imports.values.column_type import ColumnType, TypeKind, named
from bulkport.imports.values.options import ValueOptions

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "messages.md").read_text(encoding="utf-8")
_SPECIAL = {
    "numeric(6,2)": ColumnType("numeric", modifier=((6 << 16) | 2) + 4),
    "time(0)": ColumnType("time", modifier=0),
    "varchar(5)": ColumnType("varchar", modifier=9),
    "size": ColumnType("size", TypeKind.ENUM, labels=("S", "L")),
    "daterange": ColumnType("daterange", TypeKind.RANGE, element=named("date")),
}
_SPECIAL["address"] = ColumnType(
    "address", TypeKind.COMPOSITE, attributes=(("street", named("text")), ("zip", named("integer")))
)
_SPECIAL["interval day"] = ColumnType("interval", modifier=(8 << 16) | 0xFFFF)
_SPECIAL["datemultirange"] = ColumnType("datemultirange", TypeKind.MULTIRANGE, element=_SPECIAL["daterange"])


def examples() -> Iterator[tuple[str, str]]:
    for part in PAGE.split("\n## ")[1:-1]:
        yield from re.findall(r"^\| `(.*?)` \| (.*) \|$", part, re.MULTILINE)


def order() -> type[BaseModel]:
    """The model on the page."""
    known = {name: globals()[name] for name in _NAMES}
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, known)
    model = known["Order"]
    assert inspect.isclass(model)
    assert issubclass(model, BaseModel)
    return model


_NAMES = (
    *("Annotated", "Any", "BaseModel", "Decimal", "Enum", "Field", "NotBlank", "UTC", "UUID"),
    *("date", "datetime", "time", "timedelta"),
)
MODEL = order()
RESOURCE = Resource(name="orders", label="Order", label_field="name", model=MODEL, table="orders")
_TABLE = PAGE.split("CREATE TABLE orders (")[1].split("```")[0]
_COLUMNS = re.findall(r"(\w+) ([a-z]+(?: [a-z]+)?(?:\([\d,]+\))?(?:\[\])?)(?:,|\n\))", _TABLE)
TYPES = {name: _SPECIAL.get(kind) or named(kind) for name, kind in _COLUMNS}


def messages(sent: str) -> list[str]:
    """The message about a JSON record, or about a CSV cell beside a valid name."""
    cell, _, zone = sent.partition("?timeZone=")
    validator = ChunkValidator(RESOURCE, streamed=True, columns=TYPES, options=ValueOptions(zone=zone or None))
    if sent.startswith(("{", "[")):
        record = json.dumps({"name": "a"} | json.loads(sent)) if _is_nameless(sent) else sent
        batch = validator.decode_json([record.encode()], 1)
    else:
        field, _, text = cell.partition("=")
        row = {"name": "a", field: text}
        batch = validator.decode_text(CsvRecords.of_rows([list(row.values())], len(row)), CsvColumns(list(row), []), 1)
    valid = validator.finish(batch, {})
    found = [error.message for row in valid.errors for error in row.errors]
    texts = stored_texts(
        valid.columns, RESOURCE, list(TYPES.values()), validator.options, encoded=valid.encoded, sent=_sent(valid)
    )
    return found + [error.message for fault in texts.faults.values() for error in fault]


def _sent(valid: ValidRows) -> Callable[[int], Any]:
    return lambda position: valid.record(position).value()


def _is_nameless(sent: str) -> bool:
    try:
        record = json.loads(sent)
    except ValueError:
        return False
    return isinstance(record, dict) and "name" not in record and sent != '{"number": 1}'


def test_the_page_shows_its_model_and_table() -> None:
    assert list(TYPES) == list(MODEL.model_fields)


@pytest.mark.parametrize(("sent", "message"), list(examples()))
def test_an_example_produces_its_message(sent: str, message: str) -> None:
    assert messages(sent) == [message]


def templates() -> Iterator[str]:
    modules = (arrays, composite_text, durations, faults, hstore, json_text, moments, numbers, options, scalars)
    for module in modules:
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, str) and "{value}" in value:
                yield value


@pytest.mark.parametrize("template", sorted(set(templates())))
def test_every_message_about_a_value_has_an_example(template: str) -> None:
    pattern = re.escape(template).replace(re.escape("{value}"), ".+").replace(re.escape("{zone}"), ".+")
    assert any(re.search(pattern, message) for _, message in examples()), template


_ = (Annotated, Any, BaseModel, Decimal, Enum, Field, NotBlank, UTC, UUID, date, datetime, time, timedelta)
