"""When a recurring job is due: a cron expression, read in a time zone.

The expression has the five fields of cron(5): minute, hour, day of month, month, day of week. It knows names (MON,
JAN), ranges, lists, steps, `L` (last day of the month, or the last Friday as `5L`), `LW` (last weekday of the
month), `5#2` (second Friday), and the shorthands @hourly to @yearly. If both the day of month and the day of week
are restricted, one of them is enough, as in Vixie's cron.

When clocks change, a schedule for certain hours keeps to the days: what falls into the hour that is left out comes
once, right after it, and what falls into the hour that comes twice comes once, the first time. A schedule for every
hour keeps to real time: `*/15 * * * *` is due every 15 minutes all day.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from bulkport.background.recurring.errors import InvalidSchedule

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
_MOST_LENGTH: Final = 200


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
        self._expression = self._normalized()
        if self.next_after(datetime.now(UTC)) is None:
            raise InvalidSchedule(f"the cron expression {cron!r} is never due")

    def __repr__(self) -> str:
        return f"Schedule({self.cron!r}, {self.timezone!r})"

    @cached_property
    def in_words(self) -> str:
        """The cron expression in English, such as `At 03:00 every day`; without the zone."""
        return CronSim(" ".join(self._fields), datetime.now(UTC)).explain()

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time, in UTC, later than an aware one; None: not within 50 years."""
        return next(self.ticks_after(moment), None)

    def ticks_after(self, moment: datetime) -> Iterator[datetime]:
        """Every time it is due after an aware one, in UTC, in order, without an end in sight."""
        last = moment.astimezone(UTC)
        for local in CronSim(self._expression, last.astimezone(self._zone)):
            # In the second of two equal hours the clock on the wall starts from times that have been.
            tick = local.astimezone(UTC)
            if tick > last:
                last = tick
                yield tick

    def _normalized(self) -> str:
        """The expression in which a star means what the module says.

        CronSim, like cron, takes a schedule for one of certain hours unless its minutes or hours begin with a star,
        and `*/15 2 * * *` would be left out with the hour, or come twice as often with the second one.
        """
        parsed = _parsed(self._fields, self.cron)
        minutes, hours, *days = self._fields
        if len(parsed.hours) == _HOURS_OF_A_DAY:
            hours = "*"
        else:
            minutes, hours = minutes.replace("*", "0-59"), hours.replace("*", "0-23")
        return " ".join([minutes, hours, *days])


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
