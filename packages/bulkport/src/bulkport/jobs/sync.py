"""Background jobs for code without an event loop."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, Protocol, Self, overload

import psycopg

from bulkport.database import DEFAULT_SCHEMA, cursor_classes, in_schema
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import SyncConnection, await_in_greenlet, despite_deadlocks_sync, sync_psycopg_in
from bulkport.jobs.enqueue import On, call_of, new_job, only_new, parents_of, scheduled_job
from bulkport.jobs.errors import WITHOUT_LOOP, NotConnected
from bulkport.jobs.port import EnqueuedJob, JobQueue, NewJob, Outcome
from bulkport.jobs.port.queueing import CallerlessQueue
from bulkport.jobs.task import JobCall, Task
from bulkport.pools import SyncPool, patient_conninfo, prepare_nothing_if_pooled, restore_sync

P = ParamSpec("P")

_ACQUIRE_SECONDS: Final = 10.0


class QueueHolder(Protocol):
    """Has the queue that takes jobs."""

    @property
    def queue(self) -> JobQueue | CallerlessQueue:
        """What takes jobs."""
        ...

    @property
    def needs_connection(self) -> bool:
        """Whether it does so in a transaction."""
        ...


class SyncJobs:
    """Enqueues jobs without an event loop; a part of `Bulkport.sync`.

    Each call takes `connection=`: psycopg's, or SQLAlchemy's session or connection on psycopg. Without it there must
    be a pool: see `connect`. Parameters and errors are those of the method of the same name of `Bulkport`.
    """

    def __init__(self, calls: QueueHolder, schema: str = DEFAULT_SCHEMA) -> None:
        self._calls = calls
        self._schema = schema
        self._pools: list[SyncPool] = []
        """Of all current connections; the last is used. Threads disconnect in any order."""

    @property
    def is_connected(self) -> bool:
        """Whether it can do without `connection=`."""
        return bool(self._pools)

    @contextmanager
    def connect(
        self, database_url: str | None = None, *, most: int = 4, application_name: str | None = None
    ) -> Iterator[Self]:
        """Be connected to the database for as long as the context lasts. There are no connections until needed.

        Parameters
        ----------
        most
            Maximum connections.
        application_name
            What PostgreSQL calls them; None: what the URL says.
        """
        if database_url is None:
            raise NotConnected("give connect() the database's URL")
        pool = SyncPool(
            patient_conninfo(database_url),
            kwargs={"autocommit": True, "cursor_factory": cursor_classes(self._schema)[0]}
            | ({"application_name": application_name} if application_name else {}),
            min_size=0,
            max_size=most,
            timeout=_ACQUIRE_SECONDS,
            reconnect_timeout=_ACQUIRE_SECONDS,
            check=SyncPool.check_connection,
            configure=prepare_nothing_if_pooled,
            reset=restore_sync,
            open=False,
            name="jobs",
        )
        self._pools.append(pool)
        try:
            yield self
        finally:
            self._pools.remove(pool)
            pool.close()

    @overload
    def enqueue(self, call: JobCall, /, *, connection: "SyncConnection | None" = None) -> BackgroundJobId: ...

    @overload
    def enqueue(self, task: Task[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> BackgroundJobId: ...

    @overload
    def enqueue(
        self, task: Task[..., Any], /, *args: Any, connection: "SyncConnection", **kwargs: Any
    ) -> BackgroundJobId: ...

    def enqueue(self, call: JobCall | Task[..., Any], /, *args: Any, **kwargs: Any) -> BackgroundJobId:
        """Queue a job."""
        connection = kwargs.pop("connection", None)
        return only_new(self._enqueue([new_job(call_of(call, args, kwargs))], connection))

    def schedule(
        self,
        call: JobCall | Task[..., Any],
        /,
        *args: Any,
        at: datetime | None = None,
        in_: float | timedelta | None = None,
        connection: "SyncConnection | None" = None,
        **kwargs: Any,
    ) -> BackgroundJobId:
        """Queue a job for later."""
        return only_new(self._enqueue([scheduled_job(call_of(call, args, kwargs), at, in_)], connection))

    def continue_with(
        self,
        parents: BackgroundJobId | Iterable[BackgroundJobId],
        call: JobCall,
        *,
        on: On = Outcome.SUCCEEDED,
        connection: "SyncConnection | None" = None,
    ) -> BackgroundJobId:
        """Queue a job that runs when others have ended."""
        return only_new(self._enqueue([new_job(call_of(call, (), {}), parents=parents_of(parents, on))], connection))

    def enqueue_many(
        self, calls: Iterable[JobCall], *, connection: "SyncConnection | None" = None
    ) -> list[EnqueuedJob]:
        """Enqueue any number of jobs, all or none."""
        return self._enqueue([new_job(call_of(call, (), {})) for call in calls], connection)

    def _enqueue(self, jobs: list[NewJob], connection: "SyncConnection | None") -> list[EnqueuedJob]:
        queue: Any = self._calls.queue
        if not self._calls.needs_connection:
            return list(queue.enqueue_many_sync(None, jobs))
        if connection is not None:
            given = sync_psycopg_in(connection, self._schema)
            with in_schema(given, self._schema):
                if isinstance(given, psycopg.Connection):
                    return list(queue.enqueue_many_sync(given, jobs))
                return list(await_in_greenlet(queue.enqueue_many(given, jobs)))
        if not self._pools:
            raise NotConnected(WITHOUT_LOOP)
        pool = self._pools[-1]
        pool.connect_first()

        def enqueue() -> list[EnqueuedJob]:
            with pool.connection() as own:
                return list(queue.enqueue_many_sync(own, jobs))

        return despite_deadlocks_sync(enqueue)
