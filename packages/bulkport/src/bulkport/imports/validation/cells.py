"""Reads columns of text cells as values, for types with simple text."""

from typing import Any, Final

import msgspec

from bulkport.imports.validation.not_blank import blank_positions
from bulkport.imports.validation.translation import IntRule, TextRule

# Below 64 bits, so that conversion and comparison stay cheap.
_MAX_DIGITS: Final = 18


def read_cells(cells: list[str], rule: TextRule | IntRule, empty: Any) -> tuple[list[Any], set[int]]:
    """Read a column.

    Parameters
    ----------
    empty:
        The value of an empty cell; `msgspec.NODEFAULT` if a value is required.

    Returns
    -------
    A new list with a value for each cell, and the positions of those that Pydantic has to validate.
    """
    if isinstance(rule, TextRule):
        return _read_text(cells, rule, empty)
    return _read_ints(cells, rule, empty)


def _read_text(cells: list[str], rule: TextRule, empty: Any) -> tuple[list[Any], set[int]]:
    lengths = list(map(len, cells))
    shortest, longest = min(lengths, default=1), max(lengths, default=0)
    suspects: set[int] = set()
    if rule.max_length is not None and longest > rule.max_length:
        suspects.update(position for position, length in enumerate(lengths) if length > rule.max_length)
    if shortest < rule.min_length:
        suspects.update(position for position, length in enumerate(lengths) if 0 < length < rule.min_length)
    if rule.not_blank:
        suspects |= blank_positions(cells)
    if not shortest:
        if empty is not msgspec.NODEFAULT:
            return [cell or empty for cell in cells], suspects
        if rule.not_blank or rule.min_length:
            suspects.update(position for position, length in enumerate(lengths) if not length)
    return list(cells), suspects


def _read_ints(cells: list[str], rule: IntRule, empty: Any) -> tuple[list[Any], set[int]]:
    text = "".join(cells)
    if text.isascii() and text.isdigit() and "" not in cells and max(map(len, cells)) <= _MAX_DIGITS:
        values: list[Any] = list(map(int, cells))
        lowest, highest = min(values), max(values)
        if (rule.minimum is None or rule.minimum <= lowest) and (rule.maximum is None or highest <= rule.maximum):
            return values, set()
    values = []
    suspects = set()
    for position, cell in enumerate(cells):
        value = empty
        if cell:
            value = int(cell) if len(cell) <= _MAX_DIGITS and cell.isascii() and cell.isdigit() else None
            fits = value is not None and (
                (rule.minimum is None or rule.minimum <= value) and (rule.maximum is None or value <= rule.maximum)
            )
            if not fits:
                suspects.add(position)
        elif empty is msgspec.NODEFAULT:
            suspects.add(position)
        values.append(value)
    return values, suspects
