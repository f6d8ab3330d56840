"""The reading side of the port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Self

from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.postgres.reading.details import read_batch, read_batches, read_details, read_logs, read_tags
from bulkport.jobs.postgres.reading.search import CursorKey, JobSearch
from bulkport.jobs.postgres.reading.servers import read_queues, read_servers
from bulkport.jobs.postgres.reading.snapshot import (
    Snapshot,
    SnapshotSource,
    open_snapshot,
    share_snapshot,
)
from bulkport.jobs.postgres.reading.statistics import (
    read_grouped_series,
    read_queue_activity,
    read_series,
    read_statistics,
    read_task_statistics,
)
from bulkport.jobs.postgres.rows import number_of
from bulkport.jobs.reading.details import BatchStatus, JobDetails, JobLogLine
from bulkport.jobs.reading.metrics import (
    Granularity,
    JobStatistics,
    QueueActivity,
    QueueStatus,
    SeriesGroup,
    SeriesPoint,
    ServerStatus,
    TaskStatistics,
)
from bulkport.jobs.reading.query import JobCount, JobIds, JobPage, JobQuery
from bulkport.pools import AsyncPool

_MOST_LINES: Final = 1_000


class PostgresJobReader:
    """A `JobReader`.

    Parameters
    ----------
    source
        Pool of autocommit connections, each answer to be read from a snapshot of its own; or a snapshot, for all.
    most_seconds
        How long one statement may take before it is ended; a snapshot that is given has its own limit.
    silent_seconds
        Silence after which a server is shown as silent; `WorkerOptions.stalled_seconds` of the servers.
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
        self._snapshot: SnapshotSource
        if isinstance(source, Snapshot):
            self._snapshot = partial(share_snapshot, source)
        else:
            self._snapshot = partial(open_snapshot, source, most_seconds)
        self._silent_seconds = silent_seconds
        self._key = key or CursorKey()
        self._search = JobSearch(self._snapshot, self._key)

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator[Self]:
        """See `JobReader.at_one_moment`."""
        async with self._snapshot() as snapshot:
            yield type(self)(snapshot, silent_seconds=self._silent_seconds, key=self._key)

    async def search(self, query: JobQuery, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        """See `JobReader.search`."""
        return await self._search.search(query, cursor, limit)

    async def count(self, query: JobQuery, *, most: int = 10_000) -> JobCount:
        """See `JobReader.count`."""
        return await self._search.count(query, most)

    async def ids(self, query: JobQuery, *, after: str | None = None, limit: int = 500) -> JobIds:
        """See `JobReader.ids`."""
        return await self._search.ids(query, after, limit)

    async def details(self, job_id: BackgroundJobId) -> JobDetails | None:
        """See `JobReader.details`."""
        number = number_of(job_id)
        if number is None:
            return None
        async with self._snapshot() as snapshot:
            return await read_details(snapshot, number)

    async def logs(self, job_id: BackgroundJobId, *, after: int = 0, limit: int = 500) -> tuple[JobLogLine, ...]:
        """See `JobReader.logs`."""
        if not (1 <= limit <= _MOST_LINES and 0 <= after <= _MOST_LINES):
            raise InvalidJobQuery(f"there are at most {_MOST_LINES:,} lines")
        number = number_of(job_id)
        if number is None:
            return ()
        async with self._snapshot() as snapshot:
            return await read_logs(snapshot, number, after, limit)

    async def tags(self, *, limit: int = 50) -> dict[str, int]:
        """See `JobReader.tags`."""
        async with self._snapshot() as snapshot:
            return await read_tags(snapshot, limit)

    async def batches(self, *, before: int | None = None, limit: int = 50) -> tuple[BatchStatus, ...]:
        """See `JobReader.batches`."""
        async with self._snapshot() as snapshot:
            return await read_batches(snapshot, before, limit)

    async def batch(self, batch_id: int) -> BatchStatus | None:
        """See `JobReader.batch`."""
        if not 0 < batch_id <= MAX_BIGINT:
            return None
        async with self._snapshot() as snapshot:
            return await read_batch(snapshot, batch_id)

    async def statistics(self) -> JobStatistics:
        """See `JobReader.statistics`."""
        async with self._snapshot() as snapshot:
            return await read_statistics(snapshot, self._silent_seconds)

    async def series(
        self,
        granularity: Granularity,
        since: datetime,
        *,
        until: datetime | None = None,
        task: str | None = None,
        queue: str | None = None,
        percentiles: bool = False,
    ) -> list[SeriesPoint]:
        """See `JobReader.series`."""
        async with self._snapshot() as snapshot:
            return await read_series(snapshot, granularity, since, until, task, queue=queue, percentiles=percentiles)

    async def series_by(
        self, by: SeriesGroup, granularity: Granularity, since: datetime, *, until: datetime | None = None
    ) -> dict[str, list[SeriesPoint]]:
        """See `JobReader.series_by`."""
        async with self._snapshot() as snapshot:
            return await read_grouped_series(snapshot, granularity, since, until, by)

    async def queue_activity(self, window: timedelta = timedelta(minutes=5)) -> list[QueueActivity]:
        """See `JobReader.queue_activity`."""
        async with self._snapshot() as snapshot:
            return await read_queue_activity(snapshot, window)

    async def task_statistics(self, window: timedelta = timedelta(days=1)) -> list[TaskStatistics]:
        """See `JobReader.task_statistics`."""
        async with self._snapshot() as snapshot:
            return await read_task_statistics(snapshot, window)

    async def queues(self) -> list[QueueStatus]:
        """See `JobReader.queues`."""
        async with self._snapshot() as snapshot:
            return await read_queues(snapshot, self._silent_seconds)

    async def servers(self) -> list[ServerStatus]:
        """See `JobReader.servers`."""
        async with self._snapshot() as snapshot:
            return await read_servers(snapshot, self._silent_seconds)
