"""For which user the current task borrows connections, so that a pool can share them out among users.

A task that is made for a request inherits it. What is done for everybody on the occasion of a request is done as
nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

borrower: Final[ContextVar[str | None]] = ContextVar("bulkport_borrower", default=None)
"""Id of the user; None: nobody's."""


@contextmanager
def borrowing_for_nobody() -> Iterator[None]:
    """Borrow without counting it as the user's, for as long as the context lasts."""
    token = borrower.set(None)
    try:
        yield
    finally:
        # What nobody ends before its loop does is closed in another context, where nothing was set.
        with suppress(ValueError):
            borrower.reset(token)
