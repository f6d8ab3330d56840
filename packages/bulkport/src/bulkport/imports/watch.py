"""Watching imports: one poller a server process reads all that are watched in one statement, however many watch.

A watcher holds the newest state alone, so one that reads slowly misses states in between and costs no memory.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from bulkport.errors import TooManyRequests, TooManyWatchers
from bulkport.identifiers import ImportId
from bulkport.imports.read import ImportJob, read_jobs
from bulkport.imports.states import ImportStatus
from bulkport.pools import AsyncPool

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.25
"""Polling interval of watched imports: progress is shown at most four times a second."""
_FIRST_POLL_SECONDS: Final = 0.02
_SLOWER: Final = 1.6


class Watcher:
    """One end of the watch: the newest state of an import that its reader has not seen yet."""

    def __init__(self, job: ImportJob) -> None:
        self.seen = job
        """The state that the reader has."""
        self._newest = job
        self._is_gone = False
        self._misses = 0
        self._news = asyncio.Event()

    def put(self, job: ImportJob) -> None:
        """Have news for the reader."""
        self._misses = 0
        if job != self._newest:
            self._newest = job
            self._news.set()

    def is_missed(self) -> None:
        """The import was not among those read: twice in a row, it was deleted."""
        self._misses += 1
        if self._misses > 1:
            self.end()

    def end(self) -> None:
        """There will be no more news."""
        self._is_gone = True
        self._news.set()

    async def next(self) -> ImportJob | None:
        """Wait for a state that differs from `seen`; None once the import was deleted or the server stops."""
        await self._news.wait()
        self._news.clear()
        if self._is_gone:
            self._news.set()
            return None
        self.seen = self._newest
        return self._newest


class ImportWatch:
    """Reads the imports that somebody watches, while somebody does.

    Parameters
    ----------
    pool:
        Autocommit connections; one is borrowed for each read, four times a second at most.
    max_watchers, max_user_watchers:
        Concurrent readers in total and of one user's imports.
    is_stopping:
        Whether the server is about to stop; all readers then end, so that they do not hold it up.
    """

    def __init__(
        self,
        pool: AsyncPool,
        *,
        max_watchers: int = 1_000,
        max_user_watchers: int = 320,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pool = pool
        self._max_watchers = max_watchers
        self._max_user_watchers = max_user_watchers
        self._of_user: Counter[str] = Counter()
        self._is_stopping = is_stopping
        self._watchers: dict[int, set[Watcher]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._pause = POLL_SECONDS
        self._sooner = asyncio.Event()

    @property
    def watchers(self) -> int:
        """Readers now."""
        return self._of_user.total()

    def close(self) -> None:
        """End every reader."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.end()

    def require_room(self, user_id: str) -> None:
        """Require room for one more reader of this user's imports; raises the errors of `watching`."""
        if self._of_user[user_id] >= self._max_user_watchers:
            raise TooManyRequests(
                f"You have reached the limit of {self._max_user_watchers} followed imports; "
                "ask for the status of others from time to time instead."
            )
        if self.watchers >= self._max_watchers:
            raise TooManyWatchers

    @contextmanager
    def watching(self, job: ImportJob) -> Iterator[Watcher]:
        """Watch an import for as long as the context lasts.

        Raises
        ------
        TooManyWatchers
            If there are as many readers as may be.
        TooManyRequests
            If as many read imports of this user as may.
        """
        user_id = job.user_id
        self.require_room(user_id)
        watcher = Watcher(job)
        self._of_user[user_id] += 1
        self._watchers.setdefault(job.id, set()).add(watcher)
        # A small import ends within milliseconds, so a new reader gets the result soon.
        self._pause = _FIRST_POLL_SECONDS
        self._sooner.set()
        if self._poller is None or self._poller.done():
            # For all readers: not as the user of the request that came first.
            self._poller = asyncio.create_task(self._poll(), name="import watch", context=Context())
        try:
            yield watcher
        finally:
            self._of_user[user_id] -= 1
            if not self._of_user[user_id]:
                del self._of_user[user_id]
            watchers = self._watchers[job.id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[job.id]
            if not self._watchers and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    async def states(self, job: ImportJob) -> AsyncIterator[ImportJob]:
        """The import's states from `job` on, up to the final one; ends early when it is deleted."""
        yield job
        with self.watching(job) as watcher:
            while not ImportStatus(watcher.seen.status).is_final and (news := await watcher.next()):
                yield news

    async def wait(self, job: ImportJob, seconds: float) -> ImportJob:
        """The import once it has a final status, or its state after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                async for state in self.states(job):
                    job = state
        except TimeoutError:
            pass
        return job

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        is_stale = False
        while True:
            due_at = loop.time() + self._pause
            while (seconds := due_at - loop.time()) > 0:
                self._sooner.clear()
                try:
                    async with asyncio.timeout(seconds):
                        await self._sooner.wait()
                except TimeoutError:
                    break
                due_at = min(due_at, loop.time() + _FIRST_POLL_SECONDS)
            self._pause = min(self._pause * _SLOWER, POLL_SECONDS)
            if self._is_stopping():
                self.close()
                return
            try:
                async with self._pool.connection() as connection:
                    jobs = await read_jobs(connection, [ImportId(id_) for id_ in self._watchers])
            except (psycopg.Error, PoolTimeout) as error:
                if not is_stale:
                    logger.warning("followed imports could not be read: %s", error)
                is_stale = True
                continue
            is_stale = False
            # A watcher that came while the database answered gets it at the next read.
            for id_, watchers in self._watchers.items():
                if id_ in jobs:
                    for watcher in watchers:
                        watcher.put(jobs[id_])
                else:
                    for watcher in watchers:
                        watcher.is_missed()
