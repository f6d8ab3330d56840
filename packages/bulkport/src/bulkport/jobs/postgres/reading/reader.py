"""The reading side of the port."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from bulkport.jobs.port.query import JobCount, JobIds, JobPage, JobQuery
from bulkport.jobs.postgres.reading.details import read_batch, read_batches, read_details, read_logs, read_tags
from bulkport.jobs.postgres.reading.search import CursorKey, JobSearch
from bulkport.jobs.postgres.reading.servers import read_paused_tasks, read_queues, read_servers
from bulkport.jobs.postgres.reading.snapshot import Snapshot, SnapshotSource, open_snapshot, share_snapshot
from bulkport.jobs.postgres.reading.statistics import (
    read_grouped_series,
    read_queue_activity,
    read_series,
    read_statistics,
    read_task_statistics,
)
from bulkport.pools import AsyncPool

P = ParamSpec("P")
R = TypeVar("R")


def _reads(
    read: Callable[Concatenate[Snapshot, P], Awaitable[R]],
) -> Callable[Concatenate["PostgresJobReader", P], Coroutine[Any, Any, R]]:
    """A reader call with its own snapshot, or in a shared one."""

    @wraps(read)
    async def call(self: "PostgresJobReader", /, *args: P.args, **kwargs: P.kwargs) -> R:
        async with self.snapshot() as snapshot:
            return await read(snapshot, *args, **kwargs)

    return call


class PostgresJobReader:
    """A `JobReader`.

    Parameters
    ----------
    source
        Pool of autocommit connections, each answer to be read from a snapshot of its own; or a snapshot, for all.
    most_seconds
        How long one statement may take before it is ended; a snapshot that is given has its own limit.
    silent_seconds
        Time without a heartbeat after which a server is shown as silent; `WorkerOptions.stalled_seconds` of the
        servers.
    key
        Of another reader of the same database.
    """

    def __init__(
        self,
        source: AsyncPool | Snapshot,
        *,
        most_seconds: float = 5.0,
        silent_seconds: float = 12.0,
        key: CursorKey | None = None,
    ) -> None:
        self.snapshot: SnapshotSource
        if isinstance(source, Snapshot):
            self.snapshot = partial(share_snapshot, source)
        else:
            self.snapshot = partial(open_snapshot, source, most_seconds, silent_seconds)
        self._key = key or CursorKey()
        self._search = JobSearch(self.snapshot, self._key)

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator[Self]:
        """See `JobReader.at_one_moment`."""
        async with self.snapshot() as snapshot:
            yield type(self)(snapshot, key=self._key)

    async def search(self, query: JobQuery, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        """See `JobReader.search`."""
        return await self._search.search(query, cursor, limit)

    async def count(self, query: JobQuery, *, most: int = 10_000) -> JobCount:
        """See `JobReader.count`."""
        return await self._search.count(query, most)

    async def ids(self, query: JobQuery, *, after: str | None = None, limit: int = 500) -> JobIds:
        """See `JobReader.ids`."""
        return await self._search.ids(query, after, limit)

    details = _reads(read_details)
    logs = _reads(read_logs)
    tags = _reads(read_tags)
    batches = _reads(read_batches)
    batch = _reads(read_batch)
    statistics = _reads(read_statistics)
    series = _reads(read_series)
    series_by = _reads(read_grouped_series)
    queue_activity = _reads(read_queue_activity)
    task_statistics = _reads(read_task_statistics)
    queues = _reads(read_queues)
    paused_tasks = _reads(read_paused_tasks)
    servers = _reads(read_servers)
