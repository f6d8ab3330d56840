"""Formats numbers, durations, sizes and times for people. Pure functions, available in templates as filters."""

import math
from datetime import UTC, datetime
from typing import Final

from bulkport.byte_size import BINARY, byte_size
from bulkport.dashboard.core.language import localised, t

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_COARSE_UNITS: Final = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"))

_AXIS_TOPS: Final = (
    *(0.0004, 0.001, 0.002, 0.004, 0.008, 0.02, 0.04, 0.08, 0.2, 0.4, 0.8, 1, 2, 4, 8, 20, 40),
    *(_MINUTE * minutes for minutes in (1, 2, 4, 8, 20, 40)),
    *(_HOUR * hours for hours in (1, 2, 4, 8, 12, 24, 48)),
)

NOTHING: Final = "—"
"""What stands where a value is not known."""


def number(value: float | None) -> str:
    """A count with thousands separated: `4,118,902`; a fraction keeps one digit: `0.4`."""
    if value is None:
        return NOTHING
    if isinstance(value, int) or value == int(value) or abs(value) >= 100:
        return localised(f"{round(value):,}")
    return localised(f"{value:,.1f}")


def short_number(value: float | None) -> str:
    """A number where space is scarce: `999`, `1.2k`, `612k`, `4.1M`."""
    if value is None:
        return NOTHING
    for unit, suffix in ((1, ""), (1e3, "k"), (1e6, "M")):
        scaled = value / unit
        if abs(scaled) < 99.95:
            return localised(f"{scaled:.1f}".removesuffix(".0")) + suffix
        # What would be rounded up to 1,000 is written in the next unit.
        if abs(scaled) < 999.5:
            return f"{scaled:.0f}{suffix}"
    return localised(f"{value / 1e9:.1f}".removesuffix(".0")) + "G"


def percent(part: float | None, whole: float | None) -> str:
    """The share of `part` in `whole`, rounded down: `68%`; unfinished work never reads as 100%."""
    if part is None or not whole:
        return NOTHING
    share = max(0.0, min(1.0, part / whole))
    return "<1%" if 0 < share < 0.01 else f"{int(share * 100)}%"


def duration(seconds: float | None) -> str:
    """How long something took: `0.4 ms`, `38 ms`, `1.3 s`, `21 s`, `3m 12s`, `2h 05m`, `4d 3h`."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 0.0995:
        milliseconds = seconds * 1000
        return localised(f"{milliseconds:.1f}" if 0 < milliseconds < 9.95 else f"{milliseconds:.0f}") + " ms"
    if seconds < 9.95:
        return localised(f"{seconds:.1f}") + " s"
    return elapsed(seconds)


def axis_duration(seconds: float | None) -> str:
    """A duration on an axis, without what is zero: `0`, `250 ms`, `2 s`, `5 min`, `1.5 h`, `2 d`."""
    if not seconds:
        return "0"
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return localised(f"{seconds / unit:,.3g}") + f" {name}"
    return localised(f"{seconds * 1000:.2g}") + " ms"


def nice_duration_ceiling(seconds: float) -> float:
    """A duration not below `seconds` whose quarters read well on an axis, such as 2 min or 8 h."""
    fitting = (top for top in _AXIS_TOPS if top >= seconds * (1 - 1e-9))
    return next(fitting, math.ceil(seconds / (4 * _DAY)) * 4 * _DAY)


def elapsed(seconds: float) -> str:
    """An elapsed time in whole seconds: `3 s`, `3m 12s`. `dashboard.js` keeps counting."""
    if not math.isfinite(seconds):
        return NOTHING
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"


def coarse_duration(seconds: float) -> str:
    """How long, in one unit: `12 s`, `4 min`, `3 h`, `9 d`, as relative times use it. So does `dashboard.js`."""
    size = abs(seconds)
    for unit, name in _COARSE_UNITS:
        if size >= unit:
            return f"{int(size // unit)} {name}"
    return f"{int(size)} s"


def relative(at: datetime | None, now: datetime) -> str:
    """`12 s ago`, `in 38 s`, `now`."""
    if at is None:
        return NOTHING
    ahead = (at - now).total_seconds()
    if abs(ahead) < 1:
        return t("now")
    time = coarse_duration(ahead)
    return t("in {time}", time=time) if ahead > 0 else t("{time} ago", time=time)


def exact(at: datetime | None) -> str:
    """The whole time, in UTC: `2026-07-01 14:03:19.724 UTC`."""
    return NOTHING if at is None else machine_and_exact_time(at)[1]


def minute(at: datetime | None) -> str:
    """A time of a schedule, in UTC: `Mon 2026-07-01 14:00 UTC`; with seconds only if there are some."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return f"{weekday(utc)} {utc:{'%Y-%m-%d %H:%M:%S' if utc.second else '%Y-%m-%d %H:%M'}} UTC"


def machine_time(at: datetime) -> str:
    """ISO 8601 with milliseconds, for `<time datetime>`."""
    return machine_and_exact_time(at)[0]


def machine_and_exact_time(at: datetime) -> tuple[str, str]:
    """What `machine_time` and `exact` give, at the price of one."""
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6]
    return f"{text}Z", f"{text.replace('T', ' ')} UTC"


def weekday(at: datetime) -> str:
    """The short name of its day: `Mon`."""
    names = (t("Mon"), t("Tue"), t("Wed"), t("Thu"), t("Fri"), t("Sat"), t("Sun"))
    return names[at.weekday()]


def size(count: int | None) -> str:
    """Bytes in binary units: `812 B`, `4.0 KiB`, `1.5 GiB`."""
    if count is None:
        return NOTHING
    number, unit = byte_size(count, BINARY)
    return f"{localised(number)} {unit}"
