"""The user for whom the current task takes pool connections, so that a pool can share them fairly among users.

Tasks created for a request inherit it. Work that serves everybody, even if a request triggers it, has no user.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

connection_user: Final[ContextVar[str | None]] = ContextVar("bulkport_connection_user", default=None)
"""Id of the user, or None."""


@contextmanager
def without_connection_user() -> Iterator[None]:
    """Take connections without counting them as the user's until the context ends."""
    token = connection_user.set(None)
    try:
        yield
    finally:
        # A generator left open until its loop closes is closed in another context, where nothing was set.
        with suppress(ValueError):
            connection_user.reset(token)
