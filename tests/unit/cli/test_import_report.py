"""What is shown when an import has ended, and what its exit code says."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from bulkport.cli import ExitCode
from bulkport.cli.report import print_report
from bulkport.cli.tables import imports_table
from bulkport.client import BadRow, FieldMessage, ImportProgress
from bulkport.client.responses import ShownStatus

NOW = datetime(2026, 1, 2, tzinfo=UTC)
URL = "http://server/api/imports/9/errors"


def report(
    *,
    failed: int = 0,
    bad_rows: list[BadRow] | None = None,
    warnings: list[str] | None = None,
    summary: str | None = None,
    waited: float = 0.0,
    width: int = 120,
) -> str:
    progress = ImportProgress(
        id=9,
        status=ShownStatus.PARTIAL_SUCCESS if failed else ShownStatus.COMPLETED,
        total_records=7232,
        processed_records=7232,
        success_count=7232 - failed,
        failure_count=failed,
        created_at=NOW - timedelta(seconds=waited),
        started_at=NOW,
        completed_at=NOW + timedelta(seconds=1.5),
        rows_per_second=4821.3,
        warnings=warnings or [],
        error_summary=summary,
    )
    output = io.StringIO()
    print_report(Console(file=output, width=width), progress, bad_rows or [], report_url=URL)
    return output.getvalue()


def test_counts_time_and_rate_are_shown() -> None:
    shown = report()
    for text in ("Import 9", "Completed", "7,232", "1.50 s", "4,821 rows/s"):
        assert text in shown
    assert URL not in shown


def test_time_and_rate_cover_processing_and_waiting_is_shown_separately() -> None:
    assert "waited" not in report(waited=0.05)
    shown = report(waited=2.5)
    for text in ("waited", "2.50 s", "1.50 s", "4,821 rows/s"):
        assert text in shown


def test_bad_rows_are_shown_with_a_link_to_the_rest() -> None:
    bad = BadRow(17, [FieldMessage("platformName", "platformName must not be blank")], {"platformName": "  "})
    shown = report(failed=3, bad_rows=[bad])
    for text in ("17", "platformName must not be blank", "platformName=", "and 2 more", URL):
        assert text in shown


def test_messages_and_links_stay_readable_in_a_narrow_terminal() -> None:
    bad = BadRow(3, [FieldMessage("platformName", "platformName must be at most 100 characters")], "x" * 120)
    shown = report(failed=1, bad_rows=[bad], width=80)
    assert "platformName must be at most 100" in shown
    assert f"All rejected rows: {URL} (JSON, or text/csv or application/x-ndjson by Accept)" in shown


def test_markup_in_data_is_shown_literally() -> None:
    bad = BadRow(1, [FieldMessage("", "[red]bad[/red]")], "\x1b]0;title\x07[link=http://evil]x[/link]")
    shown = report(failed=1, bad_rows=[bad], warnings=["unknown field [bold]colour[/bold] \x1b[2J"])
    assert "[red]bad[/red]" in shown
    assert "unknown field [bold]colour[/bold]" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_fatal_error_is_shown_if_no_row_is_to_blame() -> None:
    assert "Fatal error: the disk is full" in report(summary="Fatal error: the disk is full")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ShownStatus.COMPLETED, 0),
        (ShownStatus.PARTIAL_SUCCESS, 1),
        (ShownStatus.FAILED, 2),
        (ShownStatus.CANCELLED, 2),
    ],
)
def test_the_exit_code_reports_how_the_import_ended(status: ShownStatus, code: int) -> None:
    assert ExitCode.of(status) == code


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_narrow_terminal_drops_columns_and_breaks_no_word(width: int) -> None:
    moment = {"created_at": NOW, "started_at": NOW, "completed_at": NOW + timedelta(seconds=1.5)}
    imports = [
        ImportProgress(
            id=123_456,
            status=status,
            resource="platforms",
            name="July, from the warehouse",
            total_records=total,
            processed_records=total,
            success_count=total,
            failure_count=0,
            error_summary=None,
            rows_per_second=300_000.0,
            **moment,
        )
        for status, total in ((ShownStatus.PARTIAL_SUCCESS, 1_000_000), (ShownStatus.COMPLETED, 3))
    ]
    console = Console(file=io.StringIO(), width=width)
    console.print(imports_table(imports, width))
    heading, *lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert heading.split()[0] == "import"
    assert len(lines) == 2
    assert "123456" in lines[0]
    assert "PartialSuccess" in lines[0]
    assert "1,000,000" in lines[0]
    assert ("rate" in heading, "name" in heading) == (width >= 120, width >= 80)
