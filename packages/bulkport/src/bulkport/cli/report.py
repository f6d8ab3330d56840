"""Shows the result of an import: counts, warnings and the first rejected rows."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulkport.cli.wording import harmless, lasting
from bulkport.client import BadRow, Client, Import, ImportProgress
from bulkport.client.responses import ShownStatus

# A shorter wait for a worker is nothing to wonder about.
_LEAST_WAIT_SECONDS: Final = 0.1
_COLOURS: Final = {
    ShownStatus.COMPLETED: "green",
    ShownStatus.PARTIAL_SUCCESS: "yellow",
    ShownStatus.FAILED: "red",
    ShownStatus.CANCELLED: "red",
}


_SHOWN_BAD_ROWS: Final = 10
_OUTCOMES: Final = ("created", "updated", "unchanged", "skipped", "deleted")


def report_import(output: Console, client: Client, job: Import, progress: ImportProgress) -> None:
    """Print the status or result of an import with its first rejected rows."""
    bad_rows = (
        list(itertools.islice(job.errors(page_size=_SHOWN_BAD_ROWS), _SHOWN_BAD_ROWS)) if progress.failure_count else []
    )
    url = f"{client.url}{client.prefix}/imports/{progress.id}/errors"
    print_report(output, progress, bad_rows, report_url=url)


def print_report(console: Console, progress: ImportProgress, bad_rows: Sequence[BadRow], *, report_url: str) -> None:
    """Print how an import ended.

    Parameters
    ----------
    bad_rows:
        The first of its rejected rows.
    report_url:
        Where all of them can be had.
    """
    console.print(_counts(progress))
    if progress.dry_run:
        console.print("This was a dry run: nothing was imported.", highlight=False)
        for difference in progress.differences or []:
            changes = ", ".join(_change(change) for change in difference.get("changes", []))
            console.print(Text(harmless(f"row {difference.get('row')} would change {changes}")), soft_wrap=True)
    for warning in progress.warnings:
        console.print(Text.assemble(("warning: ", "yellow"), harmless(warning)), soft_wrap=True)
    if progress.error_summary is not None and not bad_rows:
        console.print(Text(harmless(progress.error_summary, longest=600), style="red"), soft_wrap=True)
    if bad_rows:
        console.print(_bad_rows(bad_rows, console.width))
        if more := progress.failure_count - len(bad_rows):
            console.print(f"and {more:,} more", highlight=False)
        where = f"All rejected rows: {report_url} (JSON, or text/csv or application/x-ndjson by Accept)"
        console.print(Text(where), soft_wrap=True)


def _counts(progress: ImportProgress) -> Table:
    table = Table(title=f"Import {progress.id}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("status", Text(str(progress.status), style=_COLOURS.get(progress.status, "")))
    table.add_row("rows", f"{progress.total_records:,}")
    table.add_row("imported", f"{progress.success_count:,}")
    outcomes = {name: count for name in _OUTCOMES if (count := getattr(progress, name))}
    if set(outcomes) - {"created"}:  # all created is what one expects
        for name, count in outcomes.items():
            table.add_row(f"  {name}", f"{count:,}")
    table.add_row("rejected", Text(f"{progress.failure_count:,}", style="red" if progress.failure_count else ""))
    if progress.started_at is not None and progress.completed_at is not None:
        # The rate is that of the processing, so that is the time beside it.
        waited = (progress.started_at - progress.created_at).total_seconds()
        if waited >= _LEAST_WAIT_SECONDS:
            table.add_row("waited", lasting(waited))
        table.add_row("time", lasting((progress.completed_at - progress.started_at).total_seconds()))
    if progress.rows_per_second:
        table.add_row("rate", f"{progress.rows_per_second:,.0f} rows/s")
    return table


def _change(change: Mapping[str, Any]) -> str:
    return f"{change.get('field')}: {change.get('old')} → {change.get('new')}"


def _bad_rows(rows: Sequence[BadRow], width: int) -> Table:
    table = Table(title="First rejected rows" if len(rows) > 1 else "Rejected row", title_justify="left")
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("error", overflow="fold")
    table.add_column("record", overflow="ellipsis", no_wrap=True, max_width=max(10, width // 3))
    for row in rows:
        messages = ", ".join(error.message for error in row.errors)
        table.add_row(f"{row.row:,}", Text(harmless(messages)), Text(_shown_record(row.record)))
    return table


def _shown_record(record: object) -> str:
    if isinstance(record, dict):
        return harmless(", ".join(f"{name}={value}" for name, value in record.items()), longest=120)
    return harmless(str(record), longest=120)
