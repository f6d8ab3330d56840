"""Batch-read cells give the results of the exact readers, including rejections."""

import json
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, NaiveDatetime

from bulkport.imports.formats import CsvColumns, CsvRecords
from bulkport.imports.resource import Resource
from bulkport.imports.validation import ChunkValidator, stored_texts
from bulkport.imports.values.column_text import value_text
from bulkport.imports.values.column_type import ColumnType, TypeKind, named
from drawn_examples import examples


class Mood(Enum):
    HAPPY = "happy"
    SAD = "so, so"


class Typed(BaseModel):
    number: int
    price: Decimal
    ratio: float
    day: date
    at: datetime
    seen: AwareDatetime | None = None
    local: NaiveDatetime
    key: UUID
    mood: Mood = Mood.HAPPY
    size: Literal["s", "m"]
    ok: bool
    note: str
    tags: list[str]
    data: dict[str, Any]
    other: Any


COLUMNS = {
    "number": named("integer"),
    "price": ColumnType("numeric", modifier=((8 << 16) | 2) + 4),
    "ratio": named("double precision"),
    "day": named("date"),
    "at": named("timestamptz"),
    "seen": named("timestamptz"),
    "local": named("timestamp"),
    "key": named("uuid"),
    "mood": ColumnType("mood", TypeKind.ENUM, labels=("happy", "so, so")),
    "size": named("text"),
    "ok": named("boolean"),
    "note": named("text"),
    "tags": named("text[]"),
    "data": named("jsonb"),
    "other": named("json"),
}
LIKELY: dict[str, list[str]] = {
    "number": ["1", "-5", "007"],
    "price": ["1.5", "-0", "123456.78", "1234567.8", "1.234", "1.500", "1e2", ".5"],
    "ratio": ["0.1", "-3", "1e5", "1e400", "0.30000000000000004"],
    "day": ["2024-02-29", "2023-02-29", "0000-01-01", "2024-13-01", "20240131", "2024-01-31 00:00:00"],
    "at": ["2024-01-31T10:11:12Z", "2024-01-31 10:11:12.123456+05:30", "2024-01-31T24:00:00Z", "2023-02-29T00:00:00Z"],
    "seen": ["", "2024-01-31T10:11:12-15:59", "2024-01-31T10:11:12+16:00", "2024-01-31T10:11:12"],
    "local": ["2024-01-31T10:11:12", "2024-01-31", "2024-01-31T10:11:12Z", "2024-01-31T10:11:12.1234567"],
    "key": ["123e4567-e89b-12d3-a456-426614174000", "123E4567E89B12D3A456426614174000", "x"],
    "mood": ["", "happy", "so, so", "HAPPY"],
    "size": ["s", "m", "l"],
    "ok": ["true", "No", "1", "tRuE", "2"],
    "note": ["x", "", "\0"],
    "tags": ["{}", "{a,b}", '{"a b","c\\"d"}', "{NULL}", '["a","b"]', "{a", "{a,}", '{"null"}', "{\x0b}", "{a\u00a0}"],
    "data": ['{"a": 1}', "{}", "[]", '{"a":0.10000000000000000055}', '{"a":"\\u0000"}', '{"a":NaN}', "x"],
    "other": ["1", '"x"', "null", '{"b": [1, 2.50]}', "NaN", "01", '"\\ud800"'],
}
WILD = st.text(st.sampled_from('0123456789-+:.TZ{}[],"\\ anulNaeE_x'), max_size=12)
ROWS = st.tuples(*[st.sampled_from(LIKELY[name][:3]) | st.sampled_from(LIKELY[name]) | WILD for name in COLUMNS])


def stored(rows: list[list[str]], *, encodes: bool) -> dict[int, Any]:
    resource = Resource(name="typed", label="Row", label_field="note", model=Typed, table="t")
    validator = ChunkValidator(resource, streamed=True, columns=COLUMNS, encodes=encodes)
    batch = validator.decode_text(CsvRecords.of_rows(rows, len(COLUMNS)), CsvColumns(list(COLUMNS), []), 1)
    valid = validator.finish(batch, {})
    texts = stored_texts(
        valid.columns,
        resource,
        list(COLUMNS.values()),
        encoded=valid.encoded,
        sent=lambda position: valid.record(position).value(),
    )
    found: dict[int, Any] = {error.row: [fault.message for fault in error.errors] for error in valid.errors}
    for position, number in enumerate(valid.row_numbers):
        if position in texts.faults:
            found[number] = [fault.message for fault in texts.faults[position]]
        else:
            found[number] = tuple(
                _canonical(column[position], kind) for column, kind in zip(texts.columns, COLUMNS.values(), strict=True)
            )
    return found


def _canonical(text: str | None, kind: ColumnType) -> Any:
    if text is None:
        return None
    if kind.name in ("json", "jsonb"):
        return json.loads(text, parse_float=Decimal)
    canonical = value_text(kind)(text)
    if kind.name == "numeric":
        return Decimal(canonical)
    return datetime.fromisoformat(canonical) if kind.name == "timestamptz" else canonical


@settings(max_examples=examples(60))
@given(rows=st.lists(ROWS.map(list), min_size=1, max_size=4))
def test_batch_read_cells_equal_those_of_the_exact_readers(rows: list[list[str]]) -> None:
    assert stored(rows, encodes=True) == stored(rows, encodes=False)


@pytest.mark.parametrize("name", LIKELY)
def test_each_form_of_a_cell_is_read_alike(name: str) -> None:
    good = [LIKELY[other][1 if other in ("seen", "mood") else 0] for other in LIKELY]
    place = list(LIKELY).index(name)
    rows = [[*good[:place], cell, *good[place + 1 :]] for cell in LIKELY[name]]
    found = stored(rows, encodes=True)
    assert found == stored(rows, encodes=False)
    assert any(isinstance(row, tuple) for row in found.values())
