"""Groups of failures that operators have muted (table `bulkport.muted_failures`)."""

from collections.abc import Callable, Collection
from typing import Final

from bulkport.pools import AsyncPool
from bulkport.sanitize import storable_text

FailureKey = tuple[str, str, str]
"""Task, error type and message of a group."""

_ALL: Final = "SELECT task, error_type, message FROM bulkport.muted_failures"
_MUTE: Final = """
INSERT INTO bulkport.muted_failures (task, error_type, message, muted_by) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_UNMUTE: Final = "DELETE FROM bulkport.muted_failures WHERE task = %s AND error_type = %s AND message = %s"


class MutedFailures:
    """Keeps which groups are muted.

    Parameters
    ----------
    pool
        Gives the pool of autocommit connections once the application is connected.
    """

    def __init__(self, pool: Callable[[], AsyncPool]) -> None:
        self._pool = pool

    async def keys(self) -> Collection[FailureKey]:
        """The muted groups."""
        async with self._pool().connection() as connection:
            return {(task, kind, message) async for task, kind, message in await connection.execute(_ALL)}

    async def mute(self, key: FailureKey, actor: str) -> None:
        """Mute a group; one that is muted stays so."""
        async with self._pool().connection() as connection:
            await connection.execute(_MUTE, (*map(storable_text, key), storable_text(actor)))

    async def unmute(self, key: FailureKey) -> None:
        """Let a group call for attention again."""
        async with self._pool().connection() as connection:
            await connection.execute(_UNMUTE, tuple(map(storable_text, key)))
