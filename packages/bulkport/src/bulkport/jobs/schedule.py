"""When a recurring job is due: a cron expression, read in a time zone.

The expression has the five fields of cron(5): minute, hour, day of month, month, day of week. It knows names (MON,
JAN), ranges, lists, steps, `L` (last day of the month, or the last Friday as `5L`), `LW` (last weekday of the
month), `5#2` (second Friday), and the shorthands @hourly to @yearly. If both the day of month and the day of week
are restricted, one of them is enough, as in Vixie's cron.

When clocks change, a schedule for certain hours keeps to the days: what falls into the hour that is left out comes
once, right after it, and what falls into the hour that comes twice comes once, the first time. A schedule for every
hour keeps to real time: `*/15 * * * *` is due every 15 minutes all day.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from bulkport.jobs.errors import InvalidSchedule

_SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS: Final = 5
_HOURS_OF_A_DAY: Final = 24
_ORDINALS: Final = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_NTH: Final = rf"(?:\d+(?=st|nd|rd|th)|{'|'.join(_ORDINALS)})"
_EVERY_NTH: Final = re.compile(
    rf"Every (?P<minutes>{_NTH})(?:st|nd|rd|th)? minute(?: of every hour$)?"
    rf"|At minute 0 past every (?P<hours>{_NTH})(?:st|nd|rd|th)? hour"
)
_MOST_LENGTH: Final = 200
_SECOND: Final = timedelta(seconds=1)


class Schedule:
    """A cron expression in a time zone.

    Parameters
    ----------
    cron
        Five fields, or a shorthand such as `@daily`.
    timezone
        IANA name, such as `Europe/Berlin`.

    Raises
    ------
    InvalidSchedule
        The expression or the zone cannot be used, or the schedule is never due.

    Examples
    --------
    >>> Schedule("30 2 * * *", "Europe/Berlin").next_after(datetime(2026, 3, 28, 12, tzinfo=UTC)).isoformat()
    '2026-03-29T01:00:00+00:00'
    """

    def __init__(self, cron: str, timezone: str = "UTC") -> None:
        self.cron = cron
        self.timezone = timezone
        self._zone = _zone(timezone)
        self._fields = _fields(cron)
        self._is_for_every_hour = len(_parsed(self._fields, cron).hours) == _HOURS_OF_A_DAY
        self._expression = self._normalized()
        if self.next_after(datetime.now(UTC)) is None:
            raise InvalidSchedule(f"the cron expression {cron!r} is never due")

    def __repr__(self) -> str:
        return f"Schedule({self.cron!r}, {self.timezone!r})"

    @property
    def fields(self) -> tuple[str, str, str, str, str]:
        """Minute, hour, day of month, month and day of week in capitals, with shorthands expanded."""
        minute, hour, day, month, weekday = self._fields
        return minute, hour, day, month, weekday

    @cached_property
    def in_words(self) -> str:
        """The cron expression in English, such as `At 03:00 every day`; without the zone."""
        words = CronSim(" ".join(self._fields), datetime.now(UTC)).explain()
        return _EVERY_NTH.sub(_every, words)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time, in UTC, later than an aware one; None: not within 50 years."""
        return next(self.ticks_after(moment), None)

    def ticks_after(self, moment: datetime) -> Iterator[datetime]:
        """Every time it is due after an aware one, in UTC, in order, without an end in sight."""
        if self._is_for_every_hour:
            yield from self._ticks_in_real_time(moment.astimezone(UTC).replace(microsecond=0))
            return
        last = moment.astimezone(UTC)
        for local in CronSim(self._expression, last.astimezone(self._zone)):
            # In the second of two equal hours the clock on the wall starts from times that have been.
            tick = local.astimezone(UTC)
            if tick > last:
                last = tick
                yield tick

    def _ticks_in_real_time(self, start: datetime) -> Iterator[datetime]:
        """Each time that a clock on the wall shows a minute of the schedule: between two changes of the clock its
        distance from UTC is one, and a schedule has no gaps.
        """
        while True:
            offset = self._offset_at(start)
            for local in CronSim(self._expression, start.astimezone(timezone(offset))):
                tick = local.astimezone(UTC)
                if self._offset_at(tick) != offset:
                    break
                start = tick
                yield tick
            else:
                return
            # What is due at the very moment of the change is due by the new clock.
            change = self._change_between(start, tick)
            offset = self._offset_at(change)
            first = next(CronSim(self._expression, (change - _SECOND).astimezone(timezone(offset)))).astimezone(UTC)
            start = change
            if first == change:
                yield change

    def _change_between(self, before: datetime, after: datetime) -> datetime:
        """The second in which the clock changes, between two times of which it shows different offsets."""
        offset = self._offset_at(before)
        while after - before > _SECOND:
            middle = before + (after - before) // (2 * _SECOND) * _SECOND
            if self._offset_at(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def _offset_at(self, moment: datetime) -> timedelta:
        offset = moment.astimezone(self._zone).utcoffset()
        assert offset is not None  # every ZoneInfo has one
        return offset

    def _normalized(self) -> str:
        """The expression with stars as described in the module.

        CronSim, like cron, takes a schedule for one of certain hours unless its minutes or hours begin with a star,
        and `*/15 2 * * *` would be left out with the hour, or come twice as often with the second one.
        """
        minutes, hours, *days = self._fields
        if self._is_for_every_hour:
            hours = "*"
        else:
            minutes, hours = minutes.replace("*", "0-59"), hours.replace("*", "0-23")
        return " ".join([minutes, hours, *days])


def _every(found: re.Match[str]) -> str:
    """`Every 15 minutes` for `Every 15th minute of every hour`."""
    unit = "minutes" if found["minutes"] else "hours"
    number = found[unit]
    return f"Every {_ORDINALS.index(number) + 2 if number in _ORDINALS else number} {unit}"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule(f"there is no time zone {name!r}: it takes an IANA name such as Europe/Berlin") from None


def _fields(cron: str) -> list[str]:
    if len(cron) > _MOST_LENGTH:
        raise InvalidSchedule(f"a cron expression has at most {_MOST_LENGTH} characters")
    text = cron.strip()
    if text.startswith("@"):
        try:
            text = _SHORTHANDS[text.lower()]
        except KeyError:
            known = ", ".join(_SHORTHANDS)
            raise InvalidSchedule(f"the cron expression {cron!r} is none of the shorthands {known}") from None
    fields = text.upper().split()
    if len(fields) != _FIELDS:
        raise InvalidSchedule(
            f"the cron expression {cron!r} has {len(fields)} fields; it takes 5: minute, hour, day of month, month, "
            "day of week"
        )
    return fields


def _parsed(fields: list[str], cron: str) -> CronSim:
    try:
        return CronSim(" ".join(fields), datetime.now(UTC))
    except (CronSimError, AssertionError) as error:
        raise InvalidSchedule(f"the cron expression {cron!r} cannot be read: {str(error).lower()}") from None
