"""Reads rows with values that Python cannot represent: times beyond its calendar, 5,000 digits, JSON 1,000 levels deep.

Bulkport writes none of these. Somebody else's SQL may, and one such row must not hide all others of its page.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import psycopg
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.json import set_json_loads

Row = TypeVar("Row")

_FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""What stands for times beyond: far from the ends of the calendar, so that one can count on from there."""
_MOST_DIGITS: Final = 4_000
_TOO_DEEP: Final = "…"


async def fetch_tolerantly(
    new_cursor: Callable[[], psycopg.AsyncCursor[Row]],
    execute: Callable[[psycopg.AsyncCursor[Row]], Awaitable[object]],
) -> list[Row]:
    """The rows of a statement. If a value cannot be read, the statement runs again with the nearest readable value.

    Parameters
    ----------
    execute
        Runs the statement, which only reads, on a cursor.
    """
    cursor = new_cursor()
    await execute(cursor)
    try:
        return await cursor.fetchall()
    except (psycopg.DataError, ValueError, RecursionError):
        cursor = new_cursor()
    cursor.adapters.register_loader("timestamptz", _NearestTime)
    set_json_loads(_nearest_json, cursor)
    await execute(cursor)
    return await cursor.fetchall()


class _NearestTime(TimestamptzLoader):
    """A time; the nearest there is for `infinity` and years beyond 9999 or before 1."""

    def load(self, data: Any) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return _FIRST if text.startswith(b"-") or text.endswith(b"BC") else _LAST


def _nearest_json(data: str | bytes) -> Any:
    try:
        return json.loads(data, parse_int=_integer, parse_float=_number)
    except RecursionError:
        return _TOO_DEEP


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < _MOST_DIGITS else digits


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if abs(number) < float("inf") else digits
