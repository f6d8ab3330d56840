"""Values come out of PostgreSQL as they went in, whatever characters they hold, by COPY and by arrays of text."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bulkport.imports.values.copy_text import column_texts, copy_block

_STORABLE = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")
_AWKWARD = st.sampled_from(["\\", "\\N", "\\.", "\t", "\n", "\r", "\r\n", "\x1d", "\x1e", "\x1f", "", '"', "'", ","])
_TEXTS = st.none() | st.text(_STORABLE) | st.lists(_AWKWARD).map("".join)
_COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "text": _TEXTS,
    "bigint": st.none() | st.integers(-(2**63), 2**63 - 1),
    "numeric": st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=5),
    "double precision": st.none() | st.floats(allow_nan=False),
    "boolean": st.none() | st.booleans(),
    "date": st.none() | st.dates(date(1, 1, 1)),
    "time": st.none() | st.times(),
    "timestamptz": st.none() | st.datetimes(timezones=st.just(UTC)),
    "interval": st.none() | st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
    "uuid": st.none() | st.uuids(),
    "bytea": st.none() | st.binary(),
    "text[]": st.none() | st.lists(st.none() | st.text(_STORABLE), min_size=1),
    "jsonb": st.none() | st.dictionaries(st.text(_STORABLE), st.integers() | st.text(_STORABLE), min_size=1),
}


@pytest.mark.parametrize("kind", list(_COLUMNS))
@pytest.mark.parametrize("way", ["copy", "array"])
def test_round_trip(database_url: str, kind: str, way: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TEMP TABLE t (position int GENERATED ALWAYS AS IDENTITY, label text, value {kind})")

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(st.lists(st.tuples(_TEXTS, _COLUMNS[kind]), min_size=1, max_size=20))
        def check(rows: list[tuple[str | None, Any]]) -> None:
            labels, values = [label for label, _ in rows], [value for _, value in rows]
            columns = [column_texts(labels, "text"), column_texts(values, kind)]
            connection.execute("TRUNCATE t")
            with connection.cursor() as cursor:
                if way == "copy":
                    with cursor.copy("COPY t (label, value) FROM STDIN") as copy:
                        copy.write(copy_block(columns))
                else:
                    cursor.execute(
                        f"INSERT INTO t (label, value) "
                        f"SELECT a, b::{kind} FROM unnest(%b::text[], %b::text[]) AS given (a, b)",
                        columns,
                    )
                stored = cursor.execute("SELECT label, value FROM t ORDER BY position").fetchall()
            assert stored == rows

        check()


def test_known_types_have_their_text() -> None:
    identifier = UUID(int=1)
    assert column_texts([Decimal("1.50"), None], "numeric") == ["1.50", None]
    assert column_texts([identifier], "uuid") == [str(identifier)]
    assert column_texts([time(1, 2)], "time") == ["01:02:00"]
    assert column_texts([datetime(2024, 2, 29, tzinfo=UTC)], "timestamptz") == ["2024-02-29T00:00:00+00:00"]
