"""The counts that every page shows, read at most once a second however many pages are asked for."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from bulkport.dashboard.pages import Counts, CountsSource

_FRESH_SECONDS: Final = 0.9
"""Less than the second between two looks, so that each look has counts of its own."""


class SharedCounts:
    """Reads counts from `source`, and shares what was read for most of a second."""

    def __init__(self, source: CountsSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = asyncio.Lock()
        self._counts: Counts | None = None
        self._read_at = 0.0

    async def read(self) -> Counts:
        """The counts. Raises what the source raises."""
        async with self._lock:
            if self._counts is None or self._clock() - self._read_at >= _FRESH_SECONDS:
                self._counts = await self._source()
                self._read_at = self._clock()
            return self._counts
