"""Lists with a few gaps in them, handled run by run: a chunk has many rows and few bad ones."""

from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")


def without(values: Sequence[_T], gaps: Sequence[int]) -> Sequence[_T]:
    """`values` but for those at the ascending positions in `gaps`; the same object where there are none."""
    if not gaps:
        return values
    kept: list[_T] = []
    start = 0
    for gap in gaps:
        kept += values[start:gap]
        start = gap + 1
    kept += values[start:]
    return kept
