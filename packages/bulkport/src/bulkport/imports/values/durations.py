"""Durations from text and to text (ISO 8601-1 §5.5.2, and what PostgreSQL shows of an interval)."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

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
    "w": 604_800,
    "d": 86_400,
    "h": 3600,
    "mi": 60,
    "s": 1,
}

DURATION: Final = "{value} is not a duration; write P1DT2H30M or 1 day 02:30:00"
NO_FIXED_LENGTH: Final = "{value} has years or months, which have no fixed length; write days"
TOO_FINE: Final = "{value} is finer than a microsecond; write at most 6 decimals of a second"


def check_interval(text: str) -> str:
    """The text, if it is an interval in a form that says its units; PostgreSQL takes bare digits for seconds."""
    plain = text.strip()
    if _ISO.fullmatch(plain) or _verbose_parts(plain) is not None:
        if re.search(r"\.[0-9]{6}[0-9]*[1-9]", plain):
            raise ValueFault(TOO_FINE, text)
        return plain
    raise ValueFault(DURATION, text)


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
        total += amount * (
            Decimal("0.001") if unit == "ms" else Decimal("0.000001") if unit == "us" else _SECONDS[unit]
        )
    return _timedelta(total, text)


def duration_text(value: timedelta) -> str:
    """A duration as an interval: days stay days, and nothing is negative but what is."""
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


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
