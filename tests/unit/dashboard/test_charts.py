"""The geometry of charts."""

import pytest

from bulkport.dashboard.core.charts import Series, band, bars, lines, nice_ceiling, sparkline


@pytest.mark.parametrize(("value", "top"), [(1, 1), (4, 4), (4.1, 8), (9, 10), (11, 20), (641, 800), (0.03, 0.04)])
def test_axes_end_at_readable_numbers(value: float, top: float) -> None:
    assert nice_ceiling(value) == pytest.approx(top)


def test_the_highest_value_touches_the_top_and_zero_the_bottom() -> None:
    chart = lines(["a", "b", "c"], [Series("done", [0, 400, 800])])
    assert chart.curves[0].line == "M56.0 221.0L450.0 118.5L844.0 16.0"
    assert [tick.label for tick in chart.y_ticks] == ["0", "200", "400", "600", "800"]
    assert [(tick.at, tick.label) for tick in chart.x_ticks] == list(zip(chart.xs, "abc", strict=True))


def test_small_numbers_do_not_look_large() -> None:
    assert lines(["a", "b"], [Series("failed", [0, 1])]).y_top == 4
    assert lines(["a", "b"], [Series("failed", [0, 0.02])], least_top=0.001).y_top == pytest.approx(0.02)


def test_gaps_break_the_line_and_a_single_value_is_a_dot() -> None:
    curve = lines(["a", "b", "c", "d", "e"], [Series("s", [1, 2, None, 3, None], is_filled=True)]).curves[0]
    assert curve.line.count("M") == 2
    assert len(curve.dots) == 1
    assert curve.area.count("Z") == 2


def test_labels_do_not_overlap() -> None:
    chart = lines([str(number) for number in range(500)], [Series("s", [1.0] * 500)])
    distances = [b.at - a.at for a, b in zip(chart.x_ticks, chart.x_ticks[1:], strict=False)]
    assert min(distances) >= 80
    chosen = lines(["a", "b"], [Series("s", [1, 1])], x_labels=[(1, "now"), (9, "never")])
    assert [tick.label for tick in chosen.x_ticks] == ["now"]


def test_bars_are_stacked_without_gaps() -> None:
    chart = bars(["a", "b"], [Series("ok", [300, 0], "ok"), Series("bad", [100, 0], "bad")])
    lower, upper = chart.bars
    assert (lower.tone, upper.tone) == ("ok", "bad")
    assert upper.y + upper.height == pytest.approx(lower.y)
    assert lower.y + lower.height == pytest.approx(chart.bottom)
    assert upper.y == pytest.approx(chart.top)


def test_empty_charts_can_be_drawn() -> None:
    assert lines([], []).xs == ()
    assert lines(["a"], [Series("s", [None])]).curves[0].line == ""
    assert bars([], []).bars == ()
    assert sparkline([]) == ""


def test_a_series_of_another_length_is_rejected() -> None:
    with pytest.raises(ValueError, match="one value for each position"):
        lines(["a", "b"], [Series("s", [1])])


def test_a_band_runs_forward_above_and_back_below() -> None:
    chart = lines(["a", "b", "c"], [Series("p99", [4, 4, 4])])
    assert band([0, None, 0], [4, 4, 4], chart) == "M56.0 16.0L844.0 16.0L844.0 221.0L56.0 221.0Z"
    assert band([None, None, 0], [4, 4, 4], chart) == ""


def test_a_sparkline_stays_in_its_box() -> None:
    assert sparkline([0, 10], width=100, height=20) == "M0.0 19.0L100.0 1.0"
