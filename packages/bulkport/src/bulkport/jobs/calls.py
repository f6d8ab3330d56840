"""The calls of an application on its background jobs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

import psycopg

from bulkport.database import DEFAULT_SCHEMA, in_schema, schema_name
from bulkport.identifiers import AnyUserId, BackgroundJobId
from bulkport.jobs.connections import (
    AnyConnection,
    borrow,
    despite_deadlocks,
    psycopg_in,
)
from bulkport.jobs.context import JobContext
from bulkport.jobs.control import ControlCalls
from bulkport.jobs.enqueue import Batch, On, call_of, new_job, only_new, parents_of, scheduled_job
from bulkport.jobs.errors import NotConnected, TaskAlreadyDeclared
from bulkport.jobs.inspect import InspectCalls
from bulkport.jobs.port import BackgroundJob, EngineFactory, EnqueuedJob, JobEngine, NewJob, Outcome
from bulkport.jobs.port.control import JobControl
from bulkport.jobs.port.queueing import CallerlessQueue, JobQueue
from bulkport.jobs.port.reading import JobReader
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.recurring import RecurringJobs
from bulkport.jobs.sync import SyncJobs
from bulkport.jobs.task import DeclarationOptions, JobCall, Task, TaskDecorator, declared_task
from bulkport.jobs.threads import TaskThreads
from bulkport.pools import AsyncPool

P = ParamSpec("P")
R = TypeVar("R")


class JobCalls(ControlCalls, InspectCalls):
    """Declares tasks, and enqueues, schedules, inspects and controls their jobs.

    It does no input or output until it is connected; code without an event loop uses `sync`.

    Parameters
    ----------
    engine
        Makes the engine that stores and runs the jobs, once for each connected time and each worker.
    schema
        Where Bulkport's tables are.
    """

    def __init__(self, *, engine: EngineFactory = PostgresEngine, schema: str = DEFAULT_SCHEMA) -> None:
        self.schema = schema_name(schema)
        self._make_engine: EngineFactory = partial(engine, schema=self.schema)
        self._links: list[tuple[AsyncPool | None, JobEngine]] = [(None, self._make_engine())]
        """Of all current connections; the last is used. They close in any order, such as a worker before the server."""
        self._tasks: dict[str, Task[..., Any]] = {}
        self._queue: CallerlessQueue | None = None
        """Takes jobs in place of the engine; see `enqueueing_to`."""
        self.sync: SyncJobs = SyncJobs(self, schema)
        """The enqueueing calls for code without an event loop."""
        self.recurring = RecurringJobs(lambda: self._engine.recurring)
        """Jobs that are made again and again, by the clock."""

    def engine_for_worker(self, pool: AsyncPool | None, threads: TaskThreads) -> JobEngine:
        """An engine that knows the tasks and the recurring jobs that are declared here, to be run by a worker.

        Parameters
        ----------
        threads
            Where sync tasks run.
        """
        engine = self._make_engine(pool)
        for task in self._tasks.values():
            engine.add_task(task.definition(threads))
        for recurring in self.recurring.declared:
            engine.recurring.declare(recurring)
        return engine

    @property
    def _pool(self) -> AsyncPool | None:
        return self._links[-1][0]

    @property
    def _engine(self) -> JobEngine:
        return self._links[-1][1]

    @contextmanager
    def enqueueing_to(self, queue: CallerlessQueue) -> Iterator[None]:
        """Have another queue than the engine's take jobs for as long as the context lasts; for tests."""
        before, self._queue = self._queue, queue
        try:
            yield
        finally:
            self._queue = before

    @property
    def queue(self) -> JobQueue | CallerlessQueue:
        """What takes jobs."""
        return self._queue or self._engine

    @property
    def needs_connection(self) -> bool:
        """Whether jobs are enqueued in a transaction."""
        return self._queue is None

    # Declaring tasks

    @overload
    def task(self, function: Callable[Concatenate[JobContext, P], R], /) -> Task[P, R]: ...

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...

    @overload
    def task(self, **options: Unpack[DeclarationOptions]) -> TaskDecorator: ...

    def task(  # type: ignore[misc] # mypy takes it for too narrow; any options do get through
        self, function: Callable[..., Any] | None = None, /, **options: Any
    ) -> Any:
        """Declare a task: a decorator, bare or with options; see `DeclarationOptions`.

        A coroutine function runs on the worker's event loop, any other in a thread of the worker. A parameter
        annotated `JobContext` is filled in when a job runs; as the first one, it is left out of the types of calls.

        Raises
        ------
        TaskDeclarationError
            There is a parameter that no job could fill.
        TaskAlreadyDeclared
            Its name is taken.
        ValueError
            An option cannot be used.
        """
        if function is None:
            return lambda decorated: self._declare(decorated, options)
        return self._declare(function, options)

    def _declare(self, function: Callable[..., Any], options: Mapping[str, Any]) -> Task[..., Any]:
        task = declared_task(function, options)
        if task.name in self._tasks:
            raise TaskAlreadyDeclared(f"the task {task.name} is already declared")
        self._tasks[task.name] = task
        return task

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks that are declared in this process, by name."""
        return self._tasks

    # Enqueueing

    @overload
    async def enqueue(self, call: JobCall, /, *, connection: "AnyConnection | None" = None) -> BackgroundJobId: ...

    @overload
    async def enqueue(self, task: Task[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> BackgroundJobId: ...

    @overload
    async def enqueue(
        self, task: Task[..., Any], /, *args: Any, connection: "AnyConnection", **kwargs: Any
    ) -> BackgroundJobId: ...

    async def enqueue(self, call: JobCall | Task[..., Any], /, *args: Any, **kwargs: Any) -> BackgroundJobId:
        """Enqueue a job, given as a call or as a task and its arguments; a free worker starts it at once.

        Parameters
        ----------
        connection
            The caller's connection of psycopg or asyncpg, or a session or connection of SQLAlchemy or SQLModel on
            either: the job starts when its transaction commits, and never if it rolls back.

        Raises
        ------
        ArgumentsDoNotFit
            The arguments do not fit the task.
        JobAlreadyQueued
            A job with its unique key is waiting; the caller's transaction stays usable.
        """
        connection = kwargs.pop("connection", None)
        return only_new(await self._enqueue([new_job(call_of(call, args, kwargs))], connection))

    async def schedule(
        self,
        call: JobCall | Task[..., Any],
        /,
        *args: Any,
        at: datetime | None = None,
        in_: float | timedelta | None = None,
        connection: "AnyConnection | None" = None,
        **kwargs: Any,
    ) -> BackgroundJobId:
        """Enqueue a job that starts no earlier than `at` (aware), or `in_` seconds from now; otherwise like `enqueue`.

        Raises
        ------
        ValueError
            Both or neither are given, or what is given is no such time.
        """
        job = scheduled_job(call_of(call, args, kwargs), at, in_)
        return only_new(await self._enqueue([job], connection))

    async def enqueue_many(
        self, calls: Iterable[JobCall], *, connection: "AnyConnection | None" = None
    ) -> list[EnqueuedJob]:
        """Enqueue any number of jobs, all or none.

        Returns
        -------
        What became of each, in their order: its id, and whether it is new or a job with its unique key was waiting.
        """
        return await self._enqueue([new_job(call_of(call, (), {})) for call in calls], connection)

    async def continue_with(
        self,
        parents: BackgroundJobId | Iterable[BackgroundJobId],
        call: JobCall,
        *,
        on: On = Outcome.SUCCEEDED,
        connection: "AnyConnection | None" = None,
    ) -> BackgroundJobId:
        """Enqueue a job that runs once another job, or all of several, have finished.

        Parameters
        ----------
        on
            How they must have ended: succeeded, failed, or finished for either. If that can no longer be, the job is
            cancelled.

        Raises
        ------
        ParentNotFound
            One of them does not exist (any more).
        """
        job = new_job(call_of(call, (), {}), parents=parents_of(parents, on))
        return only_new(await self._enqueue([job], connection))

    @asynccontextmanager
    async def batch(
        self,
        description: str | None = None,
        *,
        user_id: AnyUserId | None = None,
        connection: "AnyConnection | None" = None,
    ) -> AsyncIterator[Batch]:
        """Collect jobs, and queue them at the end of the block: all, or none if it raises.

        Parameters
        ----------
        description, user_id
            Its purpose and user, for display.
        connection
            An async one; see `enqueue`.

        Raises
        ------
        JobAlreadyQueued
            A job with the unique key of one of them is waiting.
        """
        batch = Batch(description, user_id)
        yield batch
        await self.queue_batch(batch, connection=connection)

    async def queue_batch(self, batch: Batch, *, connection: "AnyConnection | None" = None) -> None:
        """Queue a batch whose jobs are collected; `batch` does so at the end of its block."""
        if self._queue is not None:
            await batch.queue(self._queue, None)
            return
        inner = None if connection is None else await psycopg_in(connection, self.schema)
        if isinstance(inner, psycopg.Connection):
            raise TypeError("a batch is queued through an async connection, or without one")

        async def queue() -> None:
            async with borrow(self._pool, inner) as used, used.transaction():
                with in_schema(used, self.schema):
                    await batch.queue(self._engine, used)

        await despite_deadlocks(queue, is_ours=inner is None)

    async def _enqueue(self, jobs: list[NewJob], connection: "AnyConnection | None") -> list[EnqueuedJob]:
        if self._queue is not None:
            return await self._queue.enqueue_many(None, jobs)

        if connection is None:
            return await despite_deadlocks(partial(self._enqueue_alone, jobs))
        used = await psycopg_in(connection, self.schema)
        with in_schema(used, self.schema):
            if isinstance(used, psycopg.Connection):
                # In a thread: the connection would keep the event loop waiting.
                return await asyncio.to_thread(self._engine.enqueue_many_sync, used, jobs)
            return await self._engine.enqueue_many(used, jobs)

    async def _enqueue_alone(self, jobs: list[NewJob]) -> list[EnqueuedJob]:
        """Enqueue in a separate transaction."""
        async with borrow(self._pool) as own:
            return await self._engine.enqueue_many(own, jobs)

    async def get(self, job_id: BackgroundJobId, *, connection: "AnyConnection | None" = None) -> BackgroundJob | None:
        """The job's current state; None if it does not exist (any more)."""
        if self._queue is not None and (found := self._queue.get(job_id)) is not None:
            return found
        return await self._engine.look_up(job_id, connection)

    @property
    def reader(self) -> JobReader:
        """Queries about jobs, queues and servers.

        Raises
        ------
        RuntimeError
            Not connected.
        """
        if self._pool is None:
            raise NotConnected
        return self._engine.reader

    @property
    def control(self) -> JobControl:
        """Carries out orders to jobs, queues and servers."""
        return self._engine.control
