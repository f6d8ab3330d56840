"""Parses reading options from query parameters: `?charset=windows-1252&decimal=,&map=Article no.:sku`."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from bulkport.errors import ValidationFailed
from bulkport.imports.charsets import find_charset
from bulkport.imports.options import Blank, ExcelDates, Normalization, ReadingOptions
from bulkport.imports.values.options import FALSE_WORDS, TRUE_WORDS

_MAX_VALUE: Final = 200
_MAX_VALUES: Final = 200
_DELIMITERS: Final = {",": ",", ";": ";", "|": "|", "\t": "\t", "tab": "\t", "\\t": "\t"}
_QUOTES: Final = {'"': '"', "'": "'", "none": ""}
_DATE_PART: Final = re.compile(r"YYYY|YY|MM|M|DD|D|HH|H|mm|ss|SSSSSS|SSS|Z")


class _BadValueError(Exception):
    """The value is none that the parameter takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter that says how to read a body."""

    name: str
    field: str
    """Of `ReadingOptions`."""
    allowed: str
    """What it may be, to be read after `must be`."""
    description: str
    parse: Callable[[str], Any]
    example: str
    is_repeatable: bool = False


def parse_reading(query: Iterable[tuple[str, str]]) -> ReadingOptions:
    """The reading options among query parameters; parameters of other names are passed over, and empty ones too.

    Raises
    ------
    ValidationFailed
        A value is none that its parameter takes; the message names the parameter, the value and what is allowed.
    """
    found: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, value in query:
        parameter = _BY_NAME.get(name)
        if parameter is None or not value:
            continue
        try:
            parsed = parameter.parse(value)
            if parameter.is_repeatable:
                parsed = _joined(found.get(parameter.field), parsed)
            elif found.get(parameter.field, parsed) != parsed:
                errors.setdefault(name, []).append(f"{name} is given twice; give it once")
        except _BadValueError:
            errors.setdefault(name, []).append(
                f"{name} {_quoted(value)} is not supported: it must be {parameter.allowed}"
            )
            continue
        found[parameter.field] = parsed
    both = {word.casefold() for word in found.get("true_words") or TRUE_WORDS} & {
        word.casefold() for word in found.get("false_words") or FALSE_WORDS
    }
    if both and found.keys() & {"true_words", "false_words"}:
        errors["trueWords"] = [f"{_quoted(min(both))} is a word for true and for false; take it from one of them"]
    if errors:
        raise ValidationFailed(errors, "; ".join(message for messages in errors.values() for message in messages) + ".")
    return ReadingOptions(**found)


def is_reading_parameter(name: str) -> bool:
    """Whether a query parameter of this name says how a body is read."""
    return name in _BY_NAME


def _joined(old: Any, new: Any) -> Any:
    if old is None:
        return new
    joined = {**old, **new} if isinstance(new, dict) else (*old, *new)
    if len(joined) > _MAX_VALUES:
        raise _BadValueError
    return joined


def _quoted(value: str) -> str:
    short = value if len(value) <= 40 else value[:39] + "…"
    return repr(short)


def _one_of(allowed: dict[str, Any]) -> Callable[[str], Any]:
    def parse(value: str) -> Any:
        if value not in allowed:
            raise _BadValueError
        return allowed[value]

    return parse


def _charset(value: str) -> str:
    found = find_charset(value)
    if found is None:
        raise _BadValueError
    return found


def _sign(value: str) -> str:
    if len(value) > 2 or not value.isprintable() or value.isalnum() or value[0] in " ,;|\"'":
        raise _BadValueError
    return value


def _number(least: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdecimal() and len(value) <= 7) or int(value) < least:
            raise _BadValueError
        return int(value)

    return parse


def _text(value: str) -> str:
    if len(value) > _MAX_VALUE or "\0" in value:
        raise _BadValueError
    return value


def _words(value: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in _text(value).split(","))
    if not all(words):
        raise _BadValueError
    return words


def _column(value: str) -> dict[str, str]:
    header, colon, field = _text(value).rpartition(":")
    if not colon or not header.strip() or not field.strip():
        raise _BadValueError
    return {header.strip(): field.strip()}


def _constant(value: str) -> dict[str, str]:
    field, colon, text = _text(value).partition(":")
    if not colon or not field.strip():
        raise _BadValueError
    return {field.strip(): text}


def _date_format(value: str) -> str:
    parts = _DATE_PART.findall(value)
    rest = _DATE_PART.sub("", value)
    if not parts or len(set(parts)) < len(parts) or len(value) > 40 or re.search(r"[^\s.,:/\-T年月日]", rest):
        raise _BadValueError
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise _BadValueError from None
    return value


_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}

PARAMETERS: Final = (
    Parameter(
        "charset",
        "charset",
        "the name of a charset, such as utf-8, utf-16, windows-1252 or shift_jis",
        "Charset of the body. Default: from a byte order mark or the Content-Type, otherwise detected.",
        _charset,
        "windows-1252",
    ),
    Parameter(
        "delimiter",
        "delimiter",
        "one of , ; | and tab",
        "Delimiter of a CSV body: `,`, `;`, `|` or `tab`. Default: detected.",
        _one_of(_DELIMITERS),
        ";",
    ),
    Parameter(
        "quote",
        "quote",
        "\", ' or none",
        "Quote character of CSV cells: `\"` (the default), `'`, or `none` if quotes have no meaning.",
        _one_of(_QUOTES),
        "'",
    ),
    Parameter(
        "escape",
        "escape",
        "a backslash (\\)",
        "Escape character of CSV cells, as MySQL and pandas write it. Default: none, quotes are doubled (RFC 4180).",
        _one_of({"\\": "\\", "backslash": "\\"}),
        "\\",
    ),
    Parameter(
        "comment",
        "comment",
        "one or two characters such as # or //",
        "CSV lines that begin with this are skipped as comments.",
        _sign,
        "#",
    ),
    Parameter(
        "skipRows",
        "skip_rows",
        "a number of lines, 0 or more",
        "Number of lines before the header row. Default: the header is searched for in the first 20 rows.",
        _number(0),
        "2",
    ),
    Parameter(
        "headerRow",
        "header_row",
        "a row number from 1",
        "Row number of the header.",
        _number(1),
        "3",
    ),
    Parameter(
        "dataRow",
        "data_row",
        "a row number from 2",
        "Row number of the first record; rows between the header and it, such as units, are skipped.",
        _number(2),
        "5",
    ),
    Parameter(
        "sheet",
        "sheet",
        "the name of a sheet, or its number from 1",
        "Sheet of a workbook, by name or number. Default: the first sheet whose header fits.",
        _text,
        "Products",
    ),
    Parameter(
        "map",
        "map",
        "HEADER:FIELD, such as Article no.:sku",
        "Reads a column as a field, `HEADER:FIELD`; repeatable.",
        _column,
        "Article no.:sku",
        is_repeatable=True,
    ),
    Parameter(
        "set",
        "set",
        "FIELD:VALUE, such as currency:EUR",
        "Sets a field to a value in every row, `FIELD:VALUE`; repeatable.",
        _constant,
        "currency:EUR",
        is_repeatable=True,
    ),
    Parameter(
        "decimal",
        "decimal",
        ". or ,",
        "Decimal separator of numbers in CSV; the other one may group digits.",
        _one_of({".": ".", ",": ","}),
        ",",
    ),
    Parameter(
        "dateFormat",
        "date_format",
        "made of YYYY, MM, DD, HH, mm and ss, such as DD.MM.YYYY",
        "Format of dates in CSV, such as `DD.MM.YYYY`. Default: ISO 8601.",
        _date_format,
        "DD.MM.YYYY",
    ),
    Parameter(
        "timeZone",
        "zone",
        "the name of a time zone, such as Europe/Berlin",
        "Time zone of times without an offset.",
        _zone,
        "Europe/Berlin",
    ),
    Parameter("trim", "trim", "true or false", "Trim blanks around text.", _one_of(_TRUTH), "true"),
    Parameter(
        "normalize",
        "normalize",
        "NFC, NFD, NFKC or NFKD",
        "Unicode normalization form of text.",
        _one_of({str(form): form for form in Normalization}),
        "NFC",
    ),
    Parameter(
        "trueWords",
        "true_words",
        "comma-separated words",
        "Words for true.",
        _words,
        "ja,wahr",
        is_repeatable=True,
    ),
    Parameter(
        "falseWords",
        "false_words",
        "comma-separated words",
        "Words for false.",
        _words,
        "nein,falsch",
        is_repeatable=True,
    ),
    Parameter(
        "nullWords",
        "null_words",
        "comma-separated words",
        "Words for null.",
        _words,
        "NULL,n/a",
        is_repeatable=True,
    ),
    Parameter(
        "blank",
        "blank",
        "null, empty or keep",
        "Meaning of a blank cell: null, empty text, or keep the stored value.",
        _one_of({str(blank): blank for blank in Blank}),
        "keep",
    ),
    Parameter(
        "excelDates",
        "excel_dates",
        "1900 or 1904",
        "Numbers in date columns are Excel's serial days, counted from 1900 or 1904.",
        _one_of({str(system): system for system in ExcelDates} | {"true": ExcelDates.FROM_1900}),
        "1900",
    ),
    Parameter(
        "neutralize",
        "neutralize",
        "true or false",
        "Cells were neutralized for spreadsheets: remove the `'` before `=`, `+`, `-` or `@`.",
        _one_of(_TRUTH),
        "true",
    ),
)
_BY_NAME: Final = {parameter.name: parameter for parameter in PARAMETERS}


_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "delimiter": {"type": "string", "enum": ["", *_DELIMITERS]},
    "quote": {"type": "string", "enum": ["", *_QUOTES]},
    "escape": {"type": "string", "enum": ["", "\\", "backslash"]},
    "comment": {"type": "string", "enum": ["", "#", "//", "--", "%", "!"]},
    "skipRows": {"type": "string", "pattern": "^[0-9]{0,7}$"},
    "headerRow": {"type": "string", "pattern": "^([1-9][0-9]{0,6})?$"},
    "dataRow": {"type": "string", "pattern": "^([2-9]|[1-9][0-9]{1,6})?$"},
    "sheet": {"type": "string", "maxLength": _MAX_VALUE, "pattern": "^[^\\x00]*$"},
    "decimal": {"type": "string", "enum": ["", ".", ","]},
    "trim": {"type": "string", "enum": ["", "true", "false", "1", "0"]},
    "normalize": {"type": "string", "enum": ["", *map(str, Normalization)]},
    "blank": {"type": "string", "enum": ["", *map(str, Blank)]},
    "excelDates": {"type": "string", "enum": ["", "true", *map(str, ExcelDates)]},
    "neutralize": {"type": "string", "enum": ["", "true", "false", "1", "0"]},
}
"""What a parameter takes, where a schema can say it; an empty one is as good as none."""


def openapi_parameters(field: str | None) -> list[dict[str, Any]]:
    """The parameters as an OpenAPI description has them.

    Parameters
    ----------
    field
        A field of the resource, for the examples of `map` and `set`; None: they have none.
    """
    examples = {} if field is None else {"map": f"Column 1:{field}", "set": f"{field}:Docker"}
    return [
        {
            "name": parameter.name,
            "in": "query",
            "required": False,
            "description": parameter.description,
            "schema": {"type": "array", "items": {"type": "string"}}
            if parameter.is_repeatable
            else _SCHEMAS.get(parameter.name, {"type": "string"}),
            **_example(parameter, examples),
        }
        for parameter in PARAMETERS
    ]


def _example(parameter: Parameter, of_resource: dict[str, str]) -> dict[str, Any]:
    if parameter.name in {"map", "set"}:
        return {"example": [of_resource[parameter.name]]} if of_resource else {}
    return {"example": [parameter.example] if parameter.is_repeatable else parameter.example}
