"""The slow way in, for a chunk that PostgreSQL refuses: find the bad rows, write all others.

Duplicates of a unique key are found set-wise. For all else COPY says on which line it stopped, so each bad row costs
one failed COPY and one of the good rows before it; an error that names no line (a trigger, a foreign key) is found by
halving.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors

from bulkport.imports.duplicates import find_duplicates
from bulkport.imports.resource import ConflictPolicy
from bulkport.imports.rows import Refusal, WritableRows
from bulkport.imports.table import TargetTable

WriteRows = Callable[[AsyncConnection[Any], TargetTable, WritableRows], Awaitable[None]]

# SQLSTATE classes that are about a row: data exception, integrity violation, view check; and three single codes: an
# exception raised by a trigger, a value too large for an index, a row too large.
_ROW_CLASSES: Final = ("22", "23", "44")
_ROW_STATES: Final = frozenset({"P0001", "54000", "54011"})

_COPY_LINE: Final = re.compile(r"^COPY [^,]+, \D+(\d+)(?:, \S+ (\w+))?", re.MULTILINE)

_SMALLEST_WINDOW: Final = 64


def is_row_refusal(error: psycopg.Error) -> bool:
    """Whether the database refused a row, rather than failed."""
    state = error.sqlstate or ""
    return state[:2] in _ROW_CLASSES or state in _ROW_STATES


async def write_around_refusals(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, write: WriteRows
) -> list[Refusal]:
    """Write every row that the database takes, after it refused them as a whole.

    Returns
    -------
    The refused rows in order of position.
    """
    # Under SKIP and UPDATE a row whose key is stored is no bad row, and may well be the row that is stored.
    if not table.unique_keys or table.resource.conflict is not ConflictPolicy.REJECT:
        return await _write_in_windows(connection, table, rows, write)
    refusals: list[Refusal] = []
    left = list(range(rows.size))
    while left:
        duplicates = await find_duplicates(connection, table, rows.take(left))
        known = duplicates.stored | duplicates.repeated
        fresh = [position for i, position in enumerate(left) if i not in known]
        refused = await _write_at(connection, table, rows, write, fresh)
        refusals += refused
        refusals += [_duplicate(table, left[i], key) for i, key in duplicates.stored.items()]
        repeated = {left[i]: key for i, key in duplicates.repeated.items() if i not in duplicates.stored}
        if not refused and len(table.unique_keys) == 1:
            refusals += [_duplicate(table, position, key) for position, key in repeated.items()]
            break
        # The row that had the key first may be a refused one itself: then a later one is welcome.
        left = sorted(repeated)
    return sorted(refusals, key=lambda refusal: refusal.position)


async def _write_at(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, write: WriteRows, positions: list[int]
) -> list[Refusal]:
    found = await _write_in_windows(connection, table, rows.take(positions), write)
    return [Refusal(positions[refusal.position], refusal.field, refusal.message) for refusal in found]


async def _write_in_windows(
    connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows, write: WriteRows
) -> list[Refusal]:
    refusals: dict[int, Refusal] = {}
    start, window = 0, rows.size
    while start < rows.size:
        if start in refusals:
            start += 1
            continue
        part = rows.slice(start, start + window)
        try:
            async with connection.transaction():
                await write(connection, table, part)
        except psycopg.Error as error:
            if not is_row_refusal(error):
                raise
            line = _refused_line(error, part.size)
            if line is None:
                window = part.size // 2
            else:
                refusals[start + line] = _refusal(table, start + line, error)
                # Next the good rows before it; and where bad rows are dense, no long tail sent in vain.
                window = line or max(_SMALLEST_WINDOW, window // 2)
        else:
            start += part.size
            window = max(_SMALLEST_WINDOW, window * 4)
    return [refusals[position] for position in sorted(refusals)]


def _refused_line(error: psycopg.Error, size: int) -> int | None:
    """0-based position of the row that was refused among the `size` rows sent; None when the error does not say."""
    if size == 1:
        return 0
    match = _COPY_LINE.search(error.diag.context or "")
    line = int(match[1]) - 1 if match else -1
    return line if 0 <= line < size else None


def _duplicate(table: TargetTable, position: int, key: tuple[int, ...]) -> Refusal:
    names = table.resource.field_names
    wire = [table.resource.wire_names[names[i]] for i in key]
    return Refusal(position, names[key[0]], f"{table.resource.label} with this {' and '.join(wire)} already exists")


def _refusal(table: TargetTable, position: int, error: psycopg.Error) -> Refusal:
    resource = table.resource
    fields = dict(zip(resource.column_names, resource.field_names, strict=True))
    match = _COPY_LINE.search(error.diag.context or "")
    columns = [error.diag.column_name, match[2] if match else None]
    # "Key (sku, region)=(…) already exists", "Key (platform_id)=(…) is not present": the columns, without the values.
    named = re.search(r"\(([^)]+)\)=", error.diag.message_detail or "")
    columns += [name.strip(' "') for name in named[1].split(",")] if named else []
    found = [fields[column] for column in columns if column in fields]
    wire = [resource.wire_names[field] for field in found]
    subject = " and ".join(dict.fromkeys(wire)) or "row"
    if isinstance(error, errors.UniqueViolation):
        message = f"{resource.label} with this {subject} already exists"
    elif isinstance(error, errors.NotNullViolation):
        message = f"{subject} is required"
    elif isinstance(error, errors.ForeignKeyViolation):
        message = f"{subject} refers to something that does not exist"
    elif isinstance(error, errors.CheckViolation):
        message = f"{subject} breaks the rule {error.diag.constraint_name}"
    elif isinstance(error, errors.NumericValueOutOfRange):
        message = f"{subject} is out of range"
    else:
        message = f"{subject} was refused by the database: {error.diag.message_primary}"
    return Refusal(position, found[0] if found else "", message[:500])
