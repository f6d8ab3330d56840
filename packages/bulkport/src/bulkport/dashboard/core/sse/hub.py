"""The poller of a server process. It runs while somebody watches, and polls once for all viewers of a page."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from bulkport.dashboard.core.render import Fragment
from bulkport.errors import ServiceUnavailable
from bulkport.runtime import server_is_stopping

logger = logging.getLogger(__name__)

Render = Callable[[], Awaitable[Sequence[Fragment]]]

_LOOK_SECONDS: Final = 0.25
"""How often it is looked for topics that are due and for a server that is about to stop."""
_REST: Final = 9.0
"""How much longer than a look took it is waited for the next, at least: what is hard to find is looked for rarely."""


class TooManyViewers(ServiceUnavailable):
    """As many pages are watched live as this server allows; reload the page to see the news."""


@dataclass(frozen=True, slots=True)
class Update:
    """News for a viewer: fragments that changed, and whether looking works at all."""

    fragments: Sequence[Fragment]
    is_stale: bool


class Watcher:
    """One viewer's end of the hub.

    It holds the newest state of each fragment that the viewer has not been sent yet, so a viewer who reads slowly
    misses states in between and costs no memory.
    """

    def __init__(self) -> None:
        self._pending: dict[str, Fragment] = {}
        self._is_stale = False
        self._news = asyncio.Event()

    def put(self, fragments: Sequence[Fragment], *, is_stale: bool) -> None:
        """Have news for the viewer."""
        self._pending.update((fragment.name, fragment) for fragment in fragments)
        if fragments or is_stale != self._is_stale:
            self._is_stale = is_stale
            self._news.set()

    async def next(self) -> Update:
        """Wait for news."""
        await self._news.wait()
        self._news.clear()
        update = Update(tuple(self._pending.values()), self._is_stale)
        self._pending.clear()
        return update


@dataclass(slots=True)
class _Topic:
    """One page as viewers of one role see it."""

    render: Render
    every: float
    watchers: set[Watcher] = field(default_factory=set)
    current: dict[str, Fragment] = field(default_factory=dict)
    is_stale: bool = False
    due_at: float = 0.0
    look: "asyncio.Task[None] | None" = None


class Hub:
    """Renders watched pages and sends viewers what changed.

    Parameters
    ----------
    max_viewers:
        Concurrent streams.
    max_looks:
        Concurrently loaded pages, limited so that the dashboard leaves database connections for others.
    is_stopping:
        Whether the server is about to stop; asked several times a second while somebody watches.
    clock:
        Seconds from any point in time.
    """

    def __init__(
        self,
        *,
        max_viewers: int = 200,
        max_looks: int = 2,
        is_stopping: Callable[[], bool] = server_is_stopping,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_viewers = max_viewers
        self._looks = asyncio.Semaphore(max_looks)
        self._is_stopping = is_stopping
        self._clock = clock
        self._topics: dict[str, _Topic] = {}
        self._poller: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()
        """Set when streams must end."""

    @property
    def viewers(self) -> int:
        """Streams that are open now."""
        return sum(len(topic.watchers) for topic in self._topics.values())

    def close(self) -> None:
        """End every stream permanently."""
        self.closed.set()

    @contextmanager
    def watching(self, key: str, render: Render, *, every: float = 1.0) -> Iterator[Watcher]:
        """Watch a topic for as long as the context lasts.

        Parameters
        ----------
        key:
            Equal for viewers to whom `render` would give the same.
        every:
            Seconds between two looks.

        Raises
        ------
        TooManyViewers
            If there are as many as may be.
        """
        if self.viewers >= self._max_viewers:
            raise TooManyViewers
        topic = self._topics.setdefault(key, _Topic(render, every))
        watcher = Watcher()
        topic.watchers.add(watcher)
        watcher.put(tuple(topic.current.values()), is_stale=topic.is_stale)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="dashboard poller")
        try:
            yield watcher
        finally:
            topic.watchers.discard(watcher)
            if not topic.watchers:
                del self._topics[key]
                if topic.look is not None:
                    topic.look.cancel()
            if not self._topics:
                self._poller.cancel()
                self._poller = None

    async def _poll(self) -> None:
        while not self.closed.is_set():
            if self._is_stopping():
                self.close()
                return
            now = self._clock()
            for key, topic in self._topics.items():
                if now >= topic.due_at and (topic.look is None or topic.look.done()):
                    topic.due_at = now + topic.every
                    topic.look = asyncio.create_task(self._look(topic), name=f"dashboard look at {key}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, topic: _Topic) -> None:
        try:
            async with self._looks:
                begun = self._clock()
                try:
                    fragments = await topic.render()
                finally:
                    ended = self._clock()
                    topic.due_at = max(topic.due_at, ended + _REST * (ended - begun))
        except Exception:
            if not topic.is_stale:
                logger.warning("dashboard page could not be updated", exc_info=True)
            topic.is_stale = True
            changed: list[Fragment] = []
        else:
            changed = [one for one in fragments if one.version != _version(topic.current.get(one.name))]
            topic.current.update((one.name, one) for one in changed)
            topic.is_stale = False
        for watcher in topic.watchers:
            watcher.put(changed, is_stale=topic.is_stale)


def _version(fragment: Fragment | None) -> str | None:
    return None if fragment is None else fragment.version
