"""Geometry of the charts, which templates draw as SVG: `charts.html`.

Everything is computed here, in the units of the drawing's `viewBox`, and needs no script. The numbers behind a chart
are in a table beside it, for those who do not see it and to be read off exactly.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bulkport.dashboard.core.formatting import short_number
from bulkport.dashboard.core.language import localised

WIDTH: Final = 860
HEIGHT: Final = 245
_LEFT: Final = 56
_RIGHT: Final = 16
_TOP: Final = 16
_BOTTOM: Final = 24
_TICKS: Final = 4
_LEAST_LABEL_DISTANCE: Final = 80
_LEAST_SHORTENED: Final = 100_000
"""Axes that reach this high have short numbers, all of them."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values over the chart's positions."""

    label: str
    values: Sequence[float | None]
    """One for each position; None if there is none, which leaves a gap."""
    tone: str = "accent"
    """Colour, by its name in the style sheet: ok, bad, warn, accent, muted."""
    is_dashed: bool = False
    is_filled: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as drawn."""

    series: Series
    line: str
    """SVG path."""
    area: str
    """SVG path of the area below the line; empty if not filled."""
    dots: tuple[tuple[float, float], ...]
    """Values with gaps on both sides, which a line would not show."""


@dataclass(frozen=True, slots=True)
class LineChart:
    """Series as lines over a common axis, such as time."""

    curves: tuple[Curve, ...]
    positions: tuple[str, ...]
    """What each position is called in the table."""
    xs: tuple[float, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    y_top: float
    """The value at the upper end of the vertical axis."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a bar chart, or one part of a stacked one."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    position: int = 0
    """Of its stack, from the left."""


class Link(Protocol):
    """Where a bar leads."""

    @property
    def href(self) -> str:
        """An address."""
        ...

    @property
    def since(self) -> str:
        """Start of the bar's time range."""
        ...

    @property
    def until(self) -> str:
        """When it ends."""
        ...


@dataclass(frozen=True, slots=True)
class Slot:
    """The area of a bar, which links to its jobs."""

    x: float
    width: float
    name: str
    link: Link


@dataclass(frozen=True, slots=True)
class BarChart:
    """Series as stacked bars over a common axis."""

    bars: tuple[Bar, ...]
    series: tuple[Series, ...]
    positions: tuple[str, ...]
    xs: tuple[float, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    previous: str = ""
    """SVG path of the same over the period before."""
    slots: tuple[Slot, ...] = ()
    """Links of the positions."""
    marks: tuple[Tick, ...] = ()
    """Moments on the horizontal axis, such as deployments."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


def lines(
    positions: Sequence[str],
    series: Sequence[Series],
    *,
    x_labels: Sequence[tuple[int, str]] = (),
    least_top: float = _TICKS,
    ceiling: Callable[[float], float] | None = None,
    show: Callable[[float], str] | None = None,
) -> LineChart:
    """A line chart.

    Parameters
    ----------
    positions:
        Names of the positions, from left to right, as the table has them.
    series:
        Each with a value for every position.
    x_labels:
        Positions (0-based) that get a label below, with the label. By default some of `positions`.
    least_top:
        What the vertical axis reaches at least, so that next to nothing does not look like much.
    ceiling:
        Gives the upper end of the vertical axis for the highest value; None: `nice_ceiling`.
    show:
        Writes the values on the vertical axis; None: as numbers.

    Raises
    ------
    ValueError
        If a series has more or fewer values than there are positions.
    """
    _check(positions, series)
    highest = max((value for one in series for value in one.values if value is not None), default=0)
    top = (ceiling or nice_ceiling)(max(highest, least_top))
    xs = _spread(len(positions))
    return LineChart(
        curves=tuple(_curve(one, xs, top) for one in series),
        positions=tuple(positions),
        xs=xs,
        x_ticks=_x_ticks(positions, xs, x_labels),
        y_ticks=_y_ticks(top, show or _plain),
        y_top=top,
    )


def bars(
    positions: Sequence[str],
    series: Sequence[Series],
    *,
    x_labels: Sequence[tuple[int, str]] = (),
    previous: Sequence[float | None] = (),
    links: Sequence[Link] = (),
    marks: Sequence[tuple[float, str]] = (),
    height: int = HEIGHT,
) -> BarChart:
    """A bar chart with one bar for each position, in which the series are stacked; otherwise as `lines`.

    Parameters
    ----------
    previous:
        What the bars of the period before came to, drawn as a line; one for each position, or none.
    links:
        Where the bars lead; one for each position, or none.
    marks:
        Moments to be marked, as positions (0-based, with fractions), and what happened then.
    height:
        Of the drawing.
    """
    _check(positions, series)
    sums = [sum(one.values[index] or 0 for one in series) for index in range(len(positions))]
    top = nice_ceiling(max([_TICKS, *sums, *(value for value in previous if value is not None)]))
    slot = (WIDTH - _RIGHT - _LEFT) / max(1, len(positions))
    width = round(max(1.0, slot * 0.72), 1)
    drawn: list[Bar] = []
    for index in range(len(positions)):
        below = 0.0
        for one in series:
            value = one.values[index] or 0
            if value > 0:
                upper, lower = _y(below + value, top, height), _y(below, top, height)
                x = round(_LEFT + slot * index + (slot - width) / 2, 1)
                drawn.append(Bar(x, upper, width, round(lower - upper, 1), one.tone, index))
                below += value
    xs = tuple(round(_LEFT + slot * (index + 0.5), 1) for index in range(len(positions)))
    return BarChart(
        bars=tuple(drawn),
        series=tuple(series),
        positions=tuple(positions),
        xs=xs,
        x_ticks=_x_ticks(positions, xs, x_labels),
        y_ticks=_y_ticks(top, _plain, height),
        previous=_path(
            [
                None if value is None else (x, _y(value, top, height))
                for x, value in zip(xs, previous or [None] * len(xs), strict=True)
            ]
        ),
        slots=tuple(
            Slot(round(_LEFT + slot * place, 1), round(slot, 1), name, link)
            for place, (name, link) in enumerate(zip(positions, links, strict=False))
        ),
        marks=tuple(Tick(round(_LEFT + slot * place, 1), label) for place, label in marks),
        height=height,
        bottom=height - _BOTTOM,
    )


def sparkline(values: Sequence[float | None], *, width: float = 120, height: float = 28) -> str:
    """The SVG path of a line without axes, within 0..width and 0..height."""
    top = max((value for value in values if value is not None), default=0) or 1
    step = width / max(1, len(values) - 1)
    return _path(
        [
            None if value is None else (round(index * step, 1), round(height - 1 - value / top * (height - 2), 1))
            for index, value in enumerate(values)
        ]
    )


def band(low: Sequence[float | None], high: Sequence[float | None], chart: LineChart) -> str:
    """The SVG path of the area between two series of `chart`, such as p50 and p99, over its own axes."""
    edges = [
        (x, _y(under, chart.y_top), _y(over, chart.y_top))
        for x, under, over in zip(chart.xs, low, high, strict=True)
        if under is not None and over is not None
    ]
    if len(edges) < 2:
        return ""
    upper = [f"{x} {over}" for x, _, over in edges]
    lower = [f"{x} {under}" for x, under, _ in reversed(edges)]
    return f"M{'L'.join([*upper, *lower])}Z"


def nice_ceiling(value: float) -> float:
    """The least of 1, 2, 4 and 8 times a power of ten not below `value` (above 0): a quarter of it reads well."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * (1 - 1e-9))


def _check(positions: Sequence[str], series: Sequence[Series]) -> None:
    if any(len(one.values) != len(positions) for one in series):
        raise ValueError("each series needs one value for each position")


def _spread(count: int) -> tuple[float, ...]:
    step = (WIDTH - _RIGHT - _LEFT) / max(1, count - 1)
    return tuple(round(_LEFT + index * step, 1) for index in range(count))


def _y(value: float, top: float, height: int = HEIGHT) -> float:
    return round(height - _BOTTOM - value / top * (height - _BOTTOM - _TOP), 1)


def _y_ticks(top: float, show: Callable[[float], str], height: int = HEIGHT) -> tuple[Tick, ...]:
    ticks = _TICKS if height >= HEIGHT else _TICKS // 2
    steps = [top * step / ticks for step in range(ticks + 1)]
    if show is _plain and top >= _LEAST_SHORTENED:
        show = short_number
    return tuple(Tick(_y(value, top, height), show(value)) for value in steps)


def _plain(value: float) -> str:
    return localised(f"{value:,.10g}")


def _x_ticks(positions: Sequence[str], xs: Sequence[float], labels: Sequence[tuple[int, str]]) -> tuple[Tick, ...]:
    if labels:
        return tuple(Tick(xs[index], label) for index, label in labels if 0 <= index < len(xs))
    if not xs:
        return ()
    most = max(1, int((WIDTH - _LEFT - _RIGHT) / _LEAST_LABEL_DISTANCE) - 1)
    step = max(1, math.ceil((len(xs) - 1) / most))
    return tuple(Tick(xs[index], positions[index]) for index in range(0, len(xs), step))


def _curve(series: Series, xs: Sequence[float], top: float) -> Curve:
    points = [None if value is None else (x, _y(value, top)) for x, value in zip(xs, series.values, strict=True)]
    floor = _y(0, top)
    areas = [f"{_path(run)}L{run[-1][0]} {floor}L{run[0][0]} {floor}Z" for run in _runs(points) if series.is_filled]
    dots = tuple(run[0] for run in _runs(points) if len(run) == 1)
    return Curve(series, _path(points), "".join(areas), dots)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """The points between gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    return "".join("M" + "L".join(f"{x} {y}" for x, y in run) for run in _runs(points))
