"""`Bulkport.sync`: the same calls for code without an event loop: scripts, Django views, tasks in threads."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import wraps
from typing import Any, BinaryIO, Concatenate, ParamSpec, Self, TypeVar

from bulkport.database import DEFAULT_SCHEMA
from bulkport.identifiers import AnyUserId
from bulkport.imports.calls import ImportCalls, RowError
from bulkport.imports.resource import Resource
from bulkport.imports.results import RowResult
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.enqueue import Batch
from bulkport.jobs.errors import WITHOUT_LOOP, NotConnected
from bulkport.jobs.sync import QueueHolder, SyncJobs

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class AsyncCalls(JobCalls, ImportCalls):
    """All calls about jobs and imports; what `Bulkport` is, and what `SyncCalls` runs."""


Open = Callable[[], AbstractAsyncContextManager[AsyncCalls]]
"""Creates an object connected on the event loop where it is entered."""


def _run(
    call: "Callable[Concatenate[AsyncCalls, P], Coroutine[Any, Any, R]]",
) -> "Callable[Concatenate[SyncCalls, P], R]":
    """An async call, run to its end on the event loop of the thread."""

    @wraps(call)
    def run(self: "SyncCalls", /, *args: P.args, **kwargs: P.kwargs) -> R:
        if "connection" in kwargs:
            raise TypeError("this works in a transaction of its own: only enqueueing takes a connection")
        return self._call(lambda calls: call(calls, *args, **kwargs))

    return run


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
            Concurrent connections that enqueue.
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

    get = _run(AsyncCalls.get)
    details = _run(AsyncCalls.details)
    logs = _run(AsyncCalls.logs)
    search = _run(AsyncCalls.search)
    count = _run(AsyncCalls.count)
    batch_status = _run(AsyncCalls.batch_status)
    statistics = _run(AsyncCalls.statistics)
    queues = _run(AsyncCalls.queues)
    servers = _run(AsyncCalls.servers)

    cancel = _run(AsyncCalls.cancel)
    delete = _run(AsyncCalls.delete)
    requeue = _run(AsyncCalls.requeue)
    run_now = _run(AsyncCalls.run_now)
    reschedule = _run(AsyncCalls.reschedule)
    change = _run(AsyncCalls.change)
    cancel_all = _run(AsyncCalls.cancel_all)
    delete_all = _run(AsyncCalls.delete_all)
    requeue_all = _run(AsyncCalls.requeue_all)
    run_all_now = _run(AsyncCalls.run_all_now)
    pause_queue = _run(AsyncCalls.pause_queue)
    resume_queue = _run(AsyncCalls.resume_queue)
    ask_stack = _run(AsyncCalls.ask_stack)
    pause_task = _run(AsyncCalls.pause_task)
    resume_task = _run(AsyncCalls.resume_task)
    limit_queue = _run(AsyncCalls.limit_queue)
    weigh_queue = _run(AsyncCalls.weigh_queue)

    # Imports

    import_file = _run(AsyncCalls.import_file)
    get_import = _run(AsyncCalls.get_import)
    wait_for_import = _run(AsyncCalls.wait_for_import)
    cancel_import = _run(AsyncCalls.cancel_import)
    undo_import = _run(AsyncCalls.undo_import)
    correct_row = _run(AsyncCalls.correct_row)
    retry_import = _run(AsyncCalls.retry_import)

    def import_errors(self, import_id: int) -> list[RowError]:
        """The rejected rows, in row order."""

        async def read(calls: AsyncCalls) -> list[RowError]:
            return [error async for error in calls.import_errors(import_id)]

        return self._call(read)

    def import_results(self, import_id: int) -> list[RowResult]:
        """What became of each row, in row order, of an import that was sent with `results=True`."""

        async def read(calls: AsyncCalls) -> list[RowResult]:
            return [result async for result in calls.import_results(import_id)]

        return self._call(read)

    def export(self, resource: Resource | str, file: BinaryIO, **options: Any) -> int:
        """Write what `Bulkport.export` gives to a file that is open for it. Returns how many bytes that were."""

        async def write(calls: AsyncCalls) -> int:
            size = 0
            async for part in calls.export(resource, **options):
                size += await asyncio.to_thread(file.write, part)
            return size

        return self._call(write)

    def _call(self, call: "Callable[[AsyncCalls], Coroutine[Any, Any, T]]") -> T:
        if not self._loops:
            raise NotConnected(WITHOUT_LOOP)
        return self._loops[-1].run(call)


class _LoopThread:
    """An event loop in its own thread, with its connections. It starts on first use."""

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
            # Raised where the connection was requested.
            ready.set_exception(error)
        finally:
            self._calls = None
