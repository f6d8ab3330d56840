"""When a recurring job is due: every promise of `schedule.py`, over zones, years and changes of clocks."""

import calendar
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkport.jobs.errors import InvalidSchedule
from bulkport.jobs.schedule import Schedule
from drawn_examples import examples

# With changes of an hour, of half an hour, at midnight, across a day that is left out, against the sun, in Ramadan.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Europe/Dublin",
    "Africa/Casablanca",
    "America/Scoresbysund",
)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def due(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next ticks in local time with offset, without the year and the seconds."""
    start = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    ticks = islice(Schedule(cron, zone).ticks_after(start), count)
    return [tick.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %z") for tick in ticks]


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("*/20 * * * *", "2026-05-01 10:15", ["05-01 10:20", "05-01 10:40", "05-01 11:00"]),
        ("0 9-11/2 * * MON-FRI", "2026-05-01 10:00", ["05-01 11:00", "05-04 09:00", "05-04 11:00"]),
        ("30 4 L * *", "2026-01-31 05:00", ["02-28 04:30", "03-31 04:30", "04-30 04:30"]),
        ("0 6 LW * *", "2026-01-01 00:00", ["01-30 06:00", "02-27 06:00", "03-31 06:00"]),
        ("0 6 * * 5#2", "2026-05-01 00:00", ["05-08 06:00", "06-12 06:00", "07-10 06:00"]),
        ("0 6 * * FRIL", "2026-05-01 00:00", None),
        ("0 6 * * 5L", "2026-05-01 00:00", ["05-29 06:00", "06-26 06:00", "07-31 06:00"]),
        ("0 0 13 * FRI", "2026-05-01 00:00", ["05-08 00:00", "05-13 00:00", "05-15 00:00"]),
        ("0 0 29 feb *", "2026-05-01 00:00", ["02-29 00:00"]),
        ("@hourly", "2026-05-01 10:15", ["05-01 11:00", "05-01 12:00"]),
        ("@Daily", "2026-05-01 10:15", ["05-02 00:00", "05-03 00:00"]),
        ("@weekly", "2026-05-01 10:15", ["05-03 00:00", "05-10 00:00"]),
        ("@monthly", "2026-05-01 10:15", ["06-01 00:00"]),
        ("@yearly", "2026-05-01 10:15", ["01-01 00:00"]),
    ],
)
def test_cron_expressions_are_parsed(cron: str, after: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(InvalidSchedule):
            Schedule(cron)
        return
    assert due(cron, "UTC", after, len(expected)) == [f"{tick} +0000" for tick in expected]


def test_a_skipped_local_time_runs_once_right_after_the_gap() -> None:
    assert due("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", 3) == [
        "03-28 02:30 +0100",
        "03-29 03:00 +0200",
        "03-30 02:30 +0200",
    ]
    assert due("*/15 2 * * *", "Europe/Berlin", "2026-03-29 00:00", 2) == ["03-29 03:00 +0200", "03-30 02:00 +0200"]
    assert due("0 */2 * * *", "Europe/Berlin", "2026-03-29 00:00", 2) == ["03-29 03:00 +0200", "03-29 04:00 +0200"]


def test_a_repeated_local_time_runs_once_the_first_time() -> None:
    assert due("30 2 * * *", "Europe/Berlin", "2026-10-25 00:00", 2) == ["10-25 02:30 +0200", "10-26 02:30 +0100"]
    assert due("*/30 2,3 * * *", "Europe/Berlin", "2026-10-25 00:00", 3) == [
        "10-25 02:00 +0200",
        "10-25 02:30 +0200",
        "10-25 03:00 +0100",
    ]


def test_a_schedule_created_in_the_repeated_hour_does_not_look_back() -> None:
    second = datetime(2026, 10, 25, 2, 10, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    assert Schedule("30 2 * * *", "Europe/Berlin").next_after(second) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("hours", ["*", "0-23", "*/1"])
def test_an_hourly_schedule_continues_in_real_time(hours: str) -> None:
    for day in ("2026-03-29 01:30", "2026-10-25 01:30"):
        start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))
        ticks = list(islice(Schedule(f"*/15 {hours} * * *", "Europe/Berlin").ticks_after(start), 16))
        assert ticks == [start.astimezone(UTC) + number * 15 * MINUTE for number in range(1, 17)]


@pytest.mark.parametrize(
    ("cron", "zone", "reason"),
    [
        ("", "UTC", "has 0 fields; it takes 5"),
        ("* * * *", "UTC", "has 4 fields"),
        ("0 * * * * *", "UTC", "has 6 fields"),
        ("61 * * * *", "UTC", "bad minute"),
        ("0 24 * * *", "UTC", "bad hour"),
        ("0 0 * * MONDAY", "UTC", "bad day-of-week"),
        ("0 0 * JAN-FOO *", "UTC", "bad month"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("*/0 * * * *", "UTC", "bad minute"),
        ("0 0 29 2 1#5L", "UTC", "cannot be read"),
        ("* * */20 * 1L", "UTC", "never due"),
        ("@reboot", "UTC", "shorthands @hourly"),
        ("9" * 5000 + " * * * *", "UTC", "at most 200 characters"),
        ("0 0 * * *", "Europe/Nowhere", "no time zone 'Europe/Nowhere'"),
        ("0 0 * * *", "", "no time zone ''"),
        ("0 0 * * *", "../../etc/passwd", "no time zone"),
        ("0 0 * * *", "Europe", "no time zone"),
        ("0 0 * * *", "Europe\0Berlin", "no time zone"),
        ("0 0 * * *", "CEST+2", "no time zone"),
    ],
)
def test_an_unusable_schedule_is_rejected_with_the_reason(cron: str, zone: str, reason: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        Schedule(cron, zone)
    assert reason in str(refusal.value)


@given(st.text("0123456789*/,-#LWMONJA @", max_size=30) | st.text(max_size=20), st.text(max_size=10))
def test_any_text_is_a_schedule_or_rejected(cron: str, zone: str) -> None:
    for name in ("UTC", zone):
        try:
            assert Schedule(cron, name).in_words
        except InvalidSchedule as refusal:
            assert refusal.detail  # noqa: PT017 - either is well


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 3 * * *", "At 03:00 every day"),
        ("@weekly", "At 00:00 on Sunday"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/5 9-17 * * MON-FRI", "Every 5 minutes from 09:00 through 17:59 on Monday through Friday"),
        ("0 */6 * * *", "Every 6 hours"),
        ("*/15 2 * * *", "Every 15 minutes from 02:00 through 02:59"),
        ("0 0 * * 5#2", "At 00:00 on the second Friday of the month"),
    ],
)
def test_cron_is_described_in_words(cron: str, words: str) -> None:
    assert Schedule(cron).in_words == words


def test_an_hourly_schedule_follows_the_clock_through_a_half_hour_change() -> None:
    ticks = Schedule("30 * * * *", "Australia/Lord_Howe").ticks_after(datetime(1996, 3, 30, 14, tzinfo=UTC))
    found = [f"{tick:%H:%M}" for tick in itertools.islice(ticks, 4)]
    assert found == ["14:30", "15:00", "16:00", "17:00"]
    just_before = datetime(1996, 3, 30, 14, 59, 59, 600_000, tzinfo=UTC)
    schedule = Schedule("30 * * * *", "Australia/Lord_Howe")
    assert schedule.next_after(just_before) == datetime(1996, 3, 30, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Cron:
    """A cron expression by its meaning, to compute ticks without a parser."""

    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]
    """0: Sunday."""

    @property
    def text(self) -> str:
        every_hour = len(self.hours) == 24
        return f"{_list(self.minutes)} {'*' if every_hour else _list(self.hours)} * * {_list(self.weekdays)}"

    def has(self, local: datetime) -> bool:
        weekday = (calendar.weekday(local.year, local.month, local.day) + 1) % 7
        return local.minute in self.minutes and local.hour in self.hours and weekday in self.weekdays

    def ticks(self, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
        """In (start, end], minute by minute."""
        if len(self.hours) == 24:
            moments = _minutes(start, end)
            return [moment for moment in moments if self.has(moment.astimezone(zone))]
        margin = timedelta(days=2)
        walls = _minutes((start - margin).replace(tzinfo=None), (end + margin).replace(tzinfo=None))
        found = {_first_real(wall, zone) for wall in walls if self.has(wall)}
        return sorted(tick for tick in found if start < tick <= end)


def _list(numbers: Iterable[int]) -> str:
    return ",".join(str(number) for number in sorted(numbers))


def _minutes(start: datetime, end: datetime) -> list[datetime]:
    first = start.replace(second=0, microsecond=0) + MINUTE
    return [first + number * MINUTE for number in range(int((end - first) / MINUTE) + 1)]


def _first_real(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a clock on the wall first shows a time, or the end of the gap that it falls into."""
    while True:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            return moment
        wall += MINUTE


def _changes(zone: ZoneInfo, year: int) -> list[datetime]:
    days = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(366)]
    offsets = [day.astimezone(zone).utcoffset() for day in days]
    return [day for day, offset, following in zip(days, offsets, offsets[1:], strict=False) if offset != following]


crons = st.builds(
    Cron,
    minutes=st.frozensets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.one_of(
        st.just(frozenset(range(24))),
        st.frozensets(st.integers(0, 23), min_size=1, max_size=5),
        st.frozensets(st.sampled_from([22, 23, 0, 1, 2, 3, 4]), min_size=1),
    ),
    weekdays=st.one_of(st.just(frozenset(range(7))), st.frozensets(st.integers(0, 6), min_size=1)),
)


@given(crons, st.sampled_from(ZONES), st.integers(1996, 2036), st.data())
@settings(max_examples=examples(150))
def test_no_tick_is_missed_or_doubled_in_any_zone(cron: Cron, name: str, year: int, data: st.DataObject) -> None:
    """Above all around clock changes: ticks equal those found minute by minute."""
    zone = ZoneInfo(name)
    day = data.draw(st.sampled_from(_changes(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]))
    start = day - timedelta(minutes=data.draw(st.integers(0, 48 * 60)))
    end = start + timedelta(days=4)
    schedule = Schedule(cron.text, name)
    expected = cron.ticks(zone, start, end)
    found = []
    for tick in schedule.ticks_after(start):
        if tick > end:
            break
        found.append(tick)
    assert found == expected
    # Told one by one, each from the one before, as the ticker does.
    moment = start
    for tick in expected:
        assert schedule.next_after(moment) == tick
        moment = tick


@given(
    st.integers(0, 100 * 365 * 24 * 3600).map(lambda seconds: datetime(1990, 1, 1, tzinfo=UTC) + seconds * SECOND),
    st.sampled_from(ZONES),
    st.sampled_from(["*/7 * * * *", "0 0 * * *", "30 2 L * *", "0 12 * * 1#1", "59 23 31 12 *", "5 1-4/2 * 3,10 SUN"]),
)
def test_ticks_strictly_increase(start: datetime, zone: str, cron: str) -> None:
    ticks = [start, *islice(Schedule(cron, zone).ticks_after(start), 20)]
    assert all(earlier < later for earlier, later in pairwise(ticks))
    assert all(tick.tzinfo is UTC and tick.second == tick.microsecond == 0 for tick in ticks[1:])
