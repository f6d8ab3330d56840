"""Values that a lenient reader would guess at: read right by what the import declares, or refused with a word."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any

import psycopg
import pytest
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field
from typed_columns import Refused, TypedColumn, quoted

from bulkport.imports.options import Blank, ExcelDates, Normalization, ReadingOptions
from bulkport.imports.values.durations import check_interval, duration_text
from bulkport.imports.values.options import ValueOptions


@pytest.fixture(scope="module")
def connection(server_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server_url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SET TimeZone = 'America/New_York'; CREATE DOMAIN pg_temp.tags AS text[]")
        yield connection


def refusals(found: list[Any]) -> list[str]:
    assert all(isinstance(value, Refused) for value in found), found
    return [value.message for value in found]


def _id(parameter: Any) -> str:
    return parameter if isinstance(parameter, str) else getattr(parameter, "__name__", "other")


DIGITS = ["20240131", "45322", "2024", "202401311011", "1706659200", "45322.5"]


@pytest.mark.parametrize(
    ("sql_type", "annotation"),
    [
        *(("date", date), ("timestamptz", datetime), ("timestamp", datetime), ("timestamptz", AwareDatetime)),
        *(("date", str), ("timestamptz", str), ("timestamp", str), ("date", Any)),
        ("timestamptz", Annotated[datetime, AfterValidator(lambda moment: moment)]),
        ("date", Annotated[date, BeforeValidator(lambda text: text)]),
        ("date", date | None),
        ("date", date | int),
    ],
    ids=_id,
)
def test_bare_digits_are_not_a_date(connection: psycopg.Connection[Any], sql_type: str, annotation: Any) -> None:
    column = TypedColumn(connection, sql_type, annotation)
    for message in refusals(column.cells(*DIGITS)):
        assert message.startswith("value")
    refusals(column.json(*DIGITS))
    refusals(column.json(*map(quoted, DIGITS)))
    refusals(column.json(*DIGITS, envelope=True))


def test_the_message_says_what_to_write(connection: psycopg.Connection[Any]) -> None:
    column = TypedColumn(connection, "date", date)
    assert column.cells("20240131") == [Refused("value '20240131' is not a date; write 2024-01-31 or set dateFormat")]
    assert column.json("20240131") == [Refused("value 20240131 is not a date; write 2024-01-31 or set dateFormat")]


@pytest.mark.parametrize(
    ("sql_type", "annotation"),
    [
        *(("integer", int), ("numeric", Decimal), ("double precision", float), ("numeric", float), ("integer", str)),
        *(("numeric", str), ("real", str), ("money", Decimal), ("integer[]", list[int]), ("numeric[]", str)),
    ],
    ids=_id,
)
def test_underscores_are_not_digits(connection: psycopg.Connection[Any], sql_type: str, annotation: Any) -> None:
    column = TypedColumn(connection, sql_type, annotation)
    cells = ["{1_000}", "{4_0}"] if sql_type.endswith("[]") else ["1_000", "4_0", "1_0.5"]
    for message in refusals(column.cells(*cells)):
        assert "underscores" in message
    refusals(column.json(*map(quoted, cells)))
    refusals(column.json("1_000"))


@pytest.mark.parametrize("annotation", [float, str, Decimal])
@pytest.mark.parametrize("sql_type", ["double precision", "real"])
def test_a_too_large_number_is_not_infinity(
    connection: psycopg.Connection[Any], sql_type: str, annotation: Any
) -> None:
    column = TypedColumn(connection, sql_type, annotation)
    numbers = ["1e400", "-1e400", "1e-400"]
    for message in refusals(column.cells(*numbers)):
        assert "out of range" in message
    refusals(column.json(*numbers))
    refusals(column.cells("NaN", "Infinity", "-Infinity", "inf"))
    refusals(column.json("NaN", "Infinity", "-Infinity", '"NaN"', '"Infinity"'))


def test_special_floats_need_a_float_column_and_a_model_that_allows_them(connection: psycopg.Connection[Any]) -> None:
    special = Annotated[float, Field(allow_inf_nan=True)]
    column = TypedColumn(connection, "double precision", special)
    assert column.cells("Infinity", "-inf") == [float("inf"), float("-inf")]
    assert str(column.cells("NaN")[0]) == "nan"
    assert column.json('"Infinity"') == [float("inf")]
    assert "NaN is not a JSON number" in refusals(column.json("NaN"))[0]
    assert "must be a number" in refusals(column.json('"1.5"'))[0]
    refusals(TypedColumn(connection, "numeric", special).cells("NaN"))


@pytest.mark.parametrize("text", ["0.1000000000000000055", "12345678901234567890.123456789", "1e30", "1.10"])
@pytest.mark.parametrize("annotation", [Decimal, float, str, Any])
def test_every_digit_of_a_decimal_is_stored(connection: psycopg.Connection[Any], text: str, annotation: Any) -> None:
    column = TypedColumn(connection, "numeric", annotation)
    sent = quoted(text) if annotation is str else text
    found = [*column.cells(text), *column.json(sent), *column.json(sent, envelope=True)]
    assert [str(value) for value in found] == [str(column.canonical(text))] * 3


def test_digits_that_the_column_would_drop_are_rejected(connection: psycopg.Connection[Any]) -> None:
    column = TypedColumn(connection, "numeric(6,2)", Decimal)
    assert column.cells("1.50", "-9999.99", "1.500") == [Decimal("1.50"), Decimal("-9999.99"), Decimal("1.50")]
    assert refusals(column.cells("1.005", "10000")) == [
        "value '1.005' has more decimals than the 2 that the column keeps",
        "value is out of range: '10000'; the column takes 4 digits before the point",
    ]
    refusals(TypedColumn(connection, "timestamp(0)", datetime).cells("2024-01-31T10:00:00.5"))
    refusals(TypedColumn(connection, "varchar(3)", str).cells("abc "))
    refusals(TypedColumn(connection, "char(3)", str).cells("abcd"))
    refusals(TypedColumn(connection, "name", str).cells("x" * 64))
    refusals(TypedColumn(connection, "money", Decimal).cells("1.005"))
    rounded = TypedColumn(connection, "numeric(3,-2)", Decimal)
    assert rounded.cells("12300", "1e4") == [Decimal(12300), Decimal(10000)]
    assert refusals(rounded.cells("12345", "100000")) == [
        "value '12345' is not a multiple of 100; the column stores no finer values",
        "value is out of range: '100000'; the column takes 5 digits before the point",
    ]
    small = TypedColumn(connection, "numeric(2,4)", Decimal)
    assert small.cells("0.0099") == [Decimal("0.0099")]
    assert "numbers below 0.01" in refusals(small.cells("0.01"))[0]


@pytest.mark.parametrize(
    ("fields", "kept", "lost"),
    [
        ("(0)", ["PT1S", "1 day 02:00:03"], ["PT1.5S", "1.5 seconds", "00:00:00.5"]),
        (" second(2)", ["PT1.25S"], ["PT1.255S"]),
        (" day", ["P2D", "P1W", "1 mon 3 days"], ["1 day 02:30:00", "24:00:00", "P0.5D", "1 hour"]),
        (" day to minute", ["1 day 02:30:00", "PT5M"], ["00:00:01", "PT0.5M"]),
        (" hour", ["PT30H"], ["PT30H1M"]),
        (" year to month", ["P1Y2M", "1 year 2 mons"], ["P1Y2M3D", "P0.5M"]),
        (" year", ["P1Y", "24 mons"], ["P1Y2M", "1.5 years"]),
    ],
)
def test_an_interval_keeps_all_of_its_parts(
    connection: psycopg.Connection[Any], fields: str, kept: list[str], lost: list[str]
) -> None:
    column = TypedColumn(connection, f"interval{fields}", str)
    assert column.cells(*kept) == [TypedColumn(connection, "interval").canonical(text) for text in kept]
    for message in refusals(TypedColumn(connection, f"interval{fields}", str).cells(*lost)):
        assert "that the column keeps" in message


def test_the_sign_of_an_interval_applies_to_one_part(connection: psycopg.Connection[Any]) -> None:
    texts = [check_interval("-1 day 02:00:00"), check_interval("-1 days, 2 hours"), duration_text(timedelta(hours=-22))]
    with connection.transaction():
        connection.execute("SET LOCAL intervalstyle = 'sql_standard'")
        for text in texts:
            assert connection.execute("SELECT extract(epoch FROM %s::interval)", (text,)).fetchone() == (-79_200,)


@pytest.mark.parametrize("annotation", [int, str])
def test_object_ids_are_neither_octal_nor_negative(connection: psycopg.Connection[Any], annotation: Any) -> None:
    for kind in ("oid", "xid8"):
        column = TypedColumn(connection, kind, annotation)
        assert [int(number) for number in column.cells("010", "4294967295")] == [10, 2**32 - 1]
        refusals(column.cells("-1", "0x10", "99999999999999999999"))


def test_numbers_are_not_text_and_text_is_not_a_number(connection: psycopg.Connection[Any]) -> None:
    refusals(TypedColumn(connection, "text", str).json("5", "true", "1.5", "[]"))
    refusals(TypedColumn(connection, "boolean", bool).json("1", "0", '"true"'))
    refusals(TypedColumn(connection, "boolean", bool).cells("2", "wahr", ""))


@pytest.mark.parametrize("annotation", [datetime, str, Any])
def test_a_utc_offset_is_never_lost(connection: psycopg.Connection[Any], annotation: Any) -> None:
    sent = "2024-01-31T10:00:00+05:30"
    moment = datetime.fromisoformat(sent)
    kept = TypedColumn(connection, "timestamptz", annotation)
    assert [*kept.cells(sent), *kept.json(quoted(sent))] == [moment, moment]
    plain = TypedColumn(connection, "timestamp", annotation)
    for message in refusals([*plain.cells(sent, "2024-01-31T10:00:00Z"), *plain.json(quoted(sent))]):
        assert "has an offset" in message
    refusals(TypedColumn(connection, "date", annotation).cells("2024-01-31T00:00:00Z"))
    refusals(TypedColumn(connection, "time", time if annotation is datetime else annotation).cells("10:00:00+01:00"))


@pytest.mark.parametrize("annotation", [datetime, str])
def test_a_time_without_an_offset_needs_a_declared_zone(connection: psycopg.Connection[Any], annotation: Any) -> None:
    undeclared = TypedColumn(connection, "timestamptz", annotation)
    for message in refusals([*undeclared.cells("2024-07-01T12:00"), *undeclared.json('"2024-07-01T12:00:00"')]):
        assert "set timeZone" in message
    options = ValueOptions.of(ReadingOptions(zone="Europe/Berlin"))
    berlin = TypedColumn(connection, "timestamptz", annotation, options)
    noon = datetime(2024, 7, 1, 10, tzinfo=UTC)
    assert berlin.cells("2024-07-01T12:00", "2024-07-01 12:00:00", "2024-07-01T10:00Z") == [noon] * 3
    assert berlin.json('"2024-07-01T12:00:00"') == [noon]
    messages = refusals(berlin.cells("2024-03-31T02:30:00", "2024-10-27T02:30:00"))
    assert "put forward" in messages[0]
    assert "put back" in messages[1]
    assert berlin.cells("2024-10-27T02:30:00+01:00") == [datetime(2024, 10, 27, 1, 30, tzinfo=UTC)]
    plain = TypedColumn(connection, "timestamp", annotation, options)
    assert plain.cells("2024-03-31T02:30:00") == [datetime.fromisoformat("2024-03-31T02:30:00")]


def test_dates_and_numbers_are_read_in_the_declared_formats(connection: psycopg.Connection[Any]) -> None:
    german = ValueOptions.of(ReadingOptions(decimal=",", date_format="DD.MM.YYYY"))
    assert TypedColumn(connection, "date", date, german).cells("31.12.2026") == [date(2026, 12, 31)]
    assert TypedColumn(connection, "date", str, german).cells("31.12.2026") == [date(2026, 12, 31)]
    assert TypedColumn(connection, "numeric", Decimal, german).cells("1.234,56", "9,99") == [
        Decimal("1234.56"),
        Decimal("9.99"),
    ]
    assert TypedColumn(connection, "double precision", float, german).cells("0,5") == [0.5]
    assert TypedColumn(connection, "integer", int, german).cells("1.234") == [1234]
    assert TypedColumn(connection, "numeric", str, german).cells("9,99") == [Decimal("9.99")]
    refusals(TypedColumn(connection, "date", date, german).cells("12/31/2026"))
    refusals(TypedColumn(connection, "date", date).cells("31.12.2026", "31/12/2026"))
    refusals(TypedColumn(connection, "numeric", Decimal).cells("9,99", "1.234,56"))
    excel = ValueOptions.of(ReadingOptions(excel_dates=ExcelDates.FROM_1900))
    assert TypedColumn(connection, "date", date, excel).cells("45322", "2024-01-31") == [date(2024, 1, 31)] * 2


def test_null_words_trimming_and_normal_forms_apply_as_declared(connection: psycopg.Connection[Any]) -> None:
    words = ValueOptions.of(ReadingOptions(true_words=("ja",), false_words=("nein",), null_words=("-", "NULL")))
    assert TypedColumn(connection, "boolean", bool | None, words).cells("Ja", "nein", "-") == [True, False, None]
    tidy = ValueOptions.of(ReadingOptions(trim=True, normalize=Normalization.NFC, blank=Blank.NULL))
    assert TypedColumn(connection, "text", str | None, tidy).cells(" x\u00a0", "u\u0308", "\u200b ") == ["x", "ü", None]


def test_a_domain_over_an_array_accepts_arrays(connection: psycopg.Connection[Any]) -> None:
    column = TypedColumn(connection, "pg_temp.tags", list[str])
    assert column.json('["x", "y"]', "[]", '["a,b", "\\"q\\"", "NULL", ""]') == [
        ["x", "y"],
        [],
        ["a,b", '"q"', "NULL", ""],
    ]
    assert column.cells("{x,y}", '["x","y"]', "{}", '{"a b",NULL2}', way="array") == [
        ["x", "y"],
        ["x", "y"],
        [],
        ["a b", "NULL2"],
    ]
    refusals(column.cells("x,y", "{x", "x"))
    uneven = TypedColumn(connection, "integer[]", list[list[int]])
    assert "even array" in refusals(uneven.json("[[1,2],[3]]"))[0]


class Place(BaseModel):
    day: date
    size: Decimal


def test_json_columns_accept_objects_and_lists(connection: psycopg.Connection[Any]) -> None:
    column = TypedColumn(connection, "jsonb", Place)
    assert column.cells('{"day": "2024-01-31", "size": 1}')[0]["day"] == "2024-01-31"
    assert "value.day 20240131 is not a date" in refusals(column.json('{"day": 20240131, "size": 1}'))[0]
    refusals(column.cells('{"day": "20240131", "size": 1}', "x", ""))
    assert TypedColumn(connection, "jsonb", Any).json('"text"', "[1]", "true") == ["text", [1], True]
    assert TypedColumn(connection, "jsonb", Any).cells('"text"', "5") == ["text", 5]
    refusals(TypedColumn(connection, "jsonb", Any).cells("text", "NaN"))


def test_hstore_accepts_an_object(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS hstore")
    column = TypedColumn(connection, "hstore", dict[str, str | None])
    sent = '{"a \\"b\\"": "c\\\\d", "e": null}'
    stored = column.canonical(r'"a \"b\""=>"c\\d", e=>NULL')
    assert [*column.json(sent), *column.cells(sent)] == [stored, stored]
    assert TypedColumn(connection, "hstore", str).cells("a=>1") == ['"a"=>"1"']
    literals = ("a=>1, b=>NULL", '"a" => "x, y", "c=>d"=>e', "")
    for literal, found in zip(literals, column.cells(*literals[:2]), strict=False):
        assert found == column.canonical(literal)
    assert "is not pairs of text" in refusals(column.cells("a"))[0]


class Address(BaseModel):
    street: str | None = None
    zip: int | None = None
    since: date | None = None


@pytest.mark.parametrize("annotation", [dict[str, Any], Address])
def test_a_composite_value_accepts_an_object_or_its_literal(
    connection: psycopg.Connection[Any], annotation: Any
) -> None:
    connection.execute("DROP TYPE IF EXISTS pg_temp.address CASCADE")
    connection.execute("CREATE TYPE pg_temp.address AS (street text, zip int, since date)")
    column = TypedColumn(connection, "pg_temp.address", annotation)
    sent = r'{"street": "a \\ \"b\", (c)", "zip": 7, "since": "2024-01-31"}'
    stored = column.canonical(r"""("a \\ \"b\", (c)",7,2024-01-31)""")
    assert [*column.json(sent), *column.cells(sent), *column.cells(stored)] == [stored] * 3
    assert column.json('{"zip": 7}') == ["(,7,)"]
    assert column.cells('("",,)') == ['("",,)']
    for cell in ("(a,x,)", "(a,7,20240131)", "(a,7)", "(a,7,", "a", '{"zip": "x"}'):
        refusals(column.cells(cell))
    if annotation is not Address:
        assert "the parts are street, zip, since" in refusals(column.json('{"strasse": "a"}'))[0]
    text = TypedColumn(connection, "pg_temp.address", str)
    assert text.cells(stored, "(a,,)") == [stored, "(a,,)"]
    assert "20240131' is not a date" in refusals(text.cells("(a,7,20240131)"))[0]
    several = TypedColumn(connection, "pg_temp.address[]", list[annotation])
    assert several.json('[{"street": "a,b"}]') == [several.canonical('{"(\\"a,b\\",,)"}')]


def test_boxes_are_separated_by_semicolons(connection: psycopg.Connection[Any]) -> None:
    column = TypedColumn(connection, "box[]", list[str])
    expected = column.canonical("{(1,1),(0,0);(2,2),(1,1)}")
    assert column.cells("{(1,1),(0,0);(2,2),(1,1)}") == [expected]
    assert column.json('["(1,1),(0,0)", "(2,2),(1,1)"]') == [expected]


def test_a_multirange_accepts_a_list_of_ranges(connection: psycopg.Connection[Any]) -> None:
    column = TypedColumn(connection, "int4multirange", list[Any])
    expected = column.canonical("{[1,5),[8,9)}")
    assert column.cells("{[1,5),[8,9)}", '["[1,5)", {"lower": 8, "upper": 9}]') == [expected, expected]


def test_other_formats_have_specific_messages(connection: psycopg.Connection[Any]) -> None:
    cases = [
        ("interval", timedelta, "5", "is not a duration; write P1DT2H30M"),
        ("interval", str, "90", "is not a duration"),
        ("uuid", str, "123", "is not a UUID"),
        ("bytea", bytes, "abc", "is not bytes; write \\x"),
        ("inet", str, "10.1", "is not an IP address"),
        ("cidr", str, "192.0.2.1/24", "bits to the right of its mask"),
        ("macaddr", str, "xx", "is not a MAC address"),
        ("bit(3)", str, "102", "is not a string of bits"),
        ("daterange", str, "[20240101,20240201)", "is not a date"),
        ("tstzrange", str, "[2024-01-01 00:00,)", "has no offset"),
        ("int4range", str, "1-5", "is not a range; write it as in [1,5)"),
        ("int4range", str, "[1_0,20)", "without underscores"),
        ("timetz", time, "10:00", "has no offset"),
        ("money", Decimal, "$5", "must be a number"),
    ]
    for sql_type, annotation, cell, message in cases:
        found = refusals(TypedColumn(connection, sql_type, annotation).cells(cell))[0]
        assert message in found, (sql_type, found)
        assert found.startswith("value "), found
