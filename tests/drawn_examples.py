"""How many examples property tests draw: a few, always the same, in the suite; many in `make properties`."""

import os

TIMES = int(os.environ.get("BULKPORT_EXAMPLES_TIMES", "1"))
"""How many times as many as usual; from 2 on they are drawn by chance."""


def examples(usual: int) -> int:
    """Where the usual 100 are too few or too many."""
    return usual * TIMES
