"""Durations from text and to text (ISO 8601-1 §5.5.2, and what PostgreSQL shows of an interval)."""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final, Self

from bulkport.imports.values.faults import ValueFault

_NUMBER: Final = r"([+-]?[0-9]+(?:\.[0-9]+)?)"
_ISO: Final = re.compile(
    rf"([+-]?)P(?=.)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
)
_CLOCK: Final = re.compile(r"([+-]?)([0-9]+):([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]+)?))?")
_UNIT: Final = re.compile(
    r"([+-]?[0-9]+(?:\.[0-9]+)?) ?"
    r"(years?|mons?|months?|weeks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|milliseconds?|microseconds?)"
)
_SECONDS: Final = {
    "w": Decimal(604_800),
    "d": Decimal(86_400),
    "h": Decimal(3600),
    "mi": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
}
_MONTHS: Final = {"y": 12, "mo": 1}
_DAYS: Final = {"w": 7, "d": 1}
_ISO_UNITS: Final = ("y", "mo", "w", "d", "h", "mi", "s")
_MOST_DIGITS: Final = 6
# Bits of the mask of fields (PostgreSQL, src/include/utils/datetime.h: MONTH is 1, YEAR 2, DAY 3, HOUR 10, …).
_FIELD_BITS: Final = {"year": 2, "month": 1, "day": 3, "hour": 10, "minute": 11, "second": 12}

DURATION: Final = "{value} is not a duration; write P1DT2H30M or 1 day 02:30:00"
NO_FIXED_LENGTH: Final = "{value} has years or months, which have no fixed length; write days"
TOO_FINE: Final = "{value} is finer than a microsecond; write at most 6 decimals of a second"


def more_second_digits(kept: int) -> str:
    """What is wrong with a time of more decimals of a second than are kept."""
    return f"{{value}} has more decimals of a second than the {kept} that the column keeps"


def check_interval(text: str) -> str:
    """The text, if it is an interval in a form that says its units; PostgreSQL takes bare digits for seconds."""
    plain = text.strip()
    is_iso = _ISO.fullmatch(plain) is not None
    if not is_iso and _verbose_parts(plain) is None:
        raise ValueFault(DURATION, text)
    if re.search(r"\.[0-9]{6}[0-9]*[1-9]", plain):
        raise ValueFault(TOO_FINE, text)
    if is_iso or not plain.startswith("-"):
        return plain
    # Where IntervalStyle is sql_standard, a sign in front would be that of all parts without one.
    return re.sub(r"(?<=[ ,])(?=[0-9])", "+", plain)


def read_duration(text: str) -> timedelta:
    """A duration of fixed length: days, hours, minutes and seconds."""
    plain = text.strip()
    if found := _ISO.fullmatch(plain):
        sign, years, months, weeks, days, hours, minutes, seconds = found.groups()
        if Decimal(years or 0) or Decimal(months or 0):
            raise ValueFault(NO_FIXED_LENGTH, text)
        given = {"w": weeks, "d": days, "h": hours, "mi": minutes, "s": seconds}
        total = sum((Decimal(amount or 0) * _SECONDS[unit] for unit, amount in given.items()), Decimal(0))
        return _timedelta(-total if sign == "-" else total, text)
    parts = _verbose_parts(plain)
    if parts is None:
        raise ValueFault(DURATION, text)
    total = Decimal(0)
    for amount, unit in parts:
        if unit in ("y", "mo"):
            raise ValueFault(NO_FIXED_LENGTH, text)
        total += amount * _SECONDS[unit]
    return _timedelta(total, text)


def duration_text(value: timedelta) -> str:
    """A duration as an interval with days kept and correct signs, independent of IntervalStyle."""
    return f"{value.days} days {value.seconds:+d} seconds {value.microseconds:+d} microseconds"


@dataclass(frozen=True, slots=True)
class IntervalFields:
    """What a column such as `interval day to minute` or `interval(0)` keeps (manual, 8.5.4)."""

    names: tuple[str, ...]
    """Fields from `year` to `second`."""
    second_digits: int

    @classmethod
    def of(cls, modifier: int) -> Self | None:
        """What `atttypmod` says: the fields' mask above, the decimals of a second below (utils/timestamp.h)."""
        if modifier < 0:
            return None
        mask, digits = (modifier >> 16) & 0x7FFF, modifier & 0xFFFF
        names = tuple(name for name, bit in _FIELD_BITS.items() if mask & 1 << bit)
        found = cls(names, min(digits, _MOST_DIGITS))
        return None if len(names) == len(_FIELD_BITS) and found.second_digits == _MOST_DIGITS else found

    def check(self, text: str, given: Any) -> None:
        """Refuse an interval of which the column would keep a part only; `text` has passed `check_interval`."""
        months, days, seconds = _sums(text)
        finest = self.names[-1]
        if finest in ("year", "month"):
            is_lost = bool(days or seconds or months % (12 if finest == "year" else 1))
        elif finest == "day":
            is_lost = bool(seconds)
        elif finest == "second":
            if seconds % Decimal(1).scaleb(-self.second_digits):
                kept = self.second_digits
                raise ValueFault(
                    f"{{value}} has more decimals of a second than the {kept} that the column keeps", given
                )
            return
        else:
            is_lost = bool(seconds % (60 if finest == "minute" else 3600))
        if is_lost:
            raise ValueFault(f"{{value}} has more than the {finest}s that the column keeps", given)


def _sums(text: str) -> tuple[Decimal, Decimal, Decimal]:
    """Months, days and seconds of a text that has passed `check_interval`, without its sign as a whole."""
    if found := _ISO.fullmatch(text):
        parts = list(zip((Decimal(amount or 0) for amount in found.groups()[1:]), _ISO_UNITS, strict=True))
    else:
        parts = _verbose_parts(text) or []
    months = sum((amount * _MONTHS[unit] for amount, unit in parts if unit in _MONTHS), Decimal(0))
    days = sum((amount * _DAYS[unit] for amount, unit in parts if unit in _DAYS), Decimal(0))
    seconds = sum((amount * _SECONDS[unit] for amount, unit in parts if unit not in _MONTHS | _DAYS), Decimal(0))
    # A part of a month is days, of which PostgreSQL takes 30 for one, and a part of a day is hours.
    whole_months = months.to_integral_value(ROUND_DOWN)
    days += (months - whole_months) * 30
    whole_days = days.to_integral_value(ROUND_DOWN)
    return whole_months, whole_days, seconds + (days - whole_days) * _SECONDS["d"]


def _verbose_parts(text: str) -> list[tuple[Decimal, str]] | None:
    """Amounts by unit of a text such as `1 year 2 mons -3 days 04:05:06.7`, `2 days, 1:00:00` or `3 hours ago`."""
    text, factor = (text[:-4].rstrip(), -1) if text.endswith(" ago") else (text, 1)
    parts: list[tuple[Decimal, str]] = []
    position = 0
    while position < len(text):
        if found := _CLOCK.match(text, position):
            clock = Decimal(found[2]) * 3600 + Decimal(found[3]) * 60 + Decimal(found[4] or 0)
            parts.append((-clock if found[1] == "-" else clock, "s"))
        elif found := _UNIT.match(text, position):
            parts.append((Decimal(found[1]), _unit(found[2])))
        else:
            return None
        position = found.end()
        while position < len(text) and text[position] in " ,":
            position += 1
    return [(amount * factor, unit) for amount, unit in parts] or None


def _unit(name: str) -> str:
    for start, unit in (("mo", "mo"), ("mic", "us"), ("mil", "ms"), ("mi", "mi")):
        if name.startswith(start):
            return unit
    return name[0]


def _timedelta(seconds: Decimal, given: str) -> timedelta:
    microseconds = seconds * 1_000_000
    if microseconds != int(microseconds):
        raise ValueFault(TOO_FINE, given)
    try:
        return timedelta(microseconds=int(microseconds))
    except OverflowError:
        raise ValueFault("is out of range: {value}", given) from None
