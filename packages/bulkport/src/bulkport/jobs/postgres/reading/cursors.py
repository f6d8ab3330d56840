"""Cursors: a place in the order of jobs, as opaque text that only this database's readers can write.

A cursor is signed, together with the query that it belongs to. Otherwise whoever may search could ask what lies right
after any place: for a text that is masked in what they see, the answer would reveal which job has it.
"""

import binascii
import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bulkport.identifiers import MAX_BIGINT
from bulkport.jobs.errors import InvalidCursor
from bulkport.jobs.port.query import JobQuery, JobSort

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOST_CHARACTERS: Final = 200
_SIGNATURE_BYTES: Final = 16

# Not the bounds in time: a list of the last hour has others on each page.
_SIGNED: Final = (
    *("task", "queue", "user_id", "text", "error_type", "batch_id", "recurring_id", "tag", "server", "priority"),
    *("has_all_tags", "descending"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a job in a sort order: its sort value and id."""

    value: datetime | timedelta
    job_id: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where looking for jobs begins, and in which direction: the cursor of a page, if it has a place."""

    place: Place | None = None
    """Jobs beyond this place; None: from the first one."""
    is_backward: bool = False
    """Against the order of the query."""


@dataclass(frozen=True, slots=True)
class WalkCursor:
    """The position of a walk through job ids, and its start: newer jobs are not part of it."""

    place: Place
    begun_at: datetime


class Cursors:
    """Writes and reads the cursors of one query.

    Parameters
    ----------
    key
        The database's, of 32 bytes.
    """

    def __init__(self, key: bytes, query: JobQuery) -> None:
        self._key = key
        self._sort = query.sort
        self._query = [sorted(query.states), query.sort.value, *(getattr(query, name) for name in _SIGNED)]

    def write_page(self, place: Place, *, is_backward: bool) -> str:
        """The cursor of the page that begins after a place, or ends before it, as text."""
        return self._write([self._sort.value, *_numbers(place), int(is_backward)])

    def read_page(self, text: str) -> Start:
        """Parse a cursor.

        Raises
        ------
        InvalidCursor
            It stands for none, or for one of another query.
        """
        kind, value, job_id, is_backward = self._read(text, 4)
        if kind != self._sort.value or is_backward not in (0, 1):
            raise InvalidCursor
        return Start(_place(value, job_id, self._sort), bool(is_backward))

    def write_walk(self, cursor: WalkCursor) -> str:
        """The cursor as text."""
        return self._write(["walk", *_numbers(cursor.place), (cursor.begun_at - _EPOCH) // _MICROSECOND])

    def read_walk(self, text: str) -> WalkCursor:
        """Parse a cursor. Raises as `read_page`."""
        kind, value, job_id, begun_at = self._read(text, 4)
        if kind != "walk":
            raise InvalidCursor
        return WalkCursor(_place(value, job_id, JobSort.CREATED), _time(begun_at))

    def _write(self, parts: list[str | int]) -> str:
        payload = json.dumps(parts, separators=(",", ":")).encode()
        return urlsafe_b64encode(self._signature(payload) + payload).decode().rstrip("=")

    def _read(self, text: str, length: int) -> list[str | int]:
        if len(text) > _MOST_CHARACTERS:
            raise InvalidCursor
        try:
            signed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            raise InvalidCursor from None
        signature, payload = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(payload)):
            raise InvalidCursor
        parts: list[str | int] = json.loads(payload)
        if len(parts) != length:
            raise InvalidCursor
        return parts

    def _signature(self, payload: bytes) -> bytes:
        message = payload + b"\0" + json.dumps(self._query).encode()
        return hmac.digest(self._key, message, hashlib.sha256)[:_SIGNATURE_BYTES]


def _numbers(place: Place) -> tuple[int, int]:
    span = place.value - _EPOCH if isinstance(place.value, datetime) else place.value
    return span // _MICROSECOND, place.job_id


def _place(value: str | int, job_id: str | int, sort: JobSort) -> Place:
    assert isinstance(job_id, int)
    if not 0 <= job_id <= MAX_BIGINT:
        raise InvalidCursor
    return Place(_span(value) if sort is JobSort.DURATION else _time(value), job_id)


def _time(microseconds: str | int) -> datetime:
    return _EPOCH + _span(microseconds)


def _span(microseconds: str | int) -> timedelta:
    assert isinstance(microseconds, int)
    return timedelta(microseconds=microseconds)
