"""Tables of imports, rejected rows and results."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulkport.cli.wording import harmless, lasting
from bulkport.client import BadRow, ImportProgress, RowResult, ShownStatus

_STATUS_STYLES = {
    ShownStatus.COMPLETED: "green",
    ShownStatus.PARTIAL_SUCCESS: "yellow",
    ShownStatus.FAILED: "red",
    ShownStatus.CANCELLED: "red",
}
_RIGHT = {"import", "rows", "imported", "rejected", "row"}


def output() -> Console:
    """Standard output; a pipe has no width that a table would have to fit into."""
    return Console(width=None if sys.stdout.isatty() else 200)


def print_json(objects: Iterable[Any]) -> None:
    """One JSON object a line."""
    for one in objects:
        sys.stdout.write(json.dumps(msgspec.to_builtins(one), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def imports_table(shown: Sequence[ImportProgress]) -> Table:
    """Where imports stand."""
    table = _table("import", "resource", "status", "rows", "imported", "rejected", "rate", "time", "name")
    for one in shown:
        table.add_row(
            str(one.id),
            one.resource,
            Text(str(one.status), style=_STATUS_STYLES.get(one.status, "")),
            f"{one.processed_records:,} of {one.total_records:,}" if not one.is_settled else f"{one.total_records:,}",
            f"{one.success_count:,}",
            f"{one.failure_count:,}",
            f"{one.rows_per_second:,.0f} rows/s" if one.rows_per_second else "",
            _time(one),
            harmless(one.name or "", longest=40),
        )
    return table


def errors_table(rows: Sequence[BadRow]) -> Table:
    """Rejected rows."""
    table = _table("row", "error", "record")
    for row in rows:
        record = row.record
        shown = ", ".join(f"{name}={value}" for name, value in record.items()) if isinstance(record, dict) else record
        messages = ", ".join(error.message for error in row.errors)
        table.add_row(f"{row.row:,}", Text(harmless(messages)), Text(harmless(str(shown), longest=120)))
    return table


def results_table(results: Sequence[RowResult]) -> Table:
    """What became of rows."""
    table = _table("row", "outcome", "id")
    for result in results:
        table.add_row(f"{result.row:,}", result.outcome, Text(harmless(result.id or "")))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in _RIGHT else "left", overflow="fold")
    return table


def _time(one: ImportProgress) -> str:
    if one.started_at is None:
        return ""
    if one.completed_at is not None:
        return lasting((one.completed_at - one.started_at).total_seconds())
    return f"{lasting(one.eta_seconds)} left" if one.eta_seconds else ""
