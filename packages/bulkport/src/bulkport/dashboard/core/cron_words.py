"""Cron expressions in the words of the page's language: `Um 03:00 Uhr, Montag bis Freitag`.

English comes from the schedule itself. Other languages have a table of phrases here, and every field that cron(5) knows
has its words in each of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from bulkport.dashboard.core.language import current_language
from bulkport.jobs.schedule import Schedule

_MOST_TIMES: Final = 4
"""Times of a day that are listed one by one."""
_MONTHS: Final = ("", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_TERM: Final = re.compile(r"(?P<from>\*|\w+?)(?:-(?P<to>\w+))?(?:/(?P<step>\d+))?")


@dataclass(frozen=True, slots=True)
class _Phrases:
    conjunction: str
    through: str
    """From one value to another: `{first} bis {last}`."""
    onward: str
    """From one value to the last there is: `ab {first}`."""
    step: str
    """Added to values in fixed steps: `{count}`."""
    every_minute: str
    every_minutes: str
    every_hour: str
    every_hours: str
    times: str
    minutes: str
    hours: str
    every_day: str
    days: str
    """`{days}` of every month."""
    day: str
    """One of `days`: `{day}`."""
    every_days: str
    last_day: str
    last_workday: str
    weekdays: str
    nth: str
    """`{nth}` and `{weekday}`."""
    every_months: str
    ordinals: tuple[str, ...]
    """From the last (0) to the fifth."""
    weekday_names: tuple[str, ...]
    month_names: tuple[str, ...]


_PHRASES: Final[Mapping[str, _Phrases]] = {
    "de": _Phrases(
        conjunction="und",
        through="{first} bis {last}",
        onward="ab {first}",
        step=" in Schritten von {count}",
        every_minute="Jede Minute",
        every_minutes="Alle {count} Minuten",
        every_hour="Zu jeder vollen Stunde",
        every_hours="Alle {count} Stunden",
        times="Um {times} Uhr",
        minutes="Zu Minute {minutes}",
        hours="Stunde {hours}",
        every_day="jeden Tag",
        days="am {days} des Monats",
        day="{day}.",
        every_days="alle {count} Tage des Monats",
        last_day="am letzten Tag des Monats",
        last_workday="am letzten Werktag des Monats",
        weekdays="jeweils {weekdays}",
        nth="am {nth} {weekday} des Monats",
        every_months="alle {count} Monate",
        ordinals=("letzten", "ersten", "zweiten", "dritten", "vierten", "fünften"),
        weekday_names=("Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"),
        month_names=(
            "",
            *("Januar", "Februar", "März", "April", "Mai", "Juni"),
            *("Juli", "August", "September", "Oktober", "November", "Dezember"),
        ),
    ),
    "es": _Phrases(
        conjunction="y",
        through="de {first} a {last}",
        onward="desde {first}",
        step=" cada {count}",
        every_minute="Cada minuto",
        every_minutes="Cada {count} minutos",
        every_hour="Cada hora en punto",
        every_hours="Cada {count} horas",
        times="A las {times}",
        minutes="En el minuto {minutes}",
        hours="hora {hours}",
        every_day="todos los días",
        days="día {days} de cada mes",
        day="{day}",
        every_days="cada {count} días del mes",
        last_day="el último día del mes",
        last_workday="el último día laborable del mes",
        weekdays="{weekdays}",
        nth="el {nth} {weekday} del mes",
        every_months="cada {count} meses",
        ordinals=("último", "primer", "segundo", "tercer", "cuarto", "quinto"),
        weekday_names=("domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"),
        month_names=(
            "",
            *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
            *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
        ),
    ),
}


def cron_in_words(schedule: Schedule) -> str:
    """The schedule in the language of the page, without its zone."""
    phrases = _PHRASES.get(current_language())
    if phrases is None:
        return schedule.in_words
    minutes, hours, days, months, weekdays = schedule.fields
    parts = [*_time(minutes, hours, phrases), *_day(days, weekdays, phrases)]
    if len(parts) == 1 and months == "*" and _singles(hours):
        parts.append(phrases.every_day)
    every = re.fullmatch(r"\*/(\d+)", months)
    if every:
        parts.append(phrases.every_months.format(count=every[1]))
    elif months != "*":
        parts.append(_values(months, phrases, _named(phrases.month_names, _MONTHS)))
    return ", ".join(parts)


def _time(minutes: str, hours: str, phrases: _Phrases) -> list[str]:
    at_minutes, at_hours = _singles(minutes), _singles(hours)
    if at_minutes and at_hours and len(at_minutes) * len(at_hours) <= _MOST_TIMES:
        times = [f"{hour:02}:{minute:02}" for hour, minute in sorted(product(at_hours, at_minutes))]
        return [phrases.times.format(times=_joined(times, phrases))]
    every = re.fullmatch(r"\*(?:/(\d+))?", hours)
    if minutes == "0" and every:
        return [phrases.every_hours.format(count=every[1]) if every[1] not in (None, "1") else phrases.every_hour]
    stepped = re.fullmatch(r"\*/(\d+)", minutes)
    if minutes in ("*", "*/1"):
        parts = [phrases.every_minute]
    elif stepped:
        parts = [phrases.every_minutes.format(count=stepped[1])]
    else:
        parts = [phrases.minutes.format(minutes=_values(minutes, phrases, str))]
    if every and every[1] not in (None, "1"):
        hourly = phrases.every_hours.format(count=every[1])
        parts.append(hourly[0].lower() + hourly[1:])
    elif not every:
        parts.append(phrases.hours.format(hours=_values(hours, phrases, str)))
    return parts


def _day(days: str, weekdays: str, phrases: _Phrases) -> list[str]:
    """What says on which days; nothing: on all. Where both fields say something, one of them is enough."""
    parts: list[str] = []
    every = re.fullmatch(r"\*/(\d+)", days)
    if every:
        parts.append(phrases.every_days.format(count=every[1]))
    elif days != "*":
        terms = days.split(",")
        plain = ",".join(term for term in terms if term not in ("L", "LW"))
        if plain:
            listed = _values(plain, phrases, lambda day: phrases.day.format(day=day))
            parts.append(phrases.days.format(days=listed))
        parts += [phrases.last_day] * ("L" in terms) + [phrases.last_workday] * ("LW" in terms)
    if weekdays != "*":
        name = _named(phrases.weekday_names, _WEEKDAYS)
        special = [found for term in weekdays.split(",") if (found := re.fullmatch(r"(\w+?)(?:#(\d)|L)", term))]
        plain = ",".join(term for term in weekdays.split(",") if not re.fullmatch(r"\w+?(?:#\d|L)", term))
        if plain:
            parts.append(phrases.weekdays.format(weekdays=_values(plain, phrases, name)))
        parts += [
            phrases.nth.format(nth=phrases.ordinals[int(found[2] or 0)], weekday=name(found[1])) for found in special
        ]
    return [f" {phrases.conjunction} ".join(parts)] if parts else []


def _singles(field: str) -> list[int]:
    """The numbers of a field that consists of such; none if it has anything else."""
    terms = field.split(",")
    return [int(term) for term in terms] if all(term.isdecimal() for term in terms) else []


def _values(field: str, phrases: _Phrases, name: Callable[[str], str]) -> str:
    # Sunday is 0 and 7.
    return _joined(list(dict.fromkeys(_value(term, phrases, name) for term in field.split(","))), phrases)


def _value(term: str, phrases: _Phrases, name: Callable[[str], str]) -> str:
    found = _TERM.fullmatch(term)
    if found is None or found["from"] == "*":
        return term
    text = name(found["from"])
    if found["to"]:
        text = phrases.through.format(first=text, last=name(found["to"]))
    elif found["step"]:
        text = phrases.onward.format(first=text)
    return text + (phrases.step.format(count=found["step"]) if found["step"] else "")


def _named(names: Sequence[str], symbols: Sequence[str]) -> Callable[[str], str]:
    """What a number or a symbol such as `MON` is called."""

    def name(text: str) -> str:
        number = int(text) if text.isdecimal() else symbols.index(text)
        return names[number % 7] if symbols is _WEEKDAYS else names[number]

    return name


def _joined(texts: Sequence[str], phrases: _Phrases) -> str:
    *head, last = texts
    return f"{', '.join(head)} {phrases.conjunction} {last}" if head else last
