"""Cursors of pages and walks: there and back, and nothing but cursors."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkport.errors import BulkportError
from bulkport.jobs.errors import InvalidCursor
from bulkport.jobs.postgres.reading.cursors import PageCursor, Place, WalkCursor
from bulkport.jobs.reading.query import JobSort

TIMES = st.datetimes(timezones=st.just(UTC))
IDS = st.integers(min_value=0, max_value=2**63 - 1)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(TIMES, IDS, st.booleans())
def test_a_place_by_time_comes_back(value: datetime, job_id: int, is_backward: bool) -> None:
    cursor = PageCursor(JobSort.CREATED, Place(value, job_id), is_backward)
    assert PageCursor.parse(str(cursor), JobSort.CREATED) == cursor


@given(st.timedeltas(), IDS)
def test_a_place_by_duration_comes_back(value: timedelta, job_id: int) -> None:
    cursor = PageCursor(JobSort.DURATION, Place(value, job_id), is_backward=False)
    assert PageCursor.parse(str(cursor), JobSort.DURATION) == cursor


@given(TIMES, IDS, TIMES)
def test_a_walk_comes_back(value: datetime, job_id: int, begun_at: datetime) -> None:
    cursor = WalkCursor(Place(value, job_id), begun_at)
    assert WalkCursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "a" * 1000,
        "!!!!",
        encoded(None),
        encoded([]),
        encoded(["created", 1, 2]),
        encoded(["created", 1, 2, 0, 0]),
        encoded(["finished", 1, 2, 0]),
        encoded(["walk", 1, 2, 0]),
        encoded(["created", 1, 2, 2]),
        encoded(["created", 1, -2, 0]),
        encoded(["created", 1, 2**63, 0]),
        encoded(["created", 10**30, 2, 0]),
        encoded(["created", 10**17 * 9, 2, 0]),
        encoded(["created", 1.5, 2, 0]),
        encoded(["created", True, 2, 0]),
        encoded(["created", "1", 2, 0]),
        encoded(["created", 1, None, 0]),
        encoded([["created"], 1, 2, 0]),
        "W" * 199,
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor) as caught:
        PageCursor.parse(text, JobSort.CREATED)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, BulkportError)


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    for parse in (lambda: PageCursor.parse(text, JobSort.DURATION), lambda: WalkCursor.parse(text)):
        try:
            parse()
        except InvalidCursor:
            continue
