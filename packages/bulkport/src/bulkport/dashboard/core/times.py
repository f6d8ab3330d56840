"""Parses times as people type them: `yesterday`, `2h ago`, `14:30`, `2026-07-01 14:00`; UTC without a zone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DAYS: Final = {
    **dict.fromkeys(("today", "heute", "hoy"), 0),
    **dict.fromkeys(("yesterday", "gestern", "ayer"), -1),
    **dict.fromkeys(("tomorrow", "morgen", "mañana"), 1),
}
_AGO: Final = re.compile(
    r"(?:(?P<before>-|vor|hace)\s*)?(?P<count>\d{1,6}(?:\.\d{1,3})?)\s*(?P<unit>[a-zäñí]+)\.?\s*(?P<after>ago)?"
)
_AHEAD: Final = re.compile(r"(?:\+|in|en)\s*(?P<count>\d{1,6}(?:\.\d{1,3})?)\s*(?P<unit>[a-zäñí]+)")
_CLOCK: Final = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?")


def parse_time(text: str, now: datetime) -> datetime | None:
    """The time that a text means; None if it means none.

    Parameters
    ----------
    now
        Aware; what relative times are relative to.
    """
    words = " ".join(text.lower().split())
    try:
        return _relative(words, now) or _day_and_clock(words, now) or _iso(text.strip())
    except (ValueError, OverflowError):
        return None


def _relative(words: str, now: datetime) -> datetime | None:
    if words in ("now", "jetzt", "ahora"):
        return now
    if (found := _AHEAD.fullmatch(words)) and (span := _span(found)):
        return now + span
    found = _AGO.fullmatch(words)
    # "2h" alone is taken as "2h ago": what is searched for has been.
    if found is not None and (span := _span(found)):
        return now - span
    return None


def _span(found: re.Match[str]) -> timedelta | None:
    unit = found["unit"]
    if unit in ("month", "months", "mo", "year", "years", "y"):
        days = 365 if unit.startswith("y") else 30
        return float(found["count"]) * timedelta(days=days)
    known = {
        **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sekunden", "segundos"), "s"),
        **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "minuten", "minuto", "minutos"), "m"),
        **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "std", "stunde", "stunden", "hora", "horas"), "h"),
        **dict.fromkeys(("d", "day", "days", "tag", "tage", "tagen", "día", "días", "dia", "dias"), "d"),
        **dict.fromkeys(("w", "week", "weeks", "woche", "wochen", "semana", "semanas"), "w"),
    }
    return float(found["count"]) * _UNITS[known[unit]] if unit in known else None


def _day_and_clock(words: str, now: datetime) -> datetime | None:
    day, _, clock = words.partition(" ")
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if day in _DAYS:
        midnight += timedelta(days=_DAYS[day])
        words = clock
        if not words:
            return midnight
    found = _CLOCK.fullmatch(words)
    if found is None:
        return None
    return midnight.replace(hour=int(found["hour"]), minute=int(found["minute"]), second=int(found["second"] or 0))


def _iso(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)
