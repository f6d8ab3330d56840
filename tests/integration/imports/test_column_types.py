"""Values of every PostgreSQL type by CSV, NDJSON and JSON envelope: what is stored is what was sent, or an error.

The property is checked with 25 examples of each type; `make properties` takes 100 times as many, 150,000 in all.
"""

import ipaddress
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import set_json_loads
from psycopg.types.range import DateRange
from typed_columns import FORMATS, TypedColumn, quoted

from drawn_examples import examples

pytestmark = pytest.mark.hypothesis

STORABLE = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")
TEXTS = st.text(STORABLE, max_size=30)
FILLED = st.text(STORABLE, min_size=1, max_size=30)
OFFSETS = st.integers(-15 * 60, 15 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
YEARS = {"min_value": datetime.fromisoformat("0002-01-01"), "max_value": datetime.fromisoformat("9998-12-31")}
MOMENTS = st.datetimes(**YEARS, timezones=OFFSETS)
LOCAL = st.datetimes(**YEARS)
NUMERIC = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30) | st.decimals(
    allow_nan=False, allow_infinity=False, places=15
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
FLOAT4 = st.floats(allow_nan=False, allow_infinity=False, width=32)
JSON_NUMBERS = st.integers(-(10**25), 10**25) | st.decimals(
    allow_nan=False, allow_infinity=False, places=20, min_value=-(10**9), max_value=10**9
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | JSON_NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
POINTS = st.tuples(st.integers(-99, 99), st.integers(-99, 99))
ADDRESSES = st.ip_addresses()


class Mood(Enum):
    """An enumeration whose values are PostgreSQL's labels."""

    HAPPY = "happy"
    SO_SO = "so, so"
    ODD = 'o"d\\d'


def _json(value: Any) -> str:
    """JSON with every digit of a decimal."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(key)}:{_json(member)}" for key, member in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _literal(value: Any) -> str:
    """PostgreSQL's array literal."""
    if isinstance(value, list):
        return "{" + ",".join(map(_literal, value)) + "}"
    if value is None:
        return "NULL"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _number(value: Any) -> str:
    return str(value)


def _quoted_str(value: Any) -> str:
    return quoted(str(value))


def _iso(value: Any) -> str:
    return str(value.isoformat())


def _quoted_iso(value: Any) -> str:
    return quoted(value.isoformat())


def _hex(value: bytes) -> str:
    return "\\x" + value.hex()


def _duration(value: timedelta) -> str:
    total = abs(value // timedelta(microseconds=1))
    sign = "-" if value < timedelta() else ""
    return f"{sign}P{total // 86_400_000_000}DT{total // 1_000_000 % 86_400}.{total % 1_000_000:06}S"


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Kind:
    """A type: how values are generated and written, and the expected stored value."""

    sql_type: str
    annotation: Any
    values: st.SearchStrategy[Any]
    cell: Callable[[Any], str] = str
    value: Callable[[Any], str] = _quoted_str
    expected: Callable[[Any], Any] | None = _same
    """None for the value that PostgreSQL reads from the cell."""
    name: str = ""

    @property
    def id(self) -> str:
        annotation = self.annotation.__name__ if isinstance(self.annotation, type) else str(self.annotation)
        return self.name or f"{self.sql_type} as {annotation}"


def _range_of(low: int, high: int) -> str:
    return f"[{min(low, high)},{max(low, high) + 1})"


KINDS = [
    Kind("text", str, FILLED),
    Kind("varchar(30)", str, FILLED),
    Kind("citext", str, FILLED),
    Kind("char(40)", str, FILLED.filter(lambda text: text == text.rstrip(" ")), expected=lambda text: text.ljust(40)),
    Kind("name", str, st.text(STORABLE, min_size=1, max_size=15)),
    Kind("smallint", int, st.integers(-(2**15), 2**15 - 1), value=_number),
    Kind("integer", int, st.integers(-(2**31), 2**31 - 1), value=_number),
    Kind("bigint", int, st.integers(-(2**63), 2**63 - 1), value=_number),
    Kind("bigint", str, st.integers(-(2**63), 2**63 - 1)),
    Kind("numeric", Decimal, NUMERIC, value=_json),
    Kind("numeric", Decimal, NUMERIC, name="numeric as Decimal in quotes"),
    Kind("numeric", float, NUMERIC.filter(lambda n: abs(n) > Decimal("1e-300") or not n), value=_json),
    Kind("numeric", str, NUMERIC),
    Kind("numeric(20,3)", Decimal, st.decimals(-(10**16), 10**16, places=3), value=_json),
    Kind("double precision", float, FLOATS, value=json.dumps),
    Kind("real", float, FLOAT4, value=json.dumps, expected=None),
    Kind(
        "money", Decimal, st.decimals(-(10**14), 10**14, places=2), value=_json, expected=None, name="money as Decimal"
    ),
    Kind("boolean", bool, st.booleans(), value=json.dumps),
    Kind("date", date, st.dates(), _iso, _quoted_iso),
    Kind("date", str, st.dates(), _iso, _quoted_iso),
    Kind("timestamp", datetime, LOCAL, _iso, _quoted_iso),
    Kind("timestamptz", datetime, MOMENTS, _iso, _quoted_iso),
    Kind("timestamptz", str, MOMENTS, _iso, _quoted_iso),
    Kind("time", time, st.times(), _iso, _quoted_iso),
    Kind("timetz", time, st.times(timezones=OFFSETS), _iso, _quoted_iso),
    Kind(
        "interval",
        timedelta,
        st.timedeltas(timedelta(days=-99999), timedelta(days=99999)),
        _duration,
        lambda value: quoted(_duration(value)),
    ),
    Kind(
        "interval",
        str,
        st.tuples(*[st.integers(0, 99)] * 6),
        lambda v: "P{}Y{}M{}DT{}H{}M{}S".format(*v),
        lambda v: quoted("P{}Y{}M{}DT{}H{}M{}S".format(*v)),
        None,
    ),
    Kind("uuid", UUID, st.uuids()),
    Kind("uuid", str, st.uuids()),
    Kind("bytea", bytes, st.binary(max_size=40), _hex, lambda value: quoted(_hex(value))),
    Kind("inet", str, ADDRESSES, expected=None),
    Kind("inet", ipaddress.IPv4Address | ipaddress.IPv6Address, ADDRESSES),
    Kind(
        "cidr",
        str,
        st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(
            lambda pair: ipaddress.ip_network(f"{pair[0]}/{pair[1]}", strict=False)
        ),
    ),
    Kind("macaddr", str, st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))),
    Kind("macaddr8", str, st.binary(min_size=8, max_size=8).map(lambda raw: raw.hex(":"))),
    Kind(
        "mood",
        Mood,
        st.sampled_from(Mood),
        lambda mood: mood.value,
        lambda mood: quoted(mood.value),
        lambda mood: mood.value,
    ),
    Kind("mood", str, st.sampled_from([mood.value for mood in Mood])),
    Kind("positive", int, st.integers(1, 2**31 - 1), value=_number),
    Kind("jsonb", Any, JSON_VALUES.filter(lambda value: value is not None), _json, _json),
    Kind("json", dict[str, Any], st.dictionaries(TEXTS, JSON_VALUES, max_size=5), _json, _json),
    Kind("jsonb", list[Any], st.lists(JSON_VALUES, max_size=5), _json, _json),
    Kind("jsonb", str, JSON_VALUES, _json, lambda value: quoted(_json(value)), name="jsonb as a document in text"),
    Kind("jsonb[]", list[Any], st.lists(JSON_VALUES.filter(lambda value: value is not None), max_size=4), _json, _json),
    Kind("text[]", list[str | None], st.lists(st.none() | TEXTS, max_size=6), _literal, _json),
    Kind("text[]", list[str], st.lists(TEXTS, max_size=6), _json, _json, name="text[] by JSON in a cell"),
    Kind("integer[]", list[int], st.lists(st.integers(-999, 999), max_size=6), _literal, _json),
    Kind("numeric[]", list[Decimal], st.lists(NUMERIC, max_size=6), _literal, _json),
    Kind(
        "timestamptz[]",
        list[datetime],
        st.lists(MOMENTS, max_size=4),
        lambda v: _literal([_iso(x) for x in v]),
        lambda v: _json([_iso(x) for x in v]),
    ),
    Kind(
        "integer[]",
        list[list[int]],
        st.integers(1, 4).flatmap(
            lambda n: st.lists(
                st.lists(st.integers(), min_size=n, max_size=n).map(lambda row: [value % 1000 for value in row]),
                min_size=1,
                max_size=4,
            )
        ),
        _literal,
        _json,
        name="integer[][]",
    ),
    Kind(
        "boolean[]",
        str,
        st.lists(st.booleans(), max_size=4),
        lambda v: _literal([str(x) for x in v]),
        lambda v: quoted(_literal([str(x) for x in v])),
    ),
    Kind("tags", list[str], st.lists(TEXTS, max_size=5), _literal, _json, name="a domain over an array"),
    Kind("int4range", str, st.builds(_range_of, st.integers(-999, 999), st.integers(-999, 999)), expected=None),
    Kind(
        "tstzrange",
        str,
        st.tuples(MOMENTS, MOMENTS).map(sorted).map(lambda pair: f"[{_iso(pair[0])},{_iso(pair[1])}]"),
        expected=None,
    ),
    Kind(
        "daterange",
        dict[str, Any],
        st.tuples(st.dates(), st.dates().filter(lambda d: d < date.max)).map(sorted),
        lambda pair: json.dumps({"lower": _iso(pair[0]), "upper": _iso(pair[1])}),
        lambda pair: json.dumps({"lower": _iso(pair[0]), "upper": _iso(pair[1])}),
        lambda pair: DateRange(*pair) if pair[0] < pair[1] else DateRange(empty=True),
        name="daterange by its bounds",
    ),
    Kind(
        "int4multirange",
        str,
        st.lists(st.builds(_range_of, st.integers(-99, 99), st.integers(-99, 99)), max_size=3).map(
            lambda ranges: "{" + ",".join(ranges) + "}"
        ),
        expected=None,
    ),
    Kind("bit(8)", str, st.text("01", min_size=8, max_size=8)),
    Kind("bit varying", str, st.text("01", min_size=1, max_size=40)),
    Kind("point", str, POINTS.map(lambda point: f"({point[0]},{point[1]})")),
    Kind("box", str, st.tuples(POINTS, POINTS).map(lambda pair: f"{pair[0]},{pair[1]}"), expected=None),
    Kind(
        "tsvector",
        str,
        st.lists(st.text("abcxyz", min_size=1, max_size=5), min_size=1, max_size=5).map(" ".join),
        expected=None,
    ),
    Kind(
        "pair",
        str,
        st.tuples(st.integers(-9, 9), st.text('ab "\\,', max_size=6)).map(
            lambda pair: '({},"{}")'.format(pair[0], pair[1].replace("\\", "\\\\").replace('"', '""'))
        ),
        expected=None,
    ),
]


@pytest.fixture(scope="module")
def connection(server_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server_url, autocommit=True, prepare_threshold=None) as connection:
        set_json_loads(lambda text: json.loads(text, parse_float=Decimal), connection)
        connection.execute("CREATE EXTENSION IF NOT EXISTS citext")
        connection.execute(
            "DROP SCHEMA IF EXISTS typing CASCADE; CREATE SCHEMA typing; SET search_path = typing, public"
        )
        labels = ", ".join("'" + mood.value.replace("'", "''") + "'" for mood in Mood)
        connection.execute(f"CREATE TYPE mood AS ENUM ({labels})")
        connection.execute("CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
        connection.execute("CREATE DOMAIN tags AS text[]")
        connection.execute("CREATE TYPE pair AS (number integer, word text)")
        yield connection
        connection.execute("DROP SCHEMA typing CASCADE")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_stored_values_equal_sent_values(connection: psycopg.Connection[Any], kind: Kind) -> None:
    column = TypedColumn(connection, kind.sql_type, kind.annotation)

    @settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))
    @given(value=kind.values, form=st.sampled_from(FORMATS))
    def check(value: Any, form: str) -> None:
        cell = kind.cell(value)
        stored = column.send(form, cell, kind.value(value))
        expected = column.canonical(cell) if kind.expected is None else kind.expected(value)
        assert _is_equal(stored, expected), (form, cell, stored, expected)

    check()


def _is_equal(stored: Any, expected: Any) -> bool:
    if isinstance(stored, float) and isinstance(expected, float):
        return stored == expected and math.copysign(1, stored) == math.copysign(1, expected)
    if isinstance(stored, str) and not isinstance(expected, str):
        return stored == str(expected)
    return bool(stored == expected)
