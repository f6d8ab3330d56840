"""Dates and times from text: ISO 8601 in its extended form (RFC 3339), or the format that the import declares.

Nothing is guessed: digits alone are no date, `01/02/2024` has no order of its own, and a time without an offset is in
no zone unless one is declared.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.options import PLAIN, ValueOptions

_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME_PART: Final = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
_OFFSET_PART: Final = r"(?: ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2}(?::[0-9]{2})?)?))?"
_TIME: Final = re.compile(_TIME_PART + _OFFSET_PART)
_DATETIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:(?:[Tt]| +)" + _TIME_PART + _OFFSET_PART + ")?")
_SERIAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_EPOCHS: Final = {"1900": date(1899, 12, 30), "1904": date(1904, 1, 1)}
_FIRST_SERIAL: Final = 61
"""Before March 1900 Excel counts a day that never was."""

_TOKENS: Final = {
    "YYYY": r"(?P<year>[0-9]{4})",
    "YY": r"(?P<short_year>[0-9]{2})",
    "MMMM": r"(?P<month_name>[A-Za-z]+)",
    "MMM": r"(?P<month_name>[A-Za-z]+)",
    "MM": r"(?P<month>[0-9]{2})",
    "M": r"(?P<month>[0-9]{1,2})",
    "DD": r"(?P<day>[0-9]{2})",
    "D": r"(?P<day>[0-9]{1,2})",
    "HH": r"(?P<hour>[0-9]{2})",
    "H": r"(?P<hour>[0-9]{1,2})",
    "hh": r"(?P<half_hour>[0-9]{2})",
    "h": r"(?P<half_hour>[0-9]{1,2})",
    "mm": r"(?P<minute>[0-9]{2})",
    "ss": r"(?P<second>[0-9]{2})",
    "SSSSSS": r"(?P<micros>[0-9]{6})",
    "SSS": r"(?P<micros>[0-9]{3})",
    "Z": r"(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)",
    "A": r"(?P<half>[AaPp]\.?[Mm]\.?)",
}
_TOKEN: Final = re.compile("|".join(_TOKENS))
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CENTURY_PIVOT: Final = 70

DATE: Final = "{value} is not a date; write 2024-01-31 or set dateFormat"
DATETIME: Final = "{value} is not a date and time; write 2024-01-31T23:59:59Z or set dateFormat"
TIME: Final = "{value} is not a time; write 23:59:59"
DATE_WITH_TIME: Final = "{value} has a time; the column keeps the date alone"
DATE_WITH_OFFSET: Final = "{value} has an offset, which a date cannot keep; write the date alone"
NO_OFFSET: Final = "{value} has no offset; write it as in 2024-01-31T23:59:59+01:00, or set timeZone"
LOST_OFFSET: Final = "{value} has an offset, which the column cannot keep; write the local time without it"
TOO_FINE: Final = "{value} is finer than a microsecond; write at most 6 decimals of a second"
SKIPPED_TIME: Final = "{value} does not exist in {zone}: clocks were put forward; write the offset"
DOUBLE_TIME: Final = "{value} exists twice in {zone}: clocks were put back; write the offset"


def read_date(text: str, options: ValueOptions = PLAIN) -> date:
    """A date. A trailing time of midnight, as spreadsheets write it, is accepted."""
    plain = text.strip()
    moment = _declared(plain, options, text, DATE)
    if moment is not None:
        if moment.timetz() != time():
            raise ValueFault(DATE_WITH_TIME, text)
        return moment.date()
    if _DATE.fullmatch(plain):
        return _iso_date(plain, text, DATE)
    if not _DATETIME.fullmatch(plain):
        raise ValueFault(_not_a(DATE, plain, options), text)
    moment = read_datetime(text)
    if moment.tzinfo is not None:
        raise ValueFault(DATE_WITH_OFFSET, text)
    if moment.time() != time():
        raise ValueFault(DATE_WITH_TIME, text)
    return moment.date()


def read_datetime(text: str, options: ValueOptions = PLAIN) -> datetime:
    """A date and time, with its offset where one is given; a date alone is its midnight."""
    plain = text.strip()
    moment = _declared(plain, options, text, DATETIME)
    if moment is not None:
        return moment
    found = _DATETIME.fullmatch(plain)
    if not found:
        raise ValueFault(_not_a(DATETIME, plain, options), text)
    day = _iso_date(found[1], text, DATETIME)
    if found[2] is None:
        return datetime.combine(day, time())
    return datetime.combine(day, _time(found.groups()[1:], text, DATETIME))


def read_time(text: str) -> time:
    """A time of day, with its offset where one is given."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise ValueFault(TIME, text)
    return _time(found.groups(), text, TIME)


def in_zone(moment: datetime, zone: ZoneInfo | None, given: Any) -> datetime:
    """A datetime for a timestamptz column: unchanged, or local time in the declared zone."""
    if moment.utcoffset() is not None:
        return moment
    if zone is None:
        raise ValueFault(NO_OFFSET, given)
    local = moment.replace(tzinfo=zone, fold=0)
    other = moment.replace(tzinfo=zone, fold=1)
    if local.utcoffset() != other.utcoffset():
        # In a gap no moment has this wall clock time, so the way to UTC and back ends at another one.
        exists = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment.replace(fold=0)
        raise ValueFault((DOUBLE_TIME if exists else SKIPPED_TIME).replace("{zone}", zone.key), given)
    return local


def _not_a(message: str, text: str, options: ValueOptions) -> str:
    if options.date_format:
        return message.split(";", maxsplit=1)[0] + f"; the format of this import is {options.date_format}"
    return message


def _iso_date(text: str, given: str, message: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueFault(message.split(";", maxsplit=1)[0] + "; there is no such day", given) from None


def _time(parts: tuple[str | None, ...], given: str, message: str) -> time:
    hour, minute, second, fraction, offset = parts
    fraction = (fraction or "").rstrip("0")
    if len(fraction) > 6:  # microseconds
        raise ValueFault(TOO_FINE, given)
    try:
        return time(
            int(hour or 0), int(minute or 0), int(second or 0), int(fraction.ljust(6, "0")), tzinfo=_zone(offset)
        )
    except ValueError:
        raise ValueFault(message.split(";", maxsplit=1)[0] + "; there is no such time", given) from None


def _zone(offset: str | None) -> timezone | None:
    if offset is None:
        return None
    if offset in ("Z", "z"):
        return UTC
    digits = offset[1:].replace(":", "")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:] or 0)
    if hours > 15 or minutes > 59 or seconds > 59:  # PostgreSQL takes offsets below 16 hours
        raise ValueError(offset)
    distance = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(-distance if offset[0] == "-" else distance)


def _declared(text: str, options: ValueOptions, given: str, message: str) -> datetime | None:
    """The datetime in the declared format, or from a serial number if enabled; None if neither."""
    moment = None
    if options.date_format:
        moment = _by_format(text, options.date_format, given, message)
    if moment is None and options.excel_dates:
        moment = _by_serial(text, options.excel_dates, given)
    return moment


def _by_format(text: str, pattern: str, given: str, message: str) -> datetime | None:
    """The moment that the declared format reads; None where text is not of that format but may be ISO 8601."""
    found = date_pattern(pattern).match(text)
    if not found:
        return None
    parts = found.groupdict()
    clock = _TIME.fullmatch(text[found.end() :].lstrip(" T"))
    if found.end() < len(text) and (not clock or "minute" in parts):
        return None
    try:
        day = date(_year(parts), _month(parts), int(parts["day"]))
        if clock:
            return datetime.combine(day, _time(clock.groups(), given, message))
        return datetime.combine(day, time(_hour(parts), *_rest(parts), tzinfo=_zone(parts.get("offset"))))
    except (ValueError, KeyError):
        raise ValueFault(
            message.split(";", maxsplit=1)[0] + f"; the format of this import is {pattern}", given
        ) from None


@lru_cache(maxsize=64)
def date_pattern(text: str) -> re.Pattern[str]:
    """What a date format such as `DD.MM.YYYY` or `M/D/YYYY h:mm A` matches.

    Raises
    ------
    ValueError
        If the format does not say day, month and year, or says something twice.
    """
    parts: list[str] = []
    end = 0
    for found in _TOKEN.finditer(text):
        parts += [re.escape(text[end : found.start()]), _TOKENS[found[0]]]
        end = found.end()
    parts.append(re.escape(text[end:]))
    try:
        pattern = re.compile("".join(parts))
    except re.error:
        raise ValueError(f"dateFormat {text!r} says a part of the date twice") from None
    names = pattern.groupindex.keys()
    if "day" not in names or not names & {"month", "month_name"} or not names & {"year", "short_year"}:
        raise ValueError(f"dateFormat {text!r} needs a day (DD), a month (MM) and a year (YYYY)")
    return pattern


def _year(parts: dict[str, str]) -> int:
    if "year" in parts:
        return int(parts["year"])
    short = int(parts["short_year"])
    return short + (1900 if short >= _CENTURY_PIVOT else 2000)


def _month(parts: dict[str, str]) -> int:
    if "month" in parts:
        return int(parts["month"])
    name = parts["month_name"].casefold()
    number = _MONTHS.index(name[:3])
    if len(name) > 3 and name != date(2000, number + 1, 1).strftime("%B").casefold():  # abbreviation
        raise ValueError(name)
    return number + 1


def _hour(parts: dict[str, str]) -> int:
    if "half_hour" not in parts:
        return int(parts.get("hour", 0))
    hour = int(parts["half_hour"])
    if not 1 <= hour <= 12:  # a clock face
        raise ValueError(hour)
    return hour % 12 + (12 if parts["half"][0] in "Pp" else 0)


def _rest(parts: dict[str, str]) -> tuple[int, int, int]:
    return int(parts.get("minute", 0)), int(parts.get("second", 0)), int(parts.get("micros", "").ljust(6, "0"))


def _by_serial(text: str, system: str, given: str) -> datetime | None:
    """The moment of a spreadsheet's serial number: days since its epoch, and the time as a fraction of a day."""
    if not _SERIAL.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    try:
        day = _EPOCHS[system] + timedelta(days=int(whole))
    except OverflowError:
        day = date.max
    if (system == "1900" and int(whole) < _FIRST_SERIAL) or day == date.max:
        raise ValueFault("{value} is not a serial date of a spreadsheet", given)
    # A double holds a time of day to some microseconds: spreadsheets show whole milliseconds.
    milliseconds = round(float("0." + (fraction or "0")) * 86_400_000)
    return datetime.combine(day, time()) + timedelta(milliseconds=milliseconds)
