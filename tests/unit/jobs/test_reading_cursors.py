"""Cursors of pages and walks: there and back, and nothing but cursors."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkport.errors import BulkportError
from bulkport.jobs import JobState
from bulkport.jobs.errors import InvalidCursor
from bulkport.jobs.port.query import JobQuery, JobSort
from bulkport.jobs.postgres.reading.cursors import Cursors, Place, Start, WalkCursor

TIMES = st.datetimes(timezones=st.just(UTC))
IDS = st.integers(min_value=0, max_value=2**63 - 1)
KEY = bytes(range(32))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

BY_CREATION = Cursors(KEY, JobQuery())
BY_DURATION = Cursors(KEY, JobQuery(sort=JobSort.DURATION))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(TIMES, IDS, st.booleans())
def test_a_position_by_time_round_trips(value: datetime, job_id: int, is_backward: bool) -> None:
    cursor = Start(Place(value, job_id), is_backward)
    assert BY_CREATION.read_page(BY_CREATION.write_page(cursor.place, is_backward=cursor.is_backward)) == cursor


@given(st.timedeltas(), IDS)
def test_a_position_by_duration_round_trips(value: timedelta, job_id: int) -> None:
    cursor = Start(Place(value, job_id), is_backward=False)
    assert BY_DURATION.read_page(BY_DURATION.write_page(cursor.place, is_backward=cursor.is_backward)) == cursor


@given(TIMES, IDS, TIMES)
def test_a_walk_round_trips(value: datetime, job_id: int, begun_at: datetime) -> None:
    cursor = WalkCursor(Place(value, job_id), begun_at)
    assert BY_CREATION.read_walk(BY_CREATION.write_walk(cursor)) == cursor


@pytest.mark.parametrize(
    "other",
    [
        {"text": "secret"},
        {"task": "report"},
        {"states": {JobState.FAILED}},
        {"user_id": "ada"},
        {"sort": JobSort.FINISHED},
        {"descending": False},
    ],
)
def test_a_cursor_belongs_to_its_query(other: dict[str, Any]) -> None:
    text = Cursors(KEY, JobQuery(**other)).write_page(Place(NOON, 1), is_backward=False)
    with pytest.raises(InvalidCursor):
        BY_CREATION.read_page(text)


def test_a_cursor_of_an_older_list_of_the_last_hour_still_works() -> None:
    cursor = Start(Place(NOON, 1), is_backward=True)
    later = Cursors(KEY, JobQuery(created_since=NOON + timedelta(minutes=1)))
    assert (
        later.read_page(
            Cursors(KEY, JobQuery(created_since=NOON)).write_page(cursor.place, is_backward=cursor.is_backward)
        )
        == cursor
    )


def test_a_changed_or_foreign_cursor_is_rejected() -> None:
    cursor = Start(Place(NOON, 1), is_backward=False)
    text = BY_CREATION.write_page(cursor.place, is_backward=cursor.is_backward)
    changed = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text) - 1)]
    for wrong in (*changed, Cursors(bytes(32), JobQuery()).write_page(cursor.place, is_backward=cursor.is_backward)):
        with pytest.raises(InvalidCursor):
            BY_CREATION.read_page(wrong)
    with pytest.raises(InvalidCursor):
        BY_CREATION.read_walk(text)


@pytest.mark.parametrize(
    "text", ["", "x", "é", "a" * 1000, "!!!!", encoded(None), encoded([]), encoded(["created", 1, 2, 0]), "W" * 199]
)
def test_an_invalid_cursor_is_rejected(text: str) -> None:
    with pytest.raises(InvalidCursor) as caught:
        BY_CREATION.read_page(text)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, BulkportError)


@given(st.text())
def test_arbitrary_text_is_rejected(text: str) -> None:
    for read in (BY_DURATION.read_page, BY_DURATION.read_walk):
        with pytest.raises(InvalidCursor):
            read(text)
