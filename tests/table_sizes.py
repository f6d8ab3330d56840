"""How many rows the cases of tables have: a few, and as many as take each way that rows go.

What becomes of a row does not depend on how many there are. The suite's many rows are several chunks, of which the
first is written by COPY; `make sizes` runs the same cases with 200,000.
"""

import os
from typing import Final

import pytest

from bulkport import ImportLimits

_USUAL: Final = 4_600
MANY: Final = int(os.environ.get("BULKPORT_MANY_ROWS", str(_USUAL)))
IS_LONG: Final = MANY > 10 * _USUAL
"""Whether this is a run of `make sizes`."""
CHUNK_BYTES: Final = ImportLimits().chunk_bytes if IS_LONG else 65_000
"""In the applications of table cases. Many rows of 15 to 28 bytes are two chunks, and the first has more than 2,000."""

sizes: Final = pytest.mark.sizes
"""What `make sizes` runs."""


def at_both_sizes(few: int, name: str = "count") -> pytest.MarkDecorator:
    """Run a case with a few rows and with many."""
    return pytest.mark.parametrize(
        name, [pytest.param(few, id="few rows"), pytest.param(MANY, id="many rows", marks=sizes)]
    )


def small_chunks(chunk_bytes: int) -> pytest.MarkDecorator:
    """Run a case with the usual limits, and with chunks so small that its few rows are many of them."""
    usual = pytest.param({}, id="one chunk", marks=sizes)
    return pytest.mark.parametrize("limits", [usual, pytest.param({"chunk_bytes": chunk_bytes}, id="many chunks")])


def scaled(usual: int) -> int:
    """How many rows a case has that is about their order: as many as usual, and many in `make sizes`."""
    return MANY if IS_LONG else usual
