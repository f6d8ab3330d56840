"""The names of tasks and queues, to choose from in filters."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bulkport.jobs.inspect import InspectCalls

_FRESH_SECONDS: Final = 15.0
_MOST_NAMES: Final = 500


@dataclass(frozen=True, slots=True)
class Names:
    """Names in their order; of very many the first ones."""

    tasks: Sequence[str] = ()
    queues: Sequence[str] = ()
    tags: Mapping[str, int] = field(default_factory=dict)
    """Of the latest jobs, with their numbers."""


class JobNames:
    """Reads the names, and shares what was read for some seconds: they change rarely."""

    def __init__(self, jobs: InspectCalls, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._clock = clock
        self._lock = asyncio.Lock()
        self._names: Names | None = None
        self._read_at = 0.0

    async def read(self) -> Names:
        """The tasks that had jobs in the last day or have unfinished ones, and the queues."""
        async with self._lock:
            if self._names is None or self._clock() - self._read_at >= _FRESH_SECONDS:
                tasks = [one.task for one in await self._jobs.task_statistics()]
                queues = [one.name for one in await self._jobs.queues()]
                self._names = Names(tasks[:_MOST_NAMES], queues[:_MOST_NAMES], await self._jobs.tags())
                self._read_at = self._clock()
            return self._names
