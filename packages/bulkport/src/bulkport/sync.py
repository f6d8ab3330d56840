"""`Bulkport.sync`: the same calls for code without an event loop: scripts, Django views, tasks in threads."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, Self, TypeVar

from bulkport.database import DEFAULT_SCHEMA
from bulkport.identifiers import AnyUserId, BackgroundJobId, ImportId
from bulkport.imports.calls import ImportCalls, RowError
from bulkport.imports.cancel import CancelEffect
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.given_file import FileContent
from bulkport.imports.options import ReadingOptions
from bulkport.imports.read import ImportJob
from bulkport.imports.resource import Resource
from bulkport.imports.write_options import WriteMode
from bulkport.jobs.batches import Batch
from bulkport.jobs.control import ControlCalls
from bulkport.jobs.errors import WITHOUT_LOOP, NotConnected
from bulkport.jobs.inspect import InspectCalls
from bulkport.jobs.job import BackgroundJob
from bulkport.jobs.port.control import OrderResult, OrderSummary
from bulkport.jobs.port.details import JobDetails, JobLogLine
from bulkport.jobs.port.query import JobCount, JobPage, JobQuery
from bulkport.jobs.sync import QueueHolder, SyncJobs

T = TypeVar("T")


class AsyncCalls(ControlCalls, InspectCalls, ImportCalls, Protocol):
    """The calls that `SyncCalls` makes."""

    async def get(self, job_id: BackgroundJobId) -> BackgroundJob | None:
        """See `Bulkport.get`."""
        ...

    async def queue_batch(self, batch: Batch) -> None:
        """See `JobCalls.queue_batch`."""
        ...


Open = Callable[[], AbstractAsyncContextManager[AsyncCalls]]
"""Gives an object of its own that is connected on the event loop where it is entered."""


class SyncCalls(SyncJobs):
    """Enqueues, looks up and controls jobs, and imports files, without an event loop; it is `Bulkport.sync`.

    Parameters and errors are those of the method of the same name of `Bulkport`. Enqueueing takes `connection=`; all
    else works in transactions of its own, on an event loop in a thread that starts with the first such call.

    Examples
    --------
    >>> with bulkport.sync.connect() as sync:
    ...     job_id = sync.enqueue(send_report, "ada@example.org", 2026)
    ...     sync.cancel(job_id)
    """

    def __init__(
        self, calls: QueueHolder, open_calls: Open, url: Callable[[], str], schema: str = DEFAULT_SCHEMA
    ) -> None:
        super().__init__(calls, schema)
        self._open = open_calls
        self._url = url
        self._loops: list[_LoopThread] = []

    @contextmanager
    def connect(
        self, database_url: str | None = None, *, most: int = 4, application_name: str | None = None
    ) -> Iterator[Self]:
        """Be connected to the database for as long as the context lasts. There are no connections until needed.

        Parameters
        ----------
        database_url
            None: that of the `Bulkport`.
        most
            Connections at one time that enqueue.
        application_name
            What PostgreSQL calls them; None: what the URL says.
        """
        loop = _LoopThread(self._open)
        with super().connect(database_url or self._url(), most=most, application_name=application_name):
            self._loops.append(loop)
            try:
                yield self
            finally:
                self._loops.remove(loop)
                loop.close()

    # Jobs

    @contextmanager
    def batch(self, description: str | None = None, *, user_id: AnyUserId | None = None) -> Iterator[Batch]:
        """Collect jobs, and queue them at the end of the block: all, or none if it raises."""
        batch = Batch(description, user_id)
        yield batch
        self._call(lambda calls: calls.queue_batch(batch))

    def get(self, job_id: BackgroundJobId) -> BackgroundJob | None:
        """The job as it stands now; None when there is no such job (any more)."""
        return self._call(lambda calls: calls.get(job_id))

    def details(self, job_id: BackgroundJobId) -> JobDetails | None:
        """A job with all that is kept of it."""
        return self._call(lambda calls: calls.details(job_id))

    def logs(self, job_id: BackgroundJobId, *, after: int = 0, limit: int = 500) -> tuple[JobLogLine, ...]:
        """Lines that a job logged."""
        return self._call(lambda calls: calls.logs(job_id, after=after, limit=limit))

    def search(self, query: JobQuery, *, cursor: str | None = None, limit: int = 50) -> JobPage:
        """A page of the jobs that a query finds."""
        return self._call(lambda calls: calls.search(query, cursor=cursor, limit=limit))

    def count(self, query: JobQuery, *, most: int = 10_000) -> JobCount:
        """How many jobs a query finds."""
        return self._call(lambda calls: calls.count(query, most=most))

    def cancel(self, job_id: BackgroundJobId, *, reason: str | None = None, actor: str | None = None) -> OrderResult:
        """End a job."""
        return self._call(lambda calls: calls.cancel(job_id, reason=reason, actor=actor))

    def delete(self, job_id: BackgroundJobId, *, reason: str | None = None, actor: str | None = None) -> OrderResult:
        """Cancel a job also if it has ended."""
        return self._call(lambda calls: calls.delete(job_id, reason=reason, actor=actor))

    def requeue(self, job_id: BackgroundJobId, *, reason: str | None = None, actor: str | None = None) -> OrderResult:
        """Run a job again that has ended."""
        return self._call(lambda calls: calls.requeue(job_id, reason=reason, actor=actor))

    def run_now(self, job_id: BackgroundJobId, *, reason: str | None = None, actor: str | None = None) -> OrderResult:
        """Have a job run at once that waits for its time or its next attempt."""
        return self._call(lambda calls: calls.run_now(job_id, reason=reason, actor=actor))

    def reschedule(
        self,
        job_id: BackgroundJobId,
        *,
        at: datetime | None = None,
        in_: float | timedelta | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> OrderResult:
        """Have a job that has not begun wait for another time."""
        return self._call(lambda calls: calls.reschedule(job_id, at=at, in_=in_, reason=reason, actor=actor))

    def change(
        self,
        job_id: BackgroundJobId,
        *,
        priority: int | None = None,
        queue: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> OrderResult:
        """Give a job that has not begun another priority or queue."""
        return self._call(
            lambda calls: calls.change(job_id, priority=priority, queue=queue, reason=reason, actor=actor)
        )

    def cancel_all(self, query: JobQuery, *, reason: str | None = None, actor: str | None = None) -> OrderSummary:
        """`cancel` all jobs that a query finds."""
        return self._call(lambda calls: calls.cancel_all(query, reason=reason, actor=actor))

    def requeue_all(self, query: JobQuery, *, reason: str | None = None, actor: str | None = None) -> OrderSummary:
        """`requeue` all jobs that a query finds."""
        return self._call(lambda calls: calls.requeue_all(query, reason=reason, actor=actor))

    def pause_queue(self, name: str, *, actor: str | None = None) -> None:
        """Let no job of a queue start until it is resumed."""
        self._call(lambda calls: calls.pause_queue(name, actor=actor))

    def resume_queue(self, name: str, *, actor: str | None = None) -> None:
        """Let a paused queue go on."""
        self._call(lambda calls: calls.resume_queue(name, actor=actor))

    # Imports

    def import_file(
        self,
        resource: Resource | str,
        content: FileContent,
        *,
        user: AnyUserId,
        format: BodyFormat | str | None = None,  # noqa: A002 # as Bulkport.import_file
        mode: WriteMode | str | None = None,
        dry_run: bool = False,
        results: bool = False,
        handling: Handling | str | None = None,
        reading: ReadingOptions | None = None,
        context: Mapping[str, Any] | None = None,
        name: str | None = None,
        client_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: Sequence[str] = (),
        file_name: str | None = None,
        start_at: datetime | None = None,
    ) -> ImportId:
        """Store a file and queue its import."""
        return self._call(
            lambda calls: calls.import_file(
                resource,
                content,
                user=user,
                format=format,
                mode=mode,
                dry_run=dry_run,
                results=results,
                handling=handling,
                reading=reading,
                context=context,
                name=name,
                client_id=client_id,
                metadata=metadata,
                tags=tags,
                file_name=file_name,
                start_at=start_at,
            )
        )

    def get_import(self, import_id: int) -> ImportJob | None:
        """An import as it stands now; None when there is no such import (any more)."""
        return self._call(lambda calls: calls.get_import(import_id))

    def wait_for_import(self, import_id: int, *, timeout_seconds: float = 60.0) -> ImportJob:
        """An import once it has ended, or as it stands after `timeout_seconds`."""
        return self._call(lambda calls: calls.wait_for_import(import_id, timeout_seconds=timeout_seconds))

    def import_errors(self, import_id: int) -> list[RowError]:
        """The rows that were not imported, in their order."""

        async def read(calls: AsyncCalls) -> list[RowError]:
            return [error async for error in calls.import_errors(import_id)]

        return self._call(read)

    def cancel_import(self, import_id: int) -> CancelEffect:
        """End an import; chunks in hand are finished first."""
        return self._call(lambda calls: calls.cancel_import(import_id))

    def _call(self, call: "Callable[[AsyncCalls], Coroutine[Any, Any, T]]") -> T:
        if not self._loops:
            raise NotConnected(WITHOUT_LOOP)
        return self._loops[-1].run(call)


class _LoopThread:
    """An event loop in a thread of its own, with what is connected on it. It starts when something is to be run."""

    def __init__(self, open_calls: Open) -> None:
        self._open = open_calls
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: AsyncCalls | None = None
        self._end: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def run(self, call: "Callable[[AsyncCalls], Coroutine[Any, Any, T]]") -> T:
        """Run a call to its end.

        Raises
        ------
        MigrationsMissing, UnusableDatabaseUrl
            See `Bulkport.connect`.
        """
        loop, calls = self._connected()
        return asyncio.run_coroutine_threadsafe(call(calls), loop).result()

    def close(self) -> None:
        """End the thread, and its connections."""
        if self._thread is not None and self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def _connected(self) -> tuple[asyncio.AbstractEventLoop, AsyncCalls]:
        with self._lock:
            if self._calls is None:
                self._start()
            assert self._loop is not None
            assert self._calls is not None
            return self._loop, self._calls

    def _start(self) -> None:
        ready: Future[None] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="bulkport.sync", daemon=True)
        thread.start()
        ready.result()
        self._thread = thread

    async def _serve(self, ready: "Future[None]") -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._open() as calls:
                self._calls = calls
                ready.set_result(None)
                await self._end.wait()
        except BaseException as error:
            if ready.done():
                raise
            # Raised where the connection was asked for.
            ready.set_exception(error)
        finally:
            self._calls = None
