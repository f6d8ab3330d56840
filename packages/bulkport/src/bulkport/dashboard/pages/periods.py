"""Chart periods: their length and step, and the jobs behind one bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bulkport.dashboard.core.formatting import weekday
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import PageRequest
from bulkport.jobs.port.metrics import Granularity, JobTotals, SeriesPoint

_MIN: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """A period that ends now."""

    key: str
    """In the address."""
    label: str
    length: timedelta
    granularity: Granularity
    """In which its numbers are read."""
    bar: timedelta
    """The time range of one bar, in steps of the granularity."""
    label_every: timedelta

    def name_of(self, at: datetime) -> str:
        """What the table calls a bar that begins at `at`."""
        return f"{at:%H:%M}" if self.length <= 6 * _HOUR else f"{weekday(at)} {at:%Y-%m-%d %H:%M}"

    def axis_label(self, at: datetime) -> str:
        """The label of the axis."""
        if self.length <= _DAY:
            return f"{at:%H:%M}"
        return weekday(at) if self.length <= 7 * _DAY else f"{at:%m-%d}"

    def is_labelled(self, at: datetime) -> bool:
        """Whether a bar that begins at `at` has a label."""
        return (at - datetime(2024, 1, 1, tzinfo=at.tzinfo)) % self.label_every == timedelta(0)


PERIODS: Final[dict[str, Period]] = {
    period.key: period
    for period in (
        Period("15min", "15 min", 15 * _MIN, Granularity.MINUTE, _MIN, 3 * _MIN),
        Period("1h", "1 h", _HOUR, Granularity.MINUTE, _MIN, 10 * _MIN),
        Period("6h", "6 h", 6 * _HOUR, Granularity.MINUTE, 5 * _MIN, _HOUR),
        Period("24h", "24 h", _DAY, Granularity.HOUR, _HOUR, 4 * _HOUR),
        Period("7d", "7 d", 7 * _DAY, Granularity.HOUR, 3 * _HOUR, _DAY),
        Period("30d", "30 d", 30 * _DAY, Granularity.HOUR, 12 * _HOUR, 5 * _DAY),
    )
}
DEFAULT_PERIOD: Final = "24h"


@dataclass(frozen=True, slots=True)
class BarTotals:
    """What happened while one bar lasts."""

    starts_at: datetime
    ends_at: datetime
    totals: JobTotals


def chosen_period(request: PageRequest) -> Period:
    """The period that the address asks for."""
    return PERIODS[request.query.choice("period", list(PERIODS), DEFAULT_PERIOD)]


def period_tabs(request: PageRequest, chosen: Period) -> list[tuple[str, str, bool]]:
    """Links to the periods."""
    return [
        (t(one.label), request.here(period=None if one.key == DEFAULT_PERIOD else one.key), one is chosen)
        for one in PERIODS.values()
    ]


def in_bars(points: Sequence[SeriesPoint], bar: timedelta) -> list[BarTotals]:
    """The points of a series, put together to bars that begin at whole multiples of their length."""
    bars: list[BarTotals] = []
    for point in points:
        epoch = datetime(2024, 1, 1, tzinfo=point.starts_at.tzinfo)
        starts_at = point.starts_at - (point.starts_at - epoch) % bar
        if bars and bars[-1].starts_at == starts_at:
            bars[-1] = BarTotals(starts_at, starts_at + bar, _sum(bars[-1].totals, point.totals))
        else:
            bars.append(BarTotals(starts_at, starts_at + bar, point.totals))
    return bars


def _sum(left: JobTotals, right: JobTotals) -> JobTotals:
    return JobTotals(
        succeeded=left.succeeded + right.succeeded,
        failed=left.failed + right.failed,
        retried=left.retried + right.retried,
        cancelled=left.cancelled + right.cancelled,
        enqueued=left.enqueued + right.enqueued,
    )
