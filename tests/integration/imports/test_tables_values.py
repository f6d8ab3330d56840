"""Values on their whole way: from a request to what `SELECT` gives, by what the request and the resource declare."""

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from table_site import table_site

from bulkport import ConflictPolicy, Reference, Resource
from bulkport.imports.options import ReadingOptions
from import_steps import CSV, NDJSON, execute
from table_sizes import at_both_sizes

TABLES = """
    CREATE DOMAIN tag_list AS text[];
    CREATE TABLE readings (
        name text PRIMARY KEY, amount numeric(12,2), ratio double precision, day date, at timestamptz, local timestamp,
        tags tag_list, details jsonb
    );
    CREATE TABLE people (email text PRIMARY KEY, name text, phone text);
"""


class Reading(BaseModel):
    name: str
    amount: Decimal | None = None
    ratio: Annotated[float, Field(allow_inf_nan=True)] | None = None
    day: date | None = None
    at: datetime | None = None
    local: datetime | None = None
    tags: list[str] | None = None
    details: dict[str, Any] | None = None


class Person(BaseModel):
    email: str
    name: str | None = None
    phone: str | None = None


READINGS = Resource(name="readings", label="Reading", label_field="name", model=Reading, table="readings")
BERLIN = Resource(
    name="berlin",
    label="Reading",
    label_field="name",
    model=Reading,
    table="readings",
    reading=ReadingOptions(zone="Europe/Berlin", date_format="DD.MM.YYYY", decimal=","),
)
PEOPLE = Resource(
    name="people",
    label="Person",
    label_field="email",
    model=Person,
    table="people",
    conflict=ConflictPolicy.UPDATE,
    conflict_key=("email",),
)
COLUMNS = "name, amount, ratio, day, at, local, tags, details::text"


def table(header: list[str], *rows: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


@at_both_sizes(0, "filler")
async def test_good_values_are_stored_and_bad_ones_reported_at_every_size(database_url: str, filler: int) -> None:
    header = list(Reading.model_fields)
    good = ["a", "1234567890.12", "1e-3", "2024-02-29", "2024-01-31T10:00:00+05:30", "2024-01-31T10:00:00"]
    bad = {
        "day": ["20240131", "45322", "31.01.2024"],
        "at": ["2024-01-31T10:00:00", "1706659200"],
        "local": ["2024-01-31T10:00:00Z", "202401311011"],
        "amount": ["1_000", "1.005", "NaN"],
        "ratio": ["1e400", "1_0"],
        "tags": ["a,b"],
        "details": ["{a}"],
    }
    rows = [[*good, '{x,"y z"}', '{"n": 0.10000000000000000001}'], *[[f"f{i}", *[""] * 7] for i in range(filler)]]
    places = []
    for field, cells in bad.items():
        for cell in cells:
            row = [f"bad {field} {cell}", *[""] * 7]
            row[header.index(field)] = cell
            rows.append(row)
            places.append((len(rows), field, cell))
    async with table_site(database_url, TABLES, READINGS) as site:
        job, found = await site.load(table(header, *rows), headers=CSV)
        assert (job["successCount"], job["failureCount"]) == (filler + 1, len(places))
        assert list(found) == [number for number, _, _ in places]
        for number, field, cell in places:
            ((name, message),) = found[number]
            assert name == field
            assert message.startswith(f"{field} ")
            assert cell in message
        (stored,) = await site.rows(f"SELECT {COLUMNS} FROM readings WHERE name = 'a'")
        assert stored == (
            "a",
            Decimal("1234567890.12"),
            0.001,
            date(2024, 2, 29),
            datetime(2024, 1, 31, 4, 30, tzinfo=UTC),
            datetime.fromisoformat("2024-01-31T10:00:00"),
            ["x", "y z"],
            '{"n": 0.10000000000000000001}',
        )


async def test_the_same_values_are_read_from_json(database_url: str) -> None:
    record = (
        '{"name":"NAME","amount":1234567890.12,"ratio":"NaN","day":"2024-02-29","at":"2024-01-31T10:00:00+05:30",'
        '"tags":["x","y z"],"details":{"n":0.10000000000000000001}}'
    )
    async with table_site(database_url, TABLES, READINGS) as site:
        job, _ = await site.load(record.replace("NAME", "a").encode(), headers=NDJSON)
        assert job["status"] == "Completed", job
        body = '{"readings":[' + record.replace("NAME", "b") + "]}"
        job, _ = await site.load(body.encode(), headers={"content-type": "application/json"})
        assert job["status"] == "Completed", job
        first, second = await site.rows(
            "SELECT amount, ratio::text, at, tags, details::text FROM readings ORDER BY name"
        )
        assert first == second
        assert first[1] == "NaN"
        assert first[4] == '{"n": 0.10000000000000000001}'
        job, found = await site.load(b'{"name":"c","ratio":NaN}\n{"name":"d","day":20240131}\n')
        assert job["status"] == "Failed"
        assert "NaN is not a JSON number" in found[1][0][1]
        assert found[2] == [("day", "day 20240131 is not a date; write 2024-01-31 or set dateFormat")]


@at_both_sizes(0, "filler")
async def test_a_duplicate_member_within_a_value_is_reported(database_url: str, filler: int) -> None:
    values = {
        '{"n": 1, "n": 2}': "n",
        '{"a": [{"b": {"n" :1, "m": ":", "n": 2}}]}': "n",
        '{"a": 1, "b": {"a": 2}, "c": "a:b:c"}': None,
        '{"a:": 1, ":a": {}}': None,
    }
    told = {
        number: [("details", f"details has the member '{name}' twice; give it once")]
        for number, name in enumerate(values.values(), start=1)
        if name
    }
    more = [[f"f{number}", ""] for number in range(filler)]
    async with table_site(database_url, TABLES, READINGS) as site:
        for kind in ("c", "j"):
            rows = [[f"{kind}{number}", value] for number, value in enumerate(values)]
            lines = "".join(f'{{"name":"{name}","details":{value or "null"}}}\n' for name, value in [*rows, *more])
            body = table(["name", "details"], *rows, *more) if kind == "c" else lines.encode()
            job, found = await site.load(body, headers=CSV if kind == "c" else NDJSON)
            assert (job["successCount"], found) == (2 + filler, told)
            await execute(site.url, "DELETE FROM readings WHERE name LIKE 'f%'")
        # What no field takes loses nothing; and of a record's own members the last one counts.
        job, found = await site.load(b'{"name":"x","more":{"n":1,"n":2}}\n{"name":"y","name":"z"}\n')
        assert (job["status"], found) == ("Completed", {})
        assert "name is given twice in a record; the last value was used" in job["warnings"]


async def test_a_request_declares_its_value_formats(database_url: str) -> None:
    header = ["name", "amount", "day", "at"]
    body = table(header, ["a", "1.234,56", "31.12.2026", "31.12.2026 10:00"], ["b", "9,99", "", "2026-03-29T02:30"])
    query = "?decimal=,&dateFormat=DD.MM.YYYY&timeZone=Europe/Berlin"
    async with table_site(database_url, TABLES, READINGS, BERLIN) as site:
        job, found = await site.load(body, headers=CSV, query=query)
        assert found == {
            2: [
                (
                    "at",
                    "at '2026-03-29T02:30' does not exist in Europe/Berlin: clocks were put forward; write the offset",
                )
            ]
        }
        assert job["reading"]["timeZone"] == "Europe/Berlin"
        expected = ("a", Decimal("1234.56"), date(2026, 12, 31), datetime(2026, 12, 31, 9, tzinfo=UTC))
        assert await site.rows("SELECT name, amount, day, at FROM readings") == [expected]
        body = table(header, ["c", "1.234,56", "31.12.2026", "31.12.2026 10:00"])
        job, found = await site.load(body, BERLIN, headers=CSV)
        assert job["status"] == "Completed", found
        assert await site.rows("SELECT name, amount, day, at FROM readings WHERE name = 'c'") == [("c", *expected[1:])]


@at_both_sizes(1, "rows")
async def test_an_update_keeps_columns_missing_from_the_file(database_url: str, rows: int) -> None:
    async with table_site(database_url, TABLES, PEOPLE) as site:
        await site.load([{"email": f"{i}", "name": "Ada", "phone": "1"} for i in range(rows)])
        everyone = "SELECT DISTINCT name, phone FROM people"
        job, _ = await site.load(table(["email", "phone"], *[[f"{i}", "2"] for i in range(rows)]), headers=CSV)
        assert (job["status"], job["warnings"]) == ("Completed", [])
        assert await site.rows(everyone) == [("Ada", "2")]
        await site.load([{"email": f"{i}", "name": "Bob"} for i in range(rows)])
        assert await site.rows(everyone) == [("Bob", "2")]
        blank = table(["email", "name", "phone"], *[[f"{i}", "", "3"] for i in range(rows)])
        await site.load(blank, headers=CSV, query="?blank=keep")
        assert await site.rows(everyone) == [("Bob", "3")]
        await site.load(blank, headers=CSV, query="?blank=empty")
        assert await site.rows(everyone) == [("", "3")]
        await site.load(blank, headers=CSV, query="?blank=null")
        assert await site.rows(everyone) == [(None, "3")]
        await site.load([{"email": f"{i}", "phone": None} for i in range(rows)])
        assert await site.rows(everyone) == [(None, None)]


class Made(BaseModel):
    name: str
    id: int | None = None
    rank: int | None = None


@at_both_sizes(1, "rows")
async def test_the_database_fills_columns_missing_from_a_new_row(database_url: str, rows: int) -> None:
    made = Resource(
        name="made", label="Made", label_field="name", model=Made, table="made", key=("name",), modes=("upsert",)
    )
    tables = """
        CREATE TABLE made (
            name text PRIMARY KEY, id integer GENERATED BY DEFAULT AS IDENTITY (START 10),
            rank integer NOT NULL DEFAULT 7
        )
    """
    odd = "SELECT id < 10, rank FROM made WHERE name NOT LIKE 'g%' ORDER BY name"
    async with table_site(database_url, tables, made) as site:
        given = [{"name": f"g{i}"} for i in range(rows)]
        job, _ = await site.load([*given, {"name": "own", "id": 5, "rank": 3}, {"name": "void", "rank": None}])
        assert (job["status"], await site.rows(odd)) == ("Completed", [(True, 3), (False, 7)])
        body = [*given, {"name": "own"}, {"name": "void", "rank": None}, {"name": "z"}]
        job, bad = await site.load(body, query="?mode=upsert")
        assert (job["created"], bad) == (1, {rows + 2: [("rank", "rank must not be null")]})
        assert await site.rows(odd) == [(True, 3), (False, 7), (False, 7)]


async def test_suspicious_input_causes_warnings(database_url: str) -> None:
    async with table_site(database_url, TABLES, READINGS) as site:
        body = b"".join(json.dumps({"name": name}).encode() + b"\n" for name in ("x", "x ", "x\u00a0"))
        job, _ = await site.load(body + b'{"name":"y","name":"z"}\n')
        assert job["status"] == "Completed"
        assert [warning.partition(",")[0] for warning in job["warnings"]] == [
            "name is given twice in a record; the last value was used",
            "values of name differ only in blanks",
        ]


class Filed(BaseModel):
    name: str
    kind_id: int | None = None


@pytest.mark.parametrize(
    ("kind", "known", "stored"),
    [
        ("citext", ["abc", "ABC", "aBc"], "Abc"),
        ("integer", ["7", "7", "7"], "7"),
        ("char(5)", ["abc", "abc", "abc"], "abc"),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"] * 3, "123e4567-e89b-12d3-a456-426614174000"),
        ("date", ["2024-01-31"] * 3, "2024-01-31"),
    ],
)
async def test_names_are_looked_up_with_the_comparison_of_their_column(
    database_url: str, kind: str, known: list[str], stored: str
) -> None:
    filed = Resource(
        name="filed",
        label="Filed",
        label_field="name",
        model=Filed,
        table="filed",
        references=(Reference("kind_id", table="kinds", label="Kind", lookup_field="kind", lookup_column="code"),),
    )
    tables = f"""
        CREATE EXTENSION IF NOT EXISTS citext; CREATE TABLE kinds (id integer PRIMARY KEY, code {kind} UNIQUE);
        INSERT INTO kinds VALUES (1, '{stored}'); CREATE TABLE filed (name text, kind_id integer REFERENCES kinds);
    """
    async with table_site(database_url, tables, filed) as site:
        job, bad = await site.load(table(["name", "kind"], *[["x", code] for code in [*known, "nope"]]), headers=CSV)
        assert (job["successCount"], bad) == (3, {4: [("kind", "Kind 'nope' does not exist")]})
        assert await site.rows("SELECT DISTINCT kind_id FROM filed") == [(1,)]
