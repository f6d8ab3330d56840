"""Deadlocks: between jobs that share keys, parents and batches they cannot all be avoided.

PostgreSQL ends one side's transaction. If that transaction was ours alone, it can be done again.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from psycopg.errors import DeadlockDetected

T = TypeVar("T")

MOST_TRIES: Final = 5


async def despite_deadlocks(transaction: Callable[[], Awaitable[T]], *, is_ours: bool = True) -> T:
    """What a whole transaction gives, done again when it was ended to solve a deadlock.

    Parameters
    ----------
    is_ours
        False: it belongs to a caller's transaction, so that only the caller can do it again.
    """
    for _ in range(MOST_TRIES - 1 if is_ours else 0):
        try:
            return await transaction()
        except DeadlockDetected:
            continue
    return await transaction()


def despite_deadlocks_sync(transaction: Callable[[], T]) -> T:
    """As `despite_deadlocks`, for a transaction of ours."""
    for _ in range(MOST_TRIES - 1):
        try:
            return transaction()
        except DeadlockDetected:
            continue
    return transaction()
