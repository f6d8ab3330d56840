"""Cursors: a place in the order of jobs, as opaque text."""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bulkport.identifiers import MAX_BIGINT
from bulkport.jobs.errors import InvalidCursor
from bulkport.jobs.reading.query import JobSort

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOST_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a job in an order: what it is sorted by, and its id."""

    value: datetime | timedelta
    job_id: int


@dataclass(frozen=True, slots=True)
class PageCursor:
    """Where a page begins (after its place) or ends (before it)."""

    sort: JobSort
    place: Place
    is_backward: bool

    def __str__(self) -> str:
        return _encode([self.sort.value, *_numbers(self.place), int(self.is_backward)])

    @classmethod
    def parse(cls, text: str, sort: JobSort) -> "PageCursor":
        """The cursor that `text` stands for.

        Raises
        ------
        InvalidCursor
            It stands for none, or for one in another order.
        """
        kind, value, job_id, is_backward = _decode(text, 4)
        if kind != sort.value or is_backward not in (0, 1):
            raise InvalidCursor
        return cls(sort, _place(value, job_id, sort), bool(is_backward))


@dataclass(frozen=True, slots=True)
class WalkCursor:
    """How far a walk through the ids of jobs has come, and when it began: younger jobs are no part of it."""

    place: Place
    begun_at: datetime

    def __str__(self) -> str:
        return _encode(["walk", *_numbers(self.place), (self.begun_at - _EPOCH) // _MICROSECOND])

    @classmethod
    def parse(cls, text: str) -> "WalkCursor":
        """The cursor that `text` stands for.

        Raises
        ------
        InvalidCursor
            It stands for none.
        """
        kind, value, job_id, begun_at = _decode(text, 4)
        if kind != "walk":
            raise InvalidCursor
        return cls(_place(value, job_id, JobSort.CREATED), _time(begun_at))


def _encode(parts: list[str | int]) -> str:
    return urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(text: str, length: int) -> list[str | int]:
    if len(text) > _MOST_CHARACTERS:
        raise InvalidCursor
    try:
        parts = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidCursor from None
    if not isinstance(parts, list) or len(parts) != length or type(parts[0]) is not str:
        raise InvalidCursor
    if any(type(part) is not int for part in parts[1:]):
        raise InvalidCursor
    return parts


def _numbers(place: Place) -> tuple[int, int]:
    span = place.value - _EPOCH if isinstance(place.value, datetime) else place.value
    return span // _MICROSECOND, place.job_id


def _place(value: str | int, job_id: str | int, sort: JobSort) -> Place:
    assert isinstance(job_id, int)
    if not 0 <= job_id <= MAX_BIGINT:
        raise InvalidCursor
    return Place(_span(value) if sort is JobSort.DURATION else _time(value), job_id)


def _time(microseconds: str | int) -> datetime:
    try:
        return _EPOCH + _span(microseconds)
    except OverflowError:
        raise InvalidCursor from None


def _span(microseconds: str | int) -> timedelta:
    assert isinstance(microseconds, int)
    try:
        return timedelta(microseconds=microseconds)
    except OverflowError:
        raise InvalidCursor from None
