"""Text is read exactly or rejected."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bulkport.imports.values import durations, moments, numbers, scalars
from bulkport.imports.values.arrays import read_array, read_multirange, read_range
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.json_text import json_text, read_json
from bulkport.imports.values.options import ValueOptions

GERMAN = ValueOptions(decimal=",", date_format="DD.MM.YYYY", zone="Europe/Berlin")
ENGLISH = ValueOptions(decimal=".", date_format="M/D/YYYY")


def refused(read: Callable[[], Any]) -> str:
    with pytest.raises(ValueFault) as found:
        read()
    return str(found.value)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-1", -1), ("+5", 5), ("007", 7), (" 12 ", 12), ("9" * 40, int("9" * 40))]
)
def test_digits_are_an_integer(text: str, value: int) -> None:
    assert numbers.read_integer(text) == value


@pytest.mark.parametrize(
    "text", ["4_0", "1.0", "1e3", "0x10", "٣", "²", "1 000", "1,000", "", "-", "--1", "\uff11", "9" * 5000]
)
def test_anything_but_digits_is_not_an_integer(text: str) -> None:
    assert refused(lambda: numbers.read_integer(text))


@pytest.mark.parametrize(
    "text", ["1_000.5", "NaN", "Infinity", "-inf", "1e", "1,5", "0x1p3", "1.2.3", "", ".", "1e999999999"]
)
def test_text_that_is_not_a_number_is_not_a_decimal(text: str) -> None:
    assert refused(lambda: numbers.read_decimal(text))


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e-400", "NaN", "Infinity", "1_0", "0." + "0" * 400 + "1"])
def test_a_number_that_a_float_cannot_hold_is_not_a_float(text: str) -> None:
    assert refused(lambda: numbers.read_float(text))


def test_special_floats_are_read_where_allowed() -> None:
    assert numbers.read_float("-Infinity", allow_special=True) == float("-inf")
    assert str(numbers.read_float("nan", allow_special=True)) == "nan"


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ("1.234,56", GERMAN, "1234.56"),
        ("9,99", GERMAN, "9.99"),
        ("-1.234.567", GERMAN, "-1234567"),
        ("1 234,5", GERMAN, "1234.5"),
        ("1\u202f234,5", GERMAN, "1234.5"),
        ("1'234.5", ENGLISH, "1234.5"),
        ("12,34,567.50", ENGLISH, "1234567.50"),
        ("1,234.56", ENGLISH, "1234.56"),
        ("5", GERMAN, "5"),
        (",5", GERMAN, ".5"),
        ("1,5e3", GERMAN, "1500"),
    ],
)
def test_numbers_are_read_with_the_declared_separators(text: str, options: ValueOptions, value: str) -> None:
    assert numbers.read_decimal(text, options) == Decimal(value)


@pytest.mark.parametrize("text", ["1.5", "1.23,4", "12.34.567", "1,234,5", "1.234 567,0", "1_234,5", "1.2345"])
def test_groups_of_other_than_three_digits_are_rejected(text: str) -> None:
    assert refused(lambda: numbers.read_decimal(text, GERMAN))


def test_integers_can_have_groups_if_a_decimal_separator_is_declared() -> None:
    assert numbers.read_integer("1.234.567", GERMAN) == 1_234_567
    assert refused(lambda: numbers.read_integer("1.5", GERMAN))


@pytest.mark.parametrize(
    "text",
    [
        "20240131",
        "45322",
        "2024",
        "202401311011",
        "1706659200",
        "31.01.2024",
        "1/2/2024",
        "2024-1-31",
        "2023-02-29",
        "0000-01-01",
        "2024-01-31T10:00",
        "2024-01-31T00:00Z",
        "infinity",
        "today",
        "2024-W05-3",
        "\uff12\uff10\uff12\uff14-01-31",
        "",
    ],
)
def test_text_outside_iso_8601_is_not_a_date(text: str) -> None:
    assert refused(lambda: moments.read_date(text))


@pytest.mark.parametrize(
    "text",
    [
        "20240131",
        "45322",
        "1706659200.5",
        "2024",
        "202401311011",
        "20240131T101112Z",
        "2024-01-31 25:00",
        "2024-01-31T10:00:00.1234567",
        "2024-01-31T24:00",
        "now",
        "2024-01-31T10",
        "2024-01-31T10:00+16",
    ],
)
def test_text_outside_iso_8601_is_not_a_datetime(text: str) -> None:
    assert refused(lambda: moments.read_datetime(text))


def test_a_datetime_keeps_its_offset() -> None:
    read = moments.read_datetime
    assert read("2024-01-31T10:11:12.5+05:30") == datetime(
        2024, 1, 31, 10, 11, 12, 500_000, timezone(timedelta(hours=5.5))
    )
    assert read("2024-01-31 10:11Z").tzinfo is UTC
    assert read("2024-01-31 10:11:12-0130").utcoffset() == timedelta(hours=-1.5)
    assert read("2024-01-31").tzinfo is None
    assert read("2024-01-31T10:00:00.1234560").microsecond == 123_456


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        ("DD.MM.YYYY", "31.01.2024", "2024-01-31T00:00:00"),
        ("DD.MM.YYYY", "31.01.2024 10:11:12", "2024-01-31T10:11:12"),
        ("DD.MM.YYYY", "2024-01-31", "2024-01-31T00:00:00"),
        ("DD/MM/YYYY", "31/12/2026", "2026-12-31T00:00:00"),
        ("MM/DD/YYYY", "12/31/2026", "2026-12-31T00:00:00"),
        ("M/D/YY", "1/2/24", "2024-01-02T00:00:00"),
        ("M/D/YYYY h:mm A", "1/2/2024 1:05 PM", "2024-01-02T13:05:00"),
        ("YYYYMMDD", "20240131", "2024-01-31T00:00:00"),
        ("D MMM YYYY", "5 Jan 2024", "2024-01-05T00:00:00"),
        ("YYYY/MM/DD HH:mm:ss", "2024/01/31 23:59:58", "2024-01-31T23:59:58"),
    ],
)
def test_dates_are_read_in_the_declared_format(pattern: str, text: str, value: str) -> None:
    assert moments.read_datetime(text, ValueOptions(date_format=pattern)).isoformat() == value


@pytest.mark.parametrize("text", ["1.1.2024", "31.02.2024", "01/31/2024", "45322", "01.13.2024", "31.01.24"])
def test_dates_outside_the_declared_format_are_rejected(text: str) -> None:
    assert "DD.MM.YYYY" in refused(lambda: moments.read_date(text, ValueOptions(date_format="DD.MM.YYYY")))


@pytest.mark.parametrize("pattern", ["DD.MM", "YYYY", "DD.DD.YYYY", ""])
def test_a_format_needs_day_month_and_year_once(pattern: str) -> None:
    with pytest.raises(ValueError, match="dateFormat"):
        moments.date_pattern(pattern)


def test_serial_dates_of_spreadsheets_are_read_if_requested() -> None:
    options = ValueOptions(excel_dates="1900")
    assert moments.read_date("45322", options) == date(2024, 1, 31)
    assert moments.read_datetime("45322.75", options) == datetime.fromisoformat("2024-01-31T18:00:00")
    assert moments.read_date("43860", ValueOptions(excel_dates="1904")) == date(2024, 1, 31)
    assert moments.read_date("2024-01-31", options) == date(2024, 1, 31)
    assert refused(lambda: moments.read_date("60", options))
    assert refused(lambda: moments.read_date("45322.5", options))
    assert refused(lambda: moments.read_date("9" * 30, options))


def test_a_time_without_an_offset_is_in_the_declared_zone_or_naive() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    summer = datetime.fromisoformat("2024-07-01T12:00:00")
    assert moments.in_zone(summer, berlin, "x").utcoffset() == timedelta(hours=2)
    assert moments.in_zone(summer.replace(tzinfo=UTC), berlin, "x").utcoffset() == timedelta()
    assert "no offset" in refused(lambda: moments.in_zone(summer, None, "x"))
    assert "put forward" in refused(lambda: moments.in_zone(datetime.fromisoformat("2024-03-31T02:30:00"), berlin, "x"))
    assert "put back" in refused(lambda: moments.in_zone(datetime.fromisoformat("2024-10-27T02:30:00"), berlin, "x"))


def test_times_of_day_are_read() -> None:
    assert moments.read_time("23:59:59.5") == time(23, 59, 59, 500_000)
    assert moments.read_time("23:59+01").utcoffset() == timedelta(hours=1)
    for text in ("235959", "24:00", "7:00", "23", "1e3", "86399"):
        assert refused(lambda text=text: moments.read_time(text))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("P1DT2H30M", timedelta(days=1, hours=2, minutes=30)),
        ("-P1D", timedelta(days=-1)),
        ("PT0.000001S", timedelta(microseconds=1)),
        ("P2W", timedelta(weeks=2)),
        ("1 day 02:30:00", timedelta(days=1, hours=2, minutes=30)),
        ("-1 days +23:00:00", timedelta(hours=-1)),
        ("2 days, 1:00:00", timedelta(days=2, hours=1)),
        ("90 minutes", timedelta(minutes=90)),
        ("3 hours ago", timedelta(hours=-3)),
    ],
)
def test_durations_are_read(text: str, value: timedelta) -> None:
    assert durations.read_duration(text) == value


@pytest.mark.parametrize(
    "text", ["5", "1.5", "P", "PT", "P1M", "1 month", "P1Y", "1 fortnight", "", "12:75", "1d", "P1.5"]
)
def test_text_without_a_unit_or_a_length_is_not_a_duration(text: str) -> None:
    assert refused(lambda: durations.read_duration(text))


@pytest.mark.parametrize(("text", "value"), [("TRUE", True), ("no", False), ("1", True), (" off ", False)])
def test_booleans_are_read_from_words(text: str, value: bool) -> None:
    assert scalars.read_boolean(text) is value


def test_boolean_words_can_be_declared() -> None:
    options = ValueOptions(true_words=("ja", "Wahr"), false_words=("nein",))
    assert scalars.read_boolean("WAHR", options) is True
    assert scalars.read_boolean("nein", options) is False
    assert "ja" in refused(lambda: scalars.read_boolean("yes", options))
    assert refused(lambda: scalars.read_boolean("2"))


def test_identifiers_bytes_and_addresses_are_read() -> None:
    assert str(scalars.read_uuid("123E4567E89B12D3A456426614174000")) == "123e4567-e89b-12d3-a456-426614174000"
    assert refused(lambda: scalars.read_uuid("123e4567-e89b-12d3-a456"))
    assert scalars.read_bytes("\\xDEad") == b"\xde\xad"
    for text in ("abc", "\\xabc", "DEAD", "\\x zz"):
        assert refused(lambda text=text: scalars.read_bytes(text))  # type: ignore[misc]
    assert scalars.read_inet("192.0.2.1/24") == "192.0.2.1/24"
    for text in ("192.0.2", "3232235777", "10", "fe80::1%eth0", "1.2.3.4/33", "01.2.3.4"):
        assert refused(lambda text=text: scalars.read_inet(text))  # type: ignore[misc]
    assert "right of its mask" in refused(lambda: scalars.read_cidr("192.0.2.1/24"))
    assert refused(lambda: scalars.read_mac("08002b0102"))
    assert refused(lambda: scalars.read_bits("012"))


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{'a':1}", "{a:1}", "", "1 2", '{"a":01}', "[" * 100_000])
def test_invalid_json_is_rejected(text: str) -> None:
    assert refused(lambda: read_json(text))


def test_json_keeps_every_digit() -> None:
    text = '{"a":0.1000000000000000055,"b":[1e400,-0.0,12345678901234567890123],"c":"ü"}'
    assert json_text(read_json(text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", []),
        ("{a,b}", ["a", "b"]),
        ('{ "a b" , NULL, "NULL", "", x y }', ["a b", None, "NULL", "", "x y"]),
        (r'{"a\"b","c\\d",e\,f}', ['a"b', "c\\d", "e,f"]),
        ("{{1,2},{3,4}}", [["1", "2"], ["3", "4"]]),
    ],
)
def test_array_literals_are_read(text: str, value: list[Any]) -> None:
    assert read_array(text) == value


@pytest.mark.parametrize(
    "text", ["", "a,b", "{a", "{a}}", "{a,}", "{,a}", "{a}b", '{"a"b}', '{"a}', "[1:2]={a,b}", "{" * 9 + "}" * 9]
)
def test_an_invalid_array_literal_is_rejected(text: str) -> None:
    assert refused(lambda: read_array(text))


def test_range_literals_are_read() -> None:
    found = read_range('["a ""b",c\\,d)')
    assert found is not None
    assert (found.lower, found.upper, found.bounds) == ('a "b', "c,d", "[)")
    assert read_range("empty") is None
    assert len(read_multirange("{[1,2), (3,]}")) == 2
    assert read_multirange("{}") == []
    for text in ("1,2", "[1;2]", "[1,2", "[1,2,3]", ""):
        assert refused(lambda text=text: read_range(text))  # type: ignore[misc]
    for text in ("[1,2)", "{[1,2)", "{[1,2),}", "{1}"):
        assert refused(lambda text=text: read_multirange(text))  # type: ignore[misc]
