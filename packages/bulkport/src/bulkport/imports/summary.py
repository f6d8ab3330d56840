"""The error summary of a status response."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bulkport.imports.formats.csv.header import similar_names
from bulkport.imports.resource import Resource
from bulkport.imports.states import CancellationAsker

MAX_SUMMARY_ERRORS: Final = 10
MAX_SUMMARY_LENGTH: Final = 500
MAX_WARNED_FIELDS: Final = 50
_MAX_NAME_LENGTH: Final = 100
_ASKERS: Final = {
    CancellationAsker.OWNER: "its owner",
    CancellationAsker.OPERATOR: "an operator",
    CancellationAsker.APPLICATION: "the application",
}


def error_summary(resource: Resource, errors: Sequence[tuple[int, Any, Any]], total: int) -> str | None:
    """Summarise bad rows as `Platform 'NAME': MESSAGE, MESSAGE; … (and N more)`.

    Parameters
    ----------
    errors:
        The first bad rows in row order, at most ten: row number, list of `{"field", "message"}`, record.
    total:
        How many bad rows there are in all.

    Returns
    -------
    At most 500 characters, cut at a whole error; None when there is no bad row.
    """
    if total == 0:
        return None
    entries = [
        f"{resource.label} '{_name(resource, row, record)}': {', '.join(error['message'] for error in row_errors)}"
        for row, row_errors, record in errors[:MAX_SUMMARY_ERRORS]
    ]
    for shown in range(len(entries), 0, -1):
        text = "; ".join(entries[:shown]) + _more(total - shown)
        if len(text) <= MAX_SUMMARY_LENGTH:
            return text
    rest = _more(total - 1)
    return entries[0][: MAX_SUMMARY_LENGTH - len(rest) - 1] + "…" + rest


def fatal_summary(message: str) -> str:
    """`Fatal error: MESSAGE`, at most 500 characters."""
    text = f"Fatal error: {' '.join(message.replace(chr(0), '').split())}"
    return text if len(text) <= MAX_SUMMARY_LENGTH else text[: MAX_SUMMARY_LENGTH - 1] + "…"


def cancelled_summary(asker: CancellationAsker, written: int) -> str:
    """The summary of an import that was cancelled after so many rows were written."""
    return f"Cancelled by {_ASKERS[asker]}; {_rows(written)} written before"


def unknown_fields_warnings(names: Iterable[str], known: Sequence[str] = ()) -> list[str]:
    """The line in an import's `warnings` about unknown fields: none, or one that names the first ones.

    Parameters
    ----------
    names:
        Their names. The first 50 are shown, each once and with at most 100 characters.
    known:
        What fields there are; one that is nearly called the same is proposed.
    """
    shown = list(dict.fromkeys(map(_shortened, names)))
    if not shown:
        return []
    near = similar_names(shown, known)
    shown = [f"{name} (did you mean {near[name]}?)" if near.get(name, name) != name else name for name in shown]
    others = " and others" if len(shown) > MAX_WARNED_FIELDS else ""
    return [f"Unknown fields were ignored: {', '.join(shown[:MAX_WARNED_FIELDS])}{others}"]


def dropped_rows_warnings(outcomes: Sequence[int] | None) -> list[str]:
    """The line in an import's `warnings` about rows that the database dropped without an error, if any.

    Parameters
    ----------
    outcomes:
        Counts of rows as an import keeps them; the last one is of dropped rows.
    """
    if outcomes is None or not outcomes[-1]:
        return []
    count = outcomes[-1]
    rows = "1 row was" if count == 1 else f"{count} rows were"
    return [f"{rows} skipped by the database: a trigger or rule of the table left them out without an error"]


def _rows(count: int) -> str:
    return "no row was" if count == 0 else "1 row was" if count == 1 else f"{count} rows were"


def _more(count: int) -> str:
    return f" (and {count} more)" if count else ""


def _name(resource: Resource, row: int, record: Any) -> str:
    value = record.get(resource.wire_names[resource.label_field]) if isinstance(record, Mapping) else None
    if value is None:
        return f"row {row}"
    # The name is the client's text; the summary must not contain line breaks or what PostgreSQL cannot store.
    return _shortened(" ".join(str(value).replace(chr(0), "").encode("utf-8", "replace").decode().split()))


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 1] + "…"
