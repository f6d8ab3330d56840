"""Caches values for a few seconds, so that they are read once for all viewers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TTLCache(Generic[K, V]):
    """A cache for few keys, whose values are read again after `seconds`.

    Parameters
    ----------
    read:
        Reads the value of a key. What it raises is raised, and not kept.
    """

    def __init__(
        self, read: Callable[[K], Awaitable[V]], *, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._values: dict[K, tuple[float, V]] = {}

    async def get(self, key: K) -> V:
        """The value of `key`, at most `seconds` old."""
        async with self._lock:
            known = self._values.get(key)
            if known is None or self._clock() - known[0] >= self._seconds:
                known = self._values[key] = (self._clock(), await self._read(key))
            return known[1]

    def clear(self) -> None:
        """Discard the cache, because the data has changed."""
        self._values.clear()
