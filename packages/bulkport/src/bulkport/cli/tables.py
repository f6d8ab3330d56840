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
_IMPORT_HEADINGS = ("import", "resource", "status", "rows", "imported", "rejected", "rate", "time", "name")
_DISPENSABLE = ("rate", "time", "resource", "name", "imported", "rejected")
"""Columns that a narrow terminal does without, in this order."""
_NAME_WIDTH = 18
"""What is left of a name at the least, before its column is left out."""
_RIGHT = {"import", "rows", "imported", "rejected", "row"}


def output() -> Console:
    """Standard output; a pipe has no width that a table would have to fit into."""
    return Console(width=None if sys.stdout.isatty() else 200)


def print_json(objects: Iterable[Any]) -> None:
    """One JSON object a line."""
    for one in objects:
        sys.stdout.write(json.dumps(msgspec.to_builtins(one), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def imports_table(shown: Sequence[ImportProgress], width: int) -> Table:
    """The status of imports. The least important columns are omitted if `width` characters are not enough."""
    rows = [_import_cells(one) for one in shown]
    widths = {heading: 2 + max([len(heading), *(len(row[heading]) for row in rows)]) for heading in _IMPORT_HEADINGS}
    longest_name, widths["name"] = widths["name"], min(widths["name"], _NAME_WIDTH)
    for dispensable in _DISPENSABLE:
        if sum(widths.values()) > width:
            del widths[dispensable]
    table = _table(*widths)
    room = width - sum(widths.values()) + widths.get("name", 0) - 2
    for row in rows:
        if longest_name > room:
            row["name"] = harmless(str(row["name"]), longest=room)
        table.add_row(*(row[heading] for heading in widths))
    for column in table.columns:
        column.no_wrap = True
    return table


def _import_cells(one: ImportProgress) -> dict[str, str | Text]:
    total = f"{one.total_records:,}"
    return {
        "import": str(one.id),
        "resource": one.resource,
        "status": Text(str(one.status), style=_STATUS_STYLES.get(one.status, "")),
        "rows": total if one.is_settled else f"{one.processed_records:,} of {total}",
        "imported": f"{one.success_count:,}",
        "rejected": f"{one.failure_count:,}",
        "rate": f"{one.rows_per_second:,.0f} rows/s" if one.rows_per_second else "",
        "time": _time(one),
        "name": harmless(one.name or "", longest=40),
    }


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
