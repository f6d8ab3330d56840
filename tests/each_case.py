"""Cases of one test that share an expensive setup; a failure names its case."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*values: object) -> Iterator[None]:
    """Add the case's values to whatever fails in the context."""
    try:
        yield
    except BaseException as error:
        shown = ", ".join(repr(value)[:200] for value in values)
        error.add_note(f"in the case {shown}")
        raise
