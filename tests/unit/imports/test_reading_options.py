"""What a request and a resource say on how a body is read."""

import pytest

from bulkport.errors import ValidationFailed
from bulkport.imports.body.options_query import PARAMETERS, openapi_parameters, parse_reading
from bulkport.imports.charsets import find_charset
from bulkport.imports.options import Blank, ExcelDates, Normalization, ReadingOptions


def test_every_parameter_parses_its_own_example_and_round_trips_through_json() -> None:
    for parameter in PARAMETERS:
        options = parse_reading([(parameter.name, parameter.example)])
        assert options != ReadingOptions(), parameter.name
        assert ReadingOptions.from_json(options.to_json()) == options, parameter.name


def test_values_are_read_as_what_they_mean() -> None:
    options = parse_reading(
        [
            ("charset", "latin1"),
            ("delimiter", "tab"),
            ("map", "Time: from:startsAt"),
            ("map", "Article no.:sku"),
            ("set", "note:a:b"),
            ("nullWords", "NULL, n/a"),
            ("nullWords", "-"),
            ("trim", "true"),
            ("blank", "keep"),
            ("normalize", "NFC"),
            ("excelDates", "true"),
            ("skipRows", "0"),
            ("dateFormat", ""),
            ("unheardOf", "x"),
        ]
    )
    assert options == ReadingOptions(
        charset="windows-1252",
        delimiter="\t",
        map={"Time: from": "startsAt", "Article no.": "sku"},
        set={"note": "a:b"},
        null_words=("NULL", "n/a", "-"),
        trim=True,
        blank=Blank.KEEP,
        normalize=Normalization.NFC,
        excel_dates=ExcelDates.FROM_1900,
        skip_rows=0,
    )


def test_one_word_cannot_mean_both_true_and_false() -> None:
    for query in ([("trueWords", "x"), ("falseWords", "X,y")], [("trueWords", "no")]):
        with pytest.raises(ValidationFailed, match="is a word for true and for false"):
            parse_reading(query)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("charset", "klingon"),
        ("charset", "base64"),
        ("charset", "utf-7"),
        ("delimiter", "::"),
        ("escape", "x"),
        ("comment", "abc"),
        ("comment", '"'),
        ("skipRows", "-1"),
        ("headerRow", "0"),
        ("map", "sku"),
        ("set", ":x"),
        ("decimal", ";"),
        ("dateFormat", "next week"),
        ("dateFormat", "DD.DD"),
        ("timeZone", "Mars/Olympus"),
        ("timeZone", "../../etc/passwd"),
        ("trim", "maybe"),
        ("normalize", "nfc?"),
        ("blank", "zero"),
        ("nullWords", "a,,b"),
    ],
)
def test_a_bad_value_is_rejected_by_name_with_the_allowed_ones(name: str, value: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse_reading([(name, value)])
    (message,) = refused.value.errors[name]
    assert name in message
    assert repr(value) in message
    assert "must be" in message
    assert refused.value.detail == f"{message}."


def test_two_values_of_one_parameter_are_rejected() -> None:
    with pytest.raises(ValidationFailed, match="delimiter is given twice"):
        parse_reading([("delimiter", ";"), ("delimiter", ",")])


def test_a_request_overrides_its_resource_and_mappings_are_merged() -> None:
    resource = ReadingOptions(decimal=",", trim=True, map={"Nr.": "sku", "Preis": "price"})
    request = ReadingOptions(trim=False, map={"Nr.": "code"})
    assert request.over(resource) == ReadingOptions(decimal=",", trim=False, map={"Nr.": "code", "Preis": "price"})


def test_detection_fills_in_unset_options_and_reports_them() -> None:
    options = ReadingOptions(delimiter=";").detect(delimiter=",", charset="windows-1252")
    assert options.delimiter == ";"
    assert options.to_json() == {"encoding": "windows-1252", "delimiter": ";", "detected": ["encoding"]}
    assert ReadingOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("UTF8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("us-ascii", "utf-8"),
        ("CP1252", "windows-1252"),
        ("ISO-8859-1", "windows-1252"),
        ("iso-8859-15", "iso-8859-15"),
        ("Shift_JIS", "cp932"),
        ("utf-16le", "utf-16-le"),
        ("macintosh", "mac-roman"),
        ("rot13", None),
        ("", None),
        ("\N{SNOWMAN}", None),
    ],
)
def test_charsets_are_known_by_all_their_names(name: str, found: str | None) -> None:
    assert find_charset(name) == found
    if found is not None:
        assert find_charset(found) == found


def test_every_parameter_is_described() -> None:
    described = {parameter["name"]: parameter for parameter in openapi_parameters("sku")}
    assert {"charset", "delimiter", "map", "decimal", "blank"} <= described.keys()
    assert all(parameter["description"].endswith(".") for parameter in described.values())


def test_values_named_in_the_description_are_accepted() -> None:
    for parameter in openapi_parameters("sku"):
        named = [*parameter["schema"].get("enum", ()), parameter["example"]]
        for value in named:
            values = value if isinstance(value, list) else [value]
            parse_reading([(parameter["name"], each) for each in values])
