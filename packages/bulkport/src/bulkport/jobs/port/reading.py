"""Reads jobs: lists, single jobs and statistics.

Each call reads one snapshot of the database and writes nothing; `at_one_moment` has several read the same.

Examples
--------
The failed jobs of a task since Monday, page by page::

    query = JobQuery(states={JobState.FAILED}, task="send_report", finished_since=monday)
    page = await reader.search(query)
    while page.next_cursor is not None:
        page = await reader.search(query, cursor=page.next_cursor)
"""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol, Self

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.port.details import BatchStatus, JobDetails, JobLogLine
from bulkport.jobs.port.metrics import (
    Granularity,
    JobStatistics,
    PausedTask,
    QueueActivity,
    QueueStatus,
    SeriesGroup,
    SeriesPoint,
    ServerStatus,
    TaskStatistics,
)
from bulkport.jobs.port.query import JobCount, JobIds, JobPage, JobQuery


class JobReader(Protocol):
    """Reads background jobs, queues, servers and statistics."""

    def at_one_moment(self) -> AbstractAsyncContextManager[Self]:
        """A reader whose results all come from one snapshot, taken with the first; cheaper than single reads, too.

        Its calls come one after another, on a connection that is its own while the context lasts. None may follow one
        that has failed.
        """
        ...

    async def search(self, query: JobQuery, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        """A page of the jobs that a query finds.

        Parameters
        ----------
        cursor
            `next_cursor` or `previous_cursor` of another page of the same sort; None: the first page.
        limit
            Jobs on the page, 1 to 500.

        Raises
        ------
        InvalidCursor
            The cursor is not one of such a page.
        InvalidJobQuery
            `limit` is out of bounds.
        SearchTookTooLong
            No index covers this combination well enough.
        """
        ...

    async def count(self, query: JobQuery, *, most: int = 10_000) -> JobCount:
        """The number of jobs that a query finds, counted up to `most`.

        Raises
        ------
        InvalidJobQuery
            `most` is less than 1.
        SearchTookTooLong
            As of `search`.
        """
        ...

    async def ids(self, query: JobQuery, *, after: str | None = None, limit: int = 500) -> JobIds:
        """Some of the ids of the jobs that a query finds, from the oldest job to the youngest.

        For working through all of them: a walk along `next_cursor` meets each job at most once, and ends: jobs that
        were created after it began are not part of it. As with a page, there may be few or no ids and yet more to come.

        Raises
        ------
        InvalidCursor
            `after` is not the `next_cursor` of such a walk.
        InvalidJobQuery
            `limit` is not within 1 to 500.
        SearchTookTooLong
            As of `search`.
        """
        ...

    async def details(self, job_id: BackgroundJobId, *, most_args_bytes: int | None = None) -> JobDetails | None:
        """A job with all details; None if there is no such job.

        Parameters
        ----------
        most_args_bytes
            Arguments that take more room as they are stored are left out; None: whatever their size.
        """
        ...

    async def logs(self, job_id: BackgroundJobId, *, after: int = 0, limit: int = 500) -> tuple[JobLogLine, ...]:
        """At most `limit` log lines of a job, starting after line `after`.

        Raises
        ------
        InvalidJobQuery
            `limit` or `after` is out of bounds.
        """
        ...

    async def tags(self, *, limit: int = 50) -> dict[str, int]:
        """The most frequent tags among those of the latest jobs, with the number of their jobs there."""
        ...

    async def batches(self, *, before: int | None = None, limit: int = 50) -> tuple[BatchStatus, ...]:
        """Batches, newest first, starting after the batch `before`."""
        ...

    async def batch(self, batch_id: int) -> BatchStatus | None:
        """The progress of a batch; None if there is no such batch."""
        ...

    async def statistics(self) -> JobStatistics:
        """Statistics of all jobs. Exact, and as cheap with a million jobs as with none."""
        ...

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
        """A time series of jobs, from the step of `since` to that of `until`, without gaps.

        Parameters
        ----------
        since
            Aware. Before `granularity.retention` the steps are empty.
        until
            Aware; None: now.
        task, queue
            Of this task, or of jobs of this queue, only.
        percentiles
            Also read durations and latencies, which takes longer.

        Raises
        ------
        InvalidJobQuery
            These are more than 5,000 steps, or a time has no zone.
        """
        ...

    async def series_by(
        self, by: SeriesGroup, granularity: Granularity, since: datetime, *, until: datetime | None = None
    ) -> dict[str, list[SeriesPoint]]:
        """Like `series`, by task, queue or server; without durations and latencies.

        By server, there are minutes and hours, with succeeded and failed jobs.
        """
        ...

    async def queue_activity(self, window: timedelta = timedelta(minutes=5)) -> list[QueueActivity]:
        """What each queue's jobs came to within the last `window`, by name of the queue; otherwise as
        `task_statistics`."""
        ...

    async def task_statistics(self, window: timedelta = timedelta(days=1)) -> list[TaskStatistics]:
        """Statistics of each task's jobs within the last `window`, by name of the task.

        The window is widened to whole steps, of which it has at most some 200 and at least one.

        Raises
        ------
        InvalidJobQuery
            The window has no length.
        """
        ...

    async def queues(self) -> list[QueueStatus]:
        """Every queue that has or had a job, by name."""
        ...

    async def paused_tasks(self) -> list[PausedTask]:
        """Every task that is paused, by name."""
        ...

    async def servers(self) -> list[ServerStatus]:
        """Every server, by name, with its running jobs."""
        ...
