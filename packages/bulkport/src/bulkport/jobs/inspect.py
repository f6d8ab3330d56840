"""What is asked about jobs, queues and servers, as an application asks it."""

from datetime import datetime, timedelta
from typing import Protocol

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.port.details import BatchStatus, JobDetails, JobLogLine
from bulkport.jobs.port.metrics import (
    Granularity,
    JobStatistics,
    QueueActivity,
    QueueStatus,
    SeriesGroup,
    SeriesPoint,
    ServerStatus,
    TaskStatistics,
)
from bulkport.jobs.port.query import JobCount, JobPage, JobQuery
from bulkport.jobs.port.reading import JobReader
from bulkport.sanitize import storable_text


class InspectCalls(Protocol):
    """Questions; a part of `BackgroundJobs`. Parameters and errors are those of `JobReader`."""

    @property
    def reader(self) -> JobReader:
        """Answers them all."""
        ...

    async def search(self, query: JobQuery, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        """A page of the jobs that a query finds; `next_cursor` of it leads to the next."""
        return await self.reader.search(query, cursor=cursor, limit=limit)

    async def count(self, query: JobQuery, *, most: int = 10_000) -> JobCount:
        """How many jobs a query finds, counted up to `most`.

        Raises
        ------
        InvalidJobQuery
            `most` is no number of jobs.
        """
        return await self.reader.count(query, most=most)

    async def details(self, job_id: BackgroundJobId) -> JobDetails | None:
        """A job with all that is kept of it; None when there is no such job."""
        return await self.reader.details(job_id)

    async def logs(self, job_id: BackgroundJobId, *, after: int = 0, limit: int = 500) -> tuple[JobLogLine, ...]:
        """Lines that a job logged, from the one after line `after` on."""
        return await self.reader.logs(job_id, after=after, limit=limit)

    async def batch_status(self, batch_id: int) -> BatchStatus | None:
        """How far a batch has come; None when there is no such batch."""
        return await self.reader.batch(batch_id)

    async def statistics(self) -> JobStatistics:
        """All jobs in numbers; cheap enough to ask every second."""
        return await self.reader.statistics()

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
        """What happened second by second, minute by minute, hour by hour or day by day, without gaps."""
        # A name that cannot be stored is no task's.
        task, queue = (None if name is None else storable_text(name) for name in (task, queue))
        return await self.reader.series(
            granularity, since, until=until, task=task, queue=queue, percentiles=percentiles
        )

    async def series_by(
        self, by: SeriesGroup, granularity: Granularity, since: datetime, *, until: datetime | None = None
    ) -> dict[str, list[SeriesPoint]]:
        """As `series`, taken apart by task or queue."""
        return await self.reader.series_by(by, granularity, since, until=until)

    async def queue_activity(self, window: timedelta = timedelta(minutes=5)) -> list[QueueActivity]:
        """What each queue's jobs came to lately."""
        return await self.reader.queue_activity(window)

    async def tags(self, *, limit: int = 50) -> dict[str, int]:
        """The most frequent tags among those of the latest jobs."""
        return await self.reader.tags(limit=limit)

    async def batches(self, *, before: int | None = None, limit: int = 50) -> tuple[BatchStatus, ...]:
        """Batches, newest first."""
        return await self.reader.batches(before=before, limit=limit)

    async def task_statistics(self, window: timedelta = timedelta(days=1)) -> list[TaskStatistics]:
        """What each task's jobs came to lately."""
        return await self.reader.task_statistics(window)

    async def queues(self) -> list[QueueStatus]:
        """Every queue that has or had a job."""
        return await self.reader.queues()

    async def servers(self) -> list[ServerStatus]:
        """Every server, with what it runs."""
        return await self.reader.servers()
