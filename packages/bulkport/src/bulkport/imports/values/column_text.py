"""Values as the text that a column of their type reads, or what stands against it.

A value that the column cannot keep exactly is refused here: PostgreSQL would drop an offset, round a number, or cut
text without an error. What PostgreSQL refuses by itself in clear words is left to it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from bulkport.imports.values import moments, numbers, scalars
from bulkport.imports.values.arrays import array_text, read_array
from bulkport.imports.values.column_type import MAX_NAME_BYTES, ColumnType, TypeKind
from bulkport.imports.values.composite_text import composite_text
from bulkport.imports.values.durations import check_interval, duration_text, more_second_digits
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.hstore import hstore_text
from bulkport.imports.values.json_text import json_text, read_json
from bulkport.imports.values.options import PLAIN, ValueOptions
from bulkport.imports.values.range_text import one_range, several_ranges

ToText = Callable[[Any], str]

_INTEGERS: Final = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
# PostgreSQL reads `010` as octal for these, and `-1` as the largest.
_UNSIGNED: Final = {"oid": 2**32, "xid": 2**32, "cid": 2**32, "xid8": 2**64}
_MAX_FLOAT4: Final = 3.4028235677973366e38


def column_texts(
    values: Sequence[Any],
    kind: ColumnType,
    options: ValueOptions = PLAIN,
    *,
    is_document: bool = True,
    allow_special: bool = False,
) -> tuple[list[str | None], dict[int, ValueFault]]:
    """The texts of one column's values, and the faults of those that have none, by position.

    Parameters
    ----------
    is_document:
        Whether text for a column of JSON is a JSON document, rather than a JSON string.
    allow_special:
        Whether a float may be NaN or infinite.

    Returns
    -------
    None stays None (SQL NULL), and stands where a fault is.
    """
    kinds = set(map(type, values))
    has_null = type(None) in kinds
    kinds.discard(type(None))
    if not kinds:
        return [None] * len(values), {}
    if kinds == {str} and kind.is_text and kind.name not in ("name", "char"):
        longest = kind.max_length
        if longest is None or max(map(len, filter(None, values)), default=0) <= longest:
            return list(values), {}
    if kinds == {int} and kind.name in _INTEGERS and kind.kind is TypeKind.BASE and not has_null:
        limit = _INTEGERS[kind.name]
        if -limit <= min(values) and max(values) < limit:
            return list(map(str, values)), {}
    to_text = value_text(kind, options, is_document=is_document, allow_special=allow_special)
    texts: list[str | None] = []
    faults: dict[int, ValueFault] = {}
    for position, value in enumerate(values):
        text = None
        if value is not None:
            try:
                text = to_text(value)
            except ValueFault as fault:
                faults[position] = fault
            except RecursionError:
                faults[position] = ValueFault("must not be nested so deeply", None)
        texts.append(text)
    return texts, faults


@lru_cache(maxsize=1024)
def value_text(
    kind: ColumnType, options: ValueOptions = PLAIN, *, is_document: bool = True, allow_special: bool = False
) -> ToText:
    """What gives the text of one value of a type; it raises `ValueFault`."""
    match kind.kind:
        case TypeKind.ARRAY:
            assert kind.element is not None
            element = value_text(kind.element, options, is_document=is_document, allow_special=allow_special)
            return partial(_array, element, kind.element.name not in ("json", "jsonb"), kind.delimiter)
        case TypeKind.ENUM:
            return partial(_enum, frozenset(kind.labels), kind)
        case TypeKind.RANGE:
            assert kind.element is not None
            return partial(one_range, value_text(kind.element, options))
        case TypeKind.MULTIRANGE:
            assert kind.element is not None
            return partial(several_ranges, value_text(kind.element, options))
        case TypeKind.COMPOSITE:
            return partial(composite_text, [(name, value_text(part, options)) for name, part in kind.attributes])
    if kind.name in _INTEGERS:
        return partial(_integer, -_INTEGERS[kind.name], _INTEGERS[kind.name], options)
    if kind.name in _UNSIGNED:
        return partial(_integer, 0, _UNSIGNED[kind.name], options)
    if kind.name in ("json", "jsonb"):
        return partial(_json, is_document)
    if kind.name in ("float4", "float8"):
        return partial(_float, options, allow_special, kind.name == "float4")
    if kind.name in _BY_NAME:
        return partial(_BY_NAME[kind.name], kind, options)
    if kind.is_text:
        return partial(_text, kind)
    return other_text


def other_text(value: Any) -> str:
    """The text of a value of a type without special handling."""
    if type(value) is str:
        return value
    if isinstance(value, Enum):
        return other_text(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, numbers.ExactFloat):
        return value.text
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return json_text(value, other_text)
    return str(value)


def _unwrapped(value: Any) -> Any:
    return _unwrapped(value.value) if isinstance(value, Enum) else value


def _text(kind: ColumnType, value: Any) -> str:
    text = other_text(value)
    if kind.max_length is not None and len(text) > kind.max_length:
        raise ValueFault(
            f"{{value}} is {len(text)} characters long: value too long for the column, which keeps {kind.max_length}",
            text,
        )
    if kind.name == "name" and len(text.encode(errors="replace")) > MAX_NAME_BYTES:
        raise ValueFault(f"{{value}} is too long: the column keeps {MAX_NAME_BYTES} bytes", text)
    if kind.name == "char" and len(text.encode(errors="replace")) > 1:
        raise ValueFault("{value} is too long: the column keeps 1 byte", text)
    return text


def _integer(least: int, limit: int, options: ValueOptions, value: Any) -> str:
    value = _unwrapped(value)
    if isinstance(value, str):
        number = numbers.read_integer(value, options)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, Decimal) and value.is_finite() and value == int(value):
        number = int(value)
    else:
        raise ValueFault(numbers.WHOLE_NUMBER, value)
    if not least <= number < limit:
        raise ValueFault(f"is out of range: {{value}}; the column takes {least} to {limit - 1}", value)
    return str(number)


def _numeric(kind: ColumnType, options: ValueOptions, value: Any) -> str:
    number = _decimal(options, value)
    if kind.precision_and_scale is not None:
        precision, scale = kind.precision_and_scale
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)  # finite
        decimals = max(0, -exponent)
        unit = Decimal(1).scaleb(-scale)
        if any(digits) and number.adjusted() >= precision - scale:
            before = precision - scale
            taken = (
                f"{before} digits before the point" if before > 0 else f"numbers below {Decimal(1).scaleb(before):f}"
            )
            raise ValueFault(f"is out of range: {{value}}; the column takes {taken}", value)
        if scale < 0 and number % unit:
            raise ValueFault(f"{{value}} is not a multiple of {unit:f}; the column stores no finer values", value)
        if decimals > scale >= 0 and any(digits[-(decimals - scale) :]):
            raise ValueFault(f"{{value}} has more decimals than the {scale} that the column keeps", value)
    return str(number)


def _decimal(options: ValueOptions, value: Any) -> Decimal:
    value = _unwrapped(value)
    if isinstance(value, str):
        return numbers.read_decimal(value, options)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueFault(numbers.NUMBER, value)
    if isinstance(value, Decimal):
        number = value
    else:
        number = Decimal(value.text) if isinstance(value, numbers.ExactFloat) else Decimal(str(value))
    if not number.is_finite():
        raise ValueFault(numbers.NOT_FINITE, value)
    return numbers.bounded(number, value)


def _float(options: ValueOptions, allow_special: bool, is_single: bool, value: Any) -> str:
    value = _unwrapped(value)
    if isinstance(value, str):
        number = numbers.read_float(value, options, allow_special=allow_special)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            number = value if isinstance(value, float) else float(value)
        except OverflowError:
            raise ValueFault(numbers.OUT_OF_RANGE, value) from None
        if (math.isinf(number) and not (isinstance(value, float) or value.is_infinite())) or (value and not number):  # type: ignore[union-attr]
            raise ValueFault(numbers.OUT_OF_RANGE, value)
    else:
        raise ValueFault(numbers.NUMBER, value)
    if not math.isfinite(number):
        if not allow_special:
            raise ValueFault(numbers.NOT_FINITE, value)
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if is_single and (abs(number) >= _MAX_FLOAT4 or 0 < abs(number) < 7.1e-46):  # rounds to 0
        raise ValueFault(numbers.OUT_OF_RANGE, value)
    return float.__repr__(number)


def _money(kind: ColumnType, options: ValueOptions, value: Any) -> str:
    number = _decimal(options, value)
    point = "." if kind.money_point is None else kind.money_point
    places = 2 if point else 0
    scaled = number.scaleb(places)
    if scaled != scaled.to_integral_value():
        raise ValueFault(f"{{value}} has more decimals than the {places} that the column keeps", value)
    if not -(2**63) <= int(scaled) < 2**63:
        raise ValueFault(numbers.OUT_OF_RANGE, value)
    return f"{number:.{places}f}".replace(".", point or ".")


def _boolean(_: ColumnType, options: ValueOptions, value: Any) -> str:
    value = _unwrapped(value)
    if isinstance(value, str):
        value = scalars.read_boolean(value, options)
    if not isinstance(value, bool):
        raise ValueFault(scalars.BOOLEAN, value)
    return "t" if value else "f"


def _date(_: ColumnType, options: ValueOptions, value: Any) -> str:
    value = _unwrapped(value)
    if isinstance(value, str):
        value = moments.read_date(value, options)
    elif isinstance(value, datetime):
        value = moments.read_date(value.isoformat())
    elif not isinstance(value, date):
        raise ValueFault(moments.DATE, value)
    return str(value.isoformat())


def _moment(kind: ColumnType, options: ValueOptions, value: Any) -> str:
    value, given = _unwrapped(value), value
    if isinstance(value, str):
        value = moments.read_datetime(value, options)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    elif not isinstance(value, datetime):
        raise ValueFault(moments.DATETIME, value)
    if kind.name == "timestamptz":
        value = moments.in_zone(value, options.time_zone, given)
    elif value.utcoffset() is not None:
        raise ValueFault(moments.LOST_OFFSET, given)
    _check_seconds(kind, value.microsecond, given)
    return str(value.isoformat())


def _time(kind: ColumnType, _: ValueOptions, value: Any) -> str:
    value, given = _unwrapped(value), value
    if isinstance(value, str):
        value = moments.read_time(value)
    elif not isinstance(value, time):
        raise ValueFault(moments.TIME, value)
    if kind.name == "timetz" and value.utcoffset() is None:
        raise ValueFault("{value} has no offset; write it as in 23:59:59+01:00", given)
    if kind.name == "time" and value.tzinfo is not None:
        raise ValueFault(moments.LOST_OFFSET, given)
    _check_seconds(kind, value.microsecond, given)
    return str(value.isoformat())


def _check_seconds(kind: ColumnType, microsecond: int, given: Any) -> None:
    digits = kind.second_digits
    if microsecond % 10 ** (6 - digits):
        raise ValueFault(more_second_digits(digits), given)


def _interval(kind: ColumnType, _: ValueOptions, value: Any) -> str:
    value = _unwrapped(value)
    text = duration_text(value) if isinstance(value, timedelta) else check_interval(other_text(value))
    if kind.interval_fields is not None:
        kind.interval_fields.check(text, value)
    return text


def _uuid(_: ColumnType, __: ValueOptions, value: Any) -> str:
    value = _unwrapped(value)
    return str(value if isinstance(value, UUID) else scalars.read_uuid(other_text(value)))


def _bytes(_: ColumnType, __: ValueOptions, value: Any) -> str:
    value = _unwrapped(value)
    if isinstance(value, str):
        value = scalars.read_bytes(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueFault(scalars.BYTES, value)
    return "\\x" + bytes(value).hex()


def _hstore(_: ColumnType, __: ValueOptions, value: Any) -> str:
    return hstore_text(value, other_text)


def _read_by(read: Callable[[str], str], _: ColumnType, __: ValueOptions, value: Any) -> str:
    return read(other_text(value))


def _json(is_document: bool, value: Any) -> str:
    if is_document and type(value) is str:
        read_json(value)
        return value.strip(" \t\r\n")
    return json_text(_unwrapped(value), other_text)


def _enum(labels: frozenset[str], kind: ColumnType, value: Any) -> str:
    text = other_text(value)
    if text not in labels:
        expected = [f"'{label}'" for label in kind.labels]
        listed = expected[0] if len(expected) == 1 else f"{', '.join(expected[:-1])} or {expected[-1]}"
        raise ValueFault(f"must be {listed}, not {{value}}", text)
    return text


def _array(element: ToText, nests: bool, delimiter: str, value: Any) -> str:
    if isinstance(value, str):
        given: Any = value
        value = read_json(value) if value.lstrip().startswith("[") else read_array(value, delimiter)
    else:
        given = value
    if not isinstance(value, list | tuple | set | frozenset):
        raise ValueFault("must be a list, not {value}", given)
    return array_text(list(value), element, given, nests=nests, delimiter=delimiter)


_BY_NAME: Final[Mapping[str, Callable[[ColumnType, ValueOptions, Any], str]]] = {
    "numeric": _numeric,
    "money": _money,
    "bool": _boolean,
    "date": _date,
    "timestamp": _moment,
    "timestamptz": _moment,
    "time": _time,
    "timetz": _time,
    "interval": _interval,
    "uuid": _uuid,
    "bytea": _bytes,
    "hstore": _hstore,
    "inet": partial(_read_by, scalars.read_inet),
    "cidr": partial(_read_by, scalars.read_cidr),
    "macaddr": partial(_read_by, scalars.read_mac),
    "macaddr8": partial(_read_by, scalars.read_mac),
    "bit": partial(_read_by, scalars.read_bits),
    "varbit": partial(_read_by, scalars.read_bits),
}
