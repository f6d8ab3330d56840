"""Columns of text cells read as values, for the types whose text is plain."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bulkport.validation.translation import IntRule, TextRule

# Below 64 bits, so that conversion and comparison stay cheap.
_MAX_DIGITS: Final = 18


def read_cells(cells: Sequence[str], rule: TextRule | IntRule, empty: Any) -> tuple[Sequence[Any], set[int]]:
    """Read a column.

    Parameters
    ----------
    empty:
        What an empty cell stands for; `msgspec.NODEFAULT` where a value is required.

    Returns
    -------
    A value for each cell, and the positions of those that Pydantic has to judge.
    """
    if isinstance(rule, TextRule):
        return _read_text(cells, rule, empty)
    return _read_ints(cells, rule, empty)


def _read_text(cells: Sequence[str], rule: TextRule, empty: Any) -> tuple[Sequence[Any], set[int]]:
    shortest = max(rule.min_length, 1)
    longest = rule.max_length
    lengths = set(map(len, cells))
    if (
        min(lengths, default=shortest) >= shortest
        and (longest is None or max(lengths, default=0) <= longest)
        and not (rule.not_blank and True in map(str.isspace, cells))
    ):
        return cells, set()
    suspects = {
        position
        for position, cell in enumerate(cells)
        if cell
        and not (
            len(cell) >= rule.min_length
            and (longest is None or len(cell) <= longest)
            and not (rule.not_blank and cell.isspace())
        )
    }
    if 0 not in lengths:
        return cells, suspects
    if empty is not msgspec.NODEFAULT:
        return [cell or empty for cell in cells], suspects
    if rule.not_blank or rule.min_length:
        suspects.update(position for position, cell in enumerate(cells) if not cell)
    return cells, suspects


def _read_ints(cells: Sequence[str], rule: IntRule, empty: Any) -> tuple[Sequence[Any], set[int]]:
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
