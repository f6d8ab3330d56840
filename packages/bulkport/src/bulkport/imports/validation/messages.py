"""Messages about field errors, written for the author of the data."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_core import ErrorDetails

from bulkport.imports.validation.exact_schema import FAULT_TYPE
from bulkport.imports.validation.not_blank import NOT_BLANK_PATTERN
from bulkport.imports.values.faults import quoted

MAX_MESSAGE_LENGTH: Final = 500
NOT_NULL: Final = "must not be null"

_NUMBER: Final = "must be a number"
_WHOLE_NUMBER: Final = "must be a whole number"
_BOOLEAN: Final = "must be true or false"
_DATE: Final = "must be a date such as 2024-12-31"
_DATETIME: Final = "must be a date and time such as 2024-12-31T23:59:59Z"
_TIME: Final = "must be a time such as 23:59:59"
_DURATION: Final = "must be a duration such as P1DT2H"
_UUID: Final = "must be a UUID"
_URL: Final = "must be a URL"
_TEXT: Final = "must be text"
_LIST: Final = "must be a list"
_OBJECT: Final = "must be an object"

_BY_TYPE: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "none_required": "must be null",
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_unicode": _TEXT,
    "bytes_type": _TEXT,
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "int_parsing_size": "is too large a number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "decimal_max_digits": "must have at most {max_digits} digits",
    "decimal_max_places": "must have at most {decimal_places} decimal places",
    "decimal_whole_digits": "must have at most {whole_digits} digits before the decimal point",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": "must be a date without a time",
    "date_past": "must be in the past",
    "date_future": "must be in the future",
    "datetime_type": _DATETIME,
    "datetime_parsing": _DATETIME,
    "datetime_object_invalid": _DATETIME,
    "datetime_from_date_parsing": _DATETIME,
    "datetime_past": "must be in the past",
    "datetime_future": "must be in the future",
    "timezone_naive": "must not have a time zone",
    "timezone_aware": "must have a time zone",
    "time_type": _TIME,
    "time_parsing": _TIME,
    "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION,
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
    "uuid_version": "must be a UUID of version {expected_version}",
    "url_type": _URL,
    "url_parsing": _URL,
    "url_syntax_violation": _URL,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
}

# What is too long, or says nothing, is not quoted; that a name must be text is said in the same words everywhere.
_TELL_NO_VALUE: Final = frozenset(
    {
        *("missing", "extra_forbidden", "string_too_long", "string_too_short", "too_long", "too_short"),
        *("string_type", "value_error", "assertion_error"),
    }
)
_OF_VALIDATORS: Final = ("value_error", "assertion_error")
_NO_ADDRESS: Final = re.compile(r"value is not a valid email address: (.*)", re.DOTALL)
_NO_SUCH_VALUE: Final = re.compile(r"(?:Input|value) (is not .*)", re.DOTALL)

_PREDICATES: Final = ("must ", "is ", "are ", "has ", "have ", "cannot ", "can ", "may ", "should ", "needs ", "does ")


def describe(error: ErrorDetails) -> str:
    """What is wrong, as the rest of a sentence that begins with the field's name: `must be at most 100 characters`.

    A message of the model's own validators is returned as it is.
    """
    kind = error["type"]
    if error.get("input", ...) is None and kind != "missing" and kind.endswith("_type"):
        return NOT_NULL
    context = error.get("ctx", {})
    if template := _BY_TYPE.get(kind):
        return template.format_map(context)
    if (describe_special := _SPECIAL.get(kind)) and (kind not in _OF_VALIDATORS or "error" in context):
        return describe_special(context)
    return error["msg"].replace("Input should ", "must ").replace("String should ", "must ")


def field_message(name: str, error: ErrorDetails) -> str:
    """What is wrong with a field and with which value: `quantity must be a whole number, not 'many'`.

    Parameters
    ----------
    name:
        Wire name of the field.
    """
    kind, value = error["type"], error.get("input")
    if kind == FAULT_TYPE:
        return value_message(name, error["ctx"]["text"], error["ctx"]["value"])
    if found := _NO_ADDRESS.match(error["msg"]):
        return _cut(f"{name} {quoted(value)} is not an address: {found[1]}")
    description = describe(error)
    if found := _NO_SUCH_VALUE.match(description):
        return _cut(f"{name} {quoted(value)} {found[1]}")
    if kind not in _TELL_NO_VALUE and description.startswith("must ") and not description.startswith("must not "):
        shown = quoted(value)
        if shown not in description.split():  # "must be greater than 0" says what 0 is
            description = f"{description}, not {shown}"
    return sentence(name, description)


def value_message(name: str, message: str, value: Any) -> str:
    """The sentence of a `ValueFault`, such as `day '20240131' is not a date; write 2024-01-31 or set dateFormat`."""
    return _cut(f"{name} {message.replace('{value}', quoted(value))}")


def sentence(name: str, description: str) -> str:
    """A message that can be read alone: `platformName must not be blank`, or `price: Too good to be true`.

    Parameters
    ----------
    name:
        Wire name of the field, or empty if the message is about the whole row.
    """
    if not name:
        message = description
    elif description.startswith(_PREDICATES):
        message = f"{name} {description}"
    elif re.search(rf"\b{re.escape(name)}\b", description):
        message = description
    else:
        message = f"{name}: {description}"
    return _cut(message)


def _cut(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 1] + "…"


def row_message(error: ErrorDetails) -> str:
    """What is wrong with a row as a whole."""
    kind = error["type"]
    if kind == "json_invalid":
        reason = str(error["ctx"]["error"]).replace(" at line 1 column ", " at column ")
        return f"the row is not valid JSON: {reason}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "the row must be a JSON object"
    return describe(error)


def _characters(count: Any) -> str:
    return "1 character" if count == 1 else f"{count} characters"


def _items(count: Any) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _too_short(context: Mapping[str, Any]) -> str:
    shortest = context["min_length"]
    return "must not be empty" if shortest == 1 else f"must be at least {_characters(shortest)}"


def _mismatch(context: Mapping[str, Any]) -> str:
    pattern = context["pattern"]
    return "must not be blank" if pattern == NOT_BLANK_PATTERN else f"must match the pattern {pattern}"


_SPECIAL: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "string_too_long": lambda context: f"must be at most {_characters(context['max_length'])}",
    "string_too_short": _too_short,
    "string_pattern_mismatch": _mismatch,
    "too_long": lambda context: f"must have at most {_items(context['max_length'])}",
    "too_short": lambda context: f"must have at least {_items(context['min_length'])}",
    # The texts of validators in the model: ValueError and AssertionError come with a prefix that is Pydantic's.
    "value_error": lambda context: str(context["error"]) or "is not valid",
    "assertion_error": lambda context: str(context["error"]) or "is not valid",
}
