"""What is shown while an import runs."""

import io
from datetime import UTC, datetime

from rich.console import Console

from bulkport.cli.progress_display import Bars, Lines, progress_display
from bulkport.client import ImportProgress
from bulkport.client.responses import ShownStatus

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def progress(processed: int, *, failed: int = 0, status: ShownStatus = ShownStatus.PROCESSING) -> ImportProgress:
    return ImportProgress(
        id=9,
        status=status,
        total_records=1000,
        processed_records=processed,
        success_count=processed - failed,
        failure_count=failed,
        created_at=NOW,
        started_at=NOW,
        rows_per_second=250.0,
        eta_seconds=(1000 - processed) / 250,
    )


def test_lines_are_printed_now_and_then_and_at_each_phase() -> None:
    output = io.StringIO()
    seconds = iter(range(100))
    lines = Lines(Console(file=output, width=40), "rows.csv", 10_000_000, clock=lambda: next(seconds))
    for sent in range(0, 10_000_001, 2_000_000):
        lines.show_sent(sent)
    lines.show_accepted(1000)
    for done in (0, 250, 500, 750):
        lines.show_progress(progress(done, failed=done // 100))
    said = output.getvalue().splitlines()
    assert said[0] == "uploading rows.csv: 2.0 MB of 10.0 MB"
    assert any(line.startswith("uploaded rows.csv: 10.0 MB in ") and line.endswith("1,000 rows") for line in said)
    assert said[-1].startswith("processing: ")
    assert "250 rows/s" in said[-1]
    assert "left" in said[-1]
    assert "\x1b" not in output.getvalue()


def test_a_short_import_prints_one_line() -> None:
    output = io.StringIO()
    lines = Lines(Console(file=output), "rows.csv", 10, clock=lambda: 0.0)
    lines.show_sent(10)
    lines.show_accepted(1)
    lines.show_progress(progress(1000, status=ShownStatus.COMPLETED))
    assert output.getvalue() == "uploaded rows.csv: 10 bytes in 0.00 s, 1 row\n"


def test_bars_show_bytes_then_rows_with_rate_and_time_left() -> None:
    output = io.StringIO()
    with Bars(Console(file=output, force_terminal=True, width=120), "rows.csv", 10_000_000) as bars:
        bars.show_sent(5_000_000)
        bars._bars.refresh()
        assert "5.0 MB of 10.0 MB" in output.getvalue()
        bars.show_sent(10_000_000)
        bars.show_accepted(1000)
        bars._bars.refresh()
        assert "waiting for a worker" in output.getvalue()
        bars.show_progress(progress(500, failed=3))
        bars._bars.refresh()
        assert "500 of 1,000 rows, 250 rows/s, 2.00 s left, 3 rejected" in output.getvalue()
        bars.show_progress(progress(1000, failed=3, status=ShownStatus.PARTIAL_SUCCESS))
    assert "1,000 of 1,000 rows" in output.getvalue()


def test_bars_make_room_for_text_in_a_narrow_terminal() -> None:
    output = io.StringIO()
    with Bars(Console(file=output, force_terminal=True, width=80), "rows.csv", 10_000_000) as bars:
        bars.show_accepted(1000)
        bars.show_progress(progress(500, failed=3))
        bars._bars.refresh()
        assert "500 of 1,000 rows, 250 rows/s, 2.00 s left, 3 rejected" in output.getvalue()


def test_bars_work_without_a_known_size() -> None:
    output = io.StringIO()
    with Bars(Console(file=output, force_terminal=True, width=120), "standard input", None) as bars:
        bars.show_sent(5_000_000)
        bars._bars.refresh()
    assert "5.0 MB" in output.getvalue()


def test_only_a_terminal_gets_bars() -> None:
    assert isinstance(progress_display(Console(file=io.StringIO()), "rows.csv", 1), Lines)
    assert isinstance(progress_display(Console(file=io.StringIO(), force_terminal=True), "rows.csv", 1), Bars)
