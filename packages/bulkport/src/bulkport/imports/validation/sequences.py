"""Removes a few positions from long lists by copying runs: a chunk has many rows and few bad ones."""

from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")


def without(values: Sequence[_T], removed: Sequence[int]) -> Sequence[_T]:
    """`values` without the ascending positions `removed`; the same object if there are none."""
    if not removed:
        return values
    remaining: list[_T] = []
    start = 0
    for position in removed:
        remaining += values[start:position]
        start = position + 1
    remaining += values[start:]
    return remaining
