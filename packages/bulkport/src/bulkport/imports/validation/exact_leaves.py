"""Reads single values exactly inside Pydantic's schema, in place of its conversions.

A reader takes a value as JSON or a text cell gives it and returns one of the type that the schema wants; what it does
not know, such as the result of a model's own validator, it hands on as it is.
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, Final
from unicodedata import normalize
from uuid import UUID

from bulkport.imports.values import durations, moments, numbers, scalars
from bulkport.imports.values.column_type import ColumnType, TypeKind
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.options import ValueOptions

Reader = Callable[[Any], Any]

AS_TEXT: Final = "text"
"""Encoding of bytes that a validator of the model decodes itself, as `Base64Bytes` does."""
NOT_NULL: Final = "must not be null"


def integer_reader(options: ValueOptions) -> Reader:
    """Whole numbers from text cells."""
    return lambda value: numbers.read_integer(value, options) if isinstance(value, str) else value


def float_reader(options: ValueOptions, *, is_text: bool, allow_special: bool) -> Reader:
    """Floats from numbers of JSON or text cells; in JSON the special ones are the strings `NaN` and `Infinity`."""

    def read(value: Any) -> Any:
        if isinstance(value, numbers.ExactFloat):
            return numbers.in_float_range(value, value.text)
        if isinstance(value, str) and (is_text or allow_special):
            number = numbers.read_float(value, options, allow_special=allow_special)
            if not is_text and number == number and abs(number) != float("inf"):  # noqa: PLR0124 # a number in quotes
                raise ValueFault(numbers.NUMBER, value)
            return number
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                return numbers.in_float_range(numbers.ExactFloat(str(value)), str(value))
            except ValueError:  # more digits than Python makes text of
                raise ValueFault(numbers.OUT_OF_RANGE, "the number") from None
        return value

    return read


def decimal_reader(options: ValueOptions) -> Reader:
    """Decimals with all their digits, from numbers of JSON or from text."""

    def read(value: Any) -> Any:
        if isinstance(value, numbers.ExactFloat):
            return numbers.bounded(Decimal(value.text), value.text)
        if isinstance(value, str):
            return numbers.read_decimal(value, options)
        if isinstance(value, int) and not isinstance(value, bool):
            return numbers.bounded(Decimal(value), value)
        if isinstance(value, Decimal):
            return value
        raise ValueFault(NOT_NULL if value is None else numbers.NUMBER, value)

    return read


def boolean_reader(options: ValueOptions) -> Reader:
    """Booleans by their words."""
    return lambda value: scalars.read_boolean(value, options) if isinstance(value, str) else value


def text_reader(options: ValueOptions) -> Reader | None:
    """Text trimmed and normalised as the import says; None if it says nothing."""
    if not options.trim and not options.normalize:
        return None

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        value = value.strip() if options.trim else value
        return normalize(options.normalize, value) if options.normalize else value

    return read


def date_reader(options: ValueOptions) -> Reader:
    """Dates."""
    return _typed(date, partial(moments.read_date, options=options), moments.DATE)


def datetime_reader(options: ValueOptions, column: ColumnType | None, *, is_aware: bool) -> Reader:
    """Dates and times; those without an offset are in the declared zone where the column or the model wants one."""
    has_zone = is_aware or (column is not None and column.name == "timestamptz")

    def read(text: str) -> datetime:
        moment = moments.read_datetime(text, options)
        return moments.in_zone(moment, options.time_zone, text) if has_zone and options.time_zone else moment

    return _typed(datetime, read, moments.DATETIME)


def time_reader() -> Reader:
    """Times of day."""
    return _typed(time, moments.read_time, moments.TIME)


def duration_reader() -> Reader:
    """Durations of fixed length."""
    return _typed(timedelta, durations.read_duration, durations.DURATION)


def uuid_reader() -> Reader:
    """UUIDs."""
    return _typed(UUID, scalars.read_uuid, scalars.UUID_MESSAGE)


def bytes_reader(encoding: str) -> Reader:
    """Bytes in hexadecimal, or as the model's `val_json_bytes` says."""

    def read(text: str) -> bytes:
        if encoding == AS_TEXT:
            return text.encode()
        if text.startswith("\\x"):
            return scalars.read_bytes(text)
        try:
            if encoding == "base64":
                return base64.b64decode(text.translate(_URL_SAFE), validate=True)
            if encoding == "hex":
                return bytes.fromhex(text)
        except (ValueError, binascii.Error):
            raise ValueFault(f"{{value}} is not {encoding}", text) from None
        raise ValueFault(scalars.BYTES, text)

    return _typed(bytes, read, scalars.BYTES)


def enum_reader(schema: Mapping[str, Any], *, is_text: bool) -> Reader:
    """Members by their value, in text cells by its text."""
    members: list[Enum] = schema["members"]
    by_value = {(type(member.value), member.value): member for member in members if _is_hashable(member.value)}
    by_text = {str(member.value): member for member in reversed(members)}
    has_hook = getattr(schema["cls"]._missing_, "__func__", None) is not Enum._missing_.__func__  # type: ignore[attr-defined]
    expected = listed([member.value for member in members])

    def read(value: Any) -> Any:
        found = by_value.get((type(value), value)) if _is_hashable(value) else None
        if found is None and is_text and isinstance(value, str):
            found = by_text.get(value)
        if found is not None or has_hook or isinstance(value, schema["cls"]):
            return value if found is None else found
        raise ValueFault(NOT_NULL if value is None else f"must be {expected}, not {{value}}", value)

    return read


def literal_reader(schema: Mapping[str, Any]) -> Reader:
    """The expected values by their text."""
    expected = schema["expected"]
    by_text = {str(getattr(value, "value", value)): value for value in reversed(expected)}
    by_text |= {str(value).lower(): value for value in expected if isinstance(value, bool)}
    return lambda value: by_text.get(value, value) if isinstance(value, str) and value not in expected else value


def address_reader() -> Reader:
    """Text of addresses: Pydantic would take a number for one."""
    return _typed(_ADDRESSES, str, scalars.ADDRESS)


def listed(values: list[Any]) -> str:
    """Alternatives as a message names them: `'S', 'M' or 'L'`."""
    texts = [repr(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def is_json_column(column: ColumnType | None) -> bool:
    """Whether the column holds JSON."""
    return column is not None and column.kind is TypeKind.BASE and column.name in ("json", "jsonb")


def _typed(kind: Any, read: Callable[[str], Any], message: str) -> Reader:
    def read_typed(value: Any) -> Any:
        if isinstance(value, str):
            return read(value)
        if isinstance(value, kind) or (kind is date and isinstance(value, date)):
            return value
        raise ValueFault(NOT_NULL if value is None else message, value)

    return read_typed


def _is_hashable(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | Decimal | bytes | tuple | date | UUID)


_URL_SAFE: Final = str.maketrans("-_", "+/")
_ADDRESSES: Final = (
    *(ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network),
    *(ipaddress.IPv6Address, ipaddress.IPv6Interface, ipaddress.IPv6Network),
)
