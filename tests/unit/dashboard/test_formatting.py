"""Numbers, durations, sizes and times read as a person would say them."""

from datetime import UTC, datetime, timedelta

import pytest

from bulkport.dashboard.core import formatting

NOW = datetime(2026, 7, 1, 14, 3, 19, 724_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234, "1,234"), (4_118_902, "4,118,902"), (0.44, "0.4"), (1234.5, "1,234"), (3.0, "3"), (None, "—")],
)
def test_counts_have_thousands_separators(value: float | None, text: str) -> None:
    assert formatting.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.2"),
        (999, "999"),
        (999.9, "1k"),
        (1200, "1.2k"),
        (99_960, "100k"),
        (612_000, "612k"),
        (999_600, "1M"),
        (4_118_902, "4.1M"),
        (2e9, "2G"),
        (-1200, "-1.2k"),
        (None, "—"),
    ],
)
def test_short_numbers_have_units(value: float | None, text: str) -> None:
    assert formatting.short_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.038, "38 ms"),
        (0.0994, "99 ms"),
        (0.0999, "0.1 s"),
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (59.6, "1m 00s"),
        (192, "3m 12s"),
        (3599.7, "1h 00m"),
        (7500, "2h 05m"),
        (86_399, "23h 59m"),
        (356_400, "4d 3h"),
        (-2, "-2.0 s"),
        (None, "—"),
    ],
)
def test_durations_are_formatted(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (0, "now"),
        (-0.9, "now"),
        (-12, "12 s ago"),
        (-59.9, "59 s ago"),
        (-180, "3 min ago"),
        (-7300, "2 h ago"),
        (-800_000, "9 d ago"),
        (38, "in 38 s"),
        (7300, "in 2 h"),
    ],
)
def test_relative_times_are_formatted(ahead: float, text: str) -> None:
    assert formatting.relative(NOW + timedelta(seconds=ahead), NOW) == text


def test_exact_times_are_utc_whatever_their_zone() -> None:
    elsewhere = NOW.astimezone(tz=None)
    assert formatting.exact(elsewhere) == "2026-07-01 14:03:19.724 UTC"
    assert formatting.machine_time(elsewhere) == "2026-07-01T14:03:19.724Z"
    assert formatting.exact(None) == formatting.relative(None, NOW) == "—"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (4096, "4.0 KiB"), (1_048_570, "1.0 MiB"), (3 * 2**39, "1.5 TiB"), (None, "—")],
)
def test_sizes_are_formatted(count: int | None, text: str) -> None:
    assert formatting.size(count) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 10, "0%"), (1, 1000, "<1%"), (999, 1000, "99%"), (10, 10, "100%"), (11, 10, "100%"), (1, 0, "—")],
)
def test_only_complete_work_reads_as_100_percent(part: float, whole: float, text: str) -> None:
    assert formatting.percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.25, "250 ms"), (0.001, "1 ms"), (2, "2 s"), (90, "1.5 min"), (300, "5 min"), (5400, "1.5 h")],
)
def test_axes_label_durations_in_natural_units(seconds: float, text: str) -> None:
    assert formatting.axis_duration(seconds) == text


@pytest.mark.parametrize("seconds", [0.0003, 0.003, 0.3, 0.9, 3, 59, 61, 700, 3601, 100_000, 500_000])
def test_an_axis_of_durations_ends_above_the_highest_at_a_readable_value(seconds: float) -> None:
    top = formatting.nice_duration_ceiling(seconds)
    assert seconds <= top <= max(5 * seconds, 4)
    assert all(len(formatting.axis_duration(top * quarter / 4)) <= 7 for quarter in range(5))
