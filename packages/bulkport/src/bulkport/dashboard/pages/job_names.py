"""The names of tasks, queues, tags and servers, to choose from in filters."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bulkport.dashboard.core.cache import TTLCache
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
    servers: Sequence[str] = ()


class JobNames:
    """Reads names, cached for a few seconds because they rarely change."""

    def __init__(self, jobs: InspectCalls, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._names = TTLCache(self._read, seconds=_FRESH_SECONDS, clock=clock)

    async def read(self) -> Names:
        """The tasks that had jobs in the last day or have unfinished ones, and the queues."""
        return await self._names.get(None)

    async def _read(self, _: None) -> Names:
        tasks = [one.task for one in await self._jobs.task_statistics()]
        queues = [one.name for one in await self._jobs.queues()]
        servers = [one.name for one in await self._jobs.servers()]
        return Names(tasks[:_MOST_NAMES], queues[:_MOST_NAMES], await self._jobs.tags(), servers[:_MOST_NAMES])
