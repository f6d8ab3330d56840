"""`Bulkport`, the object that an application creates: resources, tasks, routes, dashboard and worker."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from bulkport.database import DEFAULT_SCHEMA
from bulkport.extras import require_extra
from bulkport.identifiers import AnyUserId, user_id_text
from bulkport.import_work import ImportWork
from bulkport.imports.declaration.check import check_resources
from bulkport.imports.declaration.mistakes import Mistake
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.runtime import ImportRuntime
from bulkport.jobs.errors import NotConnected
from bulkport.jobs.port import EngineFactory, JobEngine
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.threads import TaskThreads
from bulkport.jobs.worker import new_server_name, session_mark
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool
from bulkport.pulls.composition import part_store, source_access
from bulkport.server_parts import ServerParts
from bulkport.startup_checks import ApplicationDatabase, log_mistakes
from bulkport.sync import AsyncCalls, SyncCalls
from bulkport.worker_parts import WorkerParts
from bulkport.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from fastapi import APIRouter, Request

    from bulkport.dashboard import Access, Dashboard, JobFormat, Sessions
    from bulkport.dashboard.standard import Decide
    from bulkport.egress import EgressPolicy
    from bulkport.fastapi.idempotent import Once
    from bulkport.fastapi.route import Authenticate
    from bulkport.fastapi.write_query import Authorize
    from bulkport.pulls.stores import ObjectStore


class Bulkport(AsyncCalls):
    """Durable bulk imports and background jobs of an application, on its PostgreSQL.

    It does no input or output until it is connected. All calls about jobs and imports are methods; code without an
    event loop finds them at `sync`, and jobs by the clock are declared at `recurring`.

    Parameters
    ----------
    database_url
        Of the application's database, as PostgreSQL or SQLAlchemy writes it; or a function that returns it, for one
        that is known later.
    resources
        What can be imported.
    schema
        PostgreSQL schema of Bulkport's own tables; see `bulkport.migrations`.
    limits
        What one import may cost the server.
    worker
        How worker processes behave.
    pool_size
        Maximum connections of a server process, without those of uploads
        (`ImportLimits.max_concurrent_uploads`).
    chunk_workers
        Background jobs that work on one import of several chunks.
    egress
        Which addresses webhooks and sources may name; by default https outside of private networks.
    stores
        Object stores and folders that imports may be pulled from, by the names that requests use.
    staging
        Object store, or folder of all servers, where resumable uploads wait for their imports; None: in PostgreSQL.
    engine
        Makes the engine that stores and runs jobs. Servers and workers use the same one.

    Examples
    --------
    ::

        bulkport = Bulkport(DATABASE_URL, resources=[BOOKS])

        @bulkport.task(queue="mail")
        async def send_report(recipient: str, year: int) -> int: ...

        app = FastAPI(lifespan=bulkport.lifespan)
        app.include_router(bulkport.router(user=current_user))
        app.mount("/jobs", bulkport.dashboard(access=operators_only))

        await bulkport.enqueue(send_report, "ada@example.org", 2026)

    and, in as many processes as you like, `bulkport worker shop:bulkport`.
    """

    def __init__(
        self,
        database_url: Any,
        *,
        resources: Iterable[Resource] = (),
        schema: str = DEFAULT_SCHEMA,
        limits: ImportLimits | None = None,
        worker: WorkerSettings | None = None,
        pool_size: int = 10,
        chunk_workers: int = 2,
        egress: "EgressPolicy | None" = None,
        stores: "Mapping[str, ObjectStore] | None" = None,
        staging: "ObjectStore | None" = None,
        engine: EngineFactory = PostgresEngine,
    ) -> None:
        super().__init__(engine=engine, schema=schema)
        self._database = ApplicationDatabase(database_url, self.schema)
        self.resources = Resources(resources)
        self.limits = limits or ImportLimits()
        self.worker_settings = worker or WorkerSettings()
        self._pool_size = pool_size
        self._chunk_workers = chunk_workers
        self._egress = egress
        self._stores = dict(stores or {})
        self._staging = part_store(staging)
        self._runtimes: list[ImportRuntime] = []
        self.sync: SyncCalls = SyncCalls(self, self._connected_copy, lambda: self.database_url, schema)
        """The same calls for code without an event loop."""

    def __repr__(self) -> str:
        return f"Bulkport(resources={sorted(self.resources)}, tasks={sorted(self._tasks)}, schema={self.schema!r})"

    @property
    def database_url(self) -> str:
        """Of the database, as psycopg takes it.

        Raises
        ------
        UnusableDatabaseUrl
            It is missing or malformed.
        """
        return self._database.url

    @database_url.setter
    def database_url(self, url: Any) -> None:
        self._database = ApplicationDatabase(url, self.schema)

    @property
    def most_connections(self) -> int:
        """Maximum number of connections to PostgreSQL of one server process and one worker process together."""
        of_worker = WorkerParts(self.schema, self.worker_settings).most_connections
        return self._pool_size + self.limits.max_concurrent_uploads + of_worker

    # In the application

    def router(
        self,
        user: "Authenticate",
        *,
        authorize: "Authorize | None" = None,
        job_id_name: str = "backgroundJobId",
    ) -> "APIRouter":
        """Routes of imports: `/{resource}/bulk`, `/{resource}/export`, `/imports`, `/uploads` and `/webhooks`.

        Their errors are problems (RFC 9457); those of the application's other routes stay as they are.

        Parameters
        ----------
        user
            FastAPI dependency that returns the id of the request's user (text, a UUID or an integer), or raises.
        authorize
            Says whether a user may import: called with user id, resource and mode, plain or async. None: everyone may.
        job_id_name
            What answers call the id of an import's background job.
        """
        require_extra("fastapi", "fastapi")
        # Imported lazily: a worker needs no web framework, which takes a second and 20 MiB.
        from bulkport.fastapi.router import import_routes  # noqa: PLC0415

        return import_routes(
            self.resources,
            self._runtime,
            user,
            authorize=authorize,
            job_id_name=job_id_name,
            access=source_access(self._egress, self._stores),
            egress=self._egress,
        )

    def once(self, request: "Request", user_id: AnyUserId) -> "Once":
        """Carry out a change of the application's own route once per `Idempotency-Key` of its requests."""
        from bulkport.fastapi.idempotent import Once  # noqa: PLC0415

        return Once(request, user_id_text(user_id), self._runtime())

    def dashboard(
        self,
        access: "Access | Decide",
        *,
        title: str = "Background jobs",
        masked_names: Sequence[str] | None = None,
        audit_keep: timedelta | None = timedelta(days=365),
        public_url: str | None = None,
        sessions: "Sessions | None" = None,
        links: Mapping[str, str] | None = None,
        job_format: "JobFormat | None" = None,
    ) -> "Dashboard":
        """The dashboard over imports and jobs, to be mounted: `app.mount("/jobs", bulkport.dashboard(access=…))`.

        Parameters
        ----------
        access
            Who may see it and who may act: what `bulkport.dashboard` has ready, or a function of the request, async or
            not, that returns a `Viewer`, an operator's name, or None for those who may not even know of it.
        title
            Name of the application.
        masked_names
            Arguments of jobs whose values are not shown; by default those that sound like secrets.
        audit_keep
            Retention of the audit log; None for ever.
        public_url
            Its address as browsers know it, where a proxy hides that; with https, cookies are `Secure`.
        sessions
            Those that `access` begins, for the page that lists and ends them.
        links
            Addresses that every page leads to, by their names: the application's own, the dashboards of others.
        job_format
            Shows arguments and results as short texts, and links jobs to pages elsewhere.
        """
        from bulkport.dashboard.standard import standard_dashboard  # noqa: PLC0415 # as in router

        return standard_dashboard(
            self,
            self.resources,
            self.opened_pool,
            access=access,
            title=title,
            masked_names=masked_names,
            audit_keep=audit_keep,
            public_url=public_url,
            sessions=sessions,
            limits=self.limits,
            retention=self.worker_settings.retention,
            links=links,
            job_format=job_format,
        )

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Connect for the lifetime of an application: `FastAPI(lifespan=bulkport.lifespan)`.

        An application with its own lifespan enters this one inside it: `async with bulkport.lifespan(app): yield`.
        Raises what `connect` raises, and logs mistakes in the declarations of resources.
        """
        async with self.connect():
            await log_mistakes(self.opened_pool(), self.resources)
            yield

    @asynccontextmanager
    async def connect(self, *, pool: AsyncPool | None = None, check: bool = True) -> AsyncIterator[Self]:
        """Connect to the database for the duration of the context, for scripts and lifespans.

        A database that cannot be reached yet is not an error: until it can, the routes respond 503.

        Parameters
        ----------
        pool
            Open pool of autocommit connections to share; by default one is made.
        check
            Whether to look that the database has the tables that are needed.

        Raises
        ------
        MigrationsMissing
            It does not; the message says what to run.
        UnsupportedEncoding
            The database is not in UTF-8.
        UnusableDatabaseUrl, DatabaseRefused
            The URL is missing or malformed, or its user, password or database is wrong.
        """
        async with AsyncExitStack() as stack:
            opening = ServerParts(self.database_url, self.schema, self.limits, self._staging)
            if check:
                await (self._database.check_at_start() if pool is None else self._database.check_tables(pool))
            if pool is None:
                pool = await stack.enter_async_context(opening.pool(self._pool_size))
            engine = self._make_engine(pool)
            runtime = await stack.enter_async_context(opening.runtime(pool, engine, self._chunk_workers))
            self._enter(stack, pool, engine, runtime)
            yield self

    @asynccontextmanager
    async def _connected_copy(self) -> AsyncIterator[AsyncCalls]:
        """The same declarations, connected on another event loop than those that this object may be connected on."""
        twin = copy(self)
        vars(twin).update(_links=self._links[:1], _runtimes=[])
        async with twin.connect():
            yield twin

    def _enter(self, stack: AsyncExitStack, pool: AsyncPool, engine: JobEngine, runtime: ImportRuntime | None) -> None:
        link = pool, engine
        self._links.append(link)
        stack.callback(self._links.remove, link)
        if runtime is not None:
            self._runtimes.append(runtime)
            stack.callback(self._runtimes.remove, runtime)

    # In worker processes

    async def run_worker(
        self,
        stop: asyncio.Event,
        *,
        queues: Sequence[str] | None = None,
        settings: WorkerSettings | None = None,
        name: str | None = None,
    ) -> None:
        """Run jobs and imports until `stop` is set; running ones finish first, or return to their queue.

        Parameters
        ----------
        queues
            Queues to serve; None: all. Imports are in `imports`, webhooks in `webhooks`.
        settings
            In place of those that the object was made with.
        name
            Of the server, unique among all servers, also over time; None: one is made. See `rescue`.

        Raises
        ------
        MigrationsMissing, UnsupportedEncoding, UnusableDatabaseUrl, DatabaseRefused
            See `connect`.
        """
        url, options, server_name = self.database_url, settings or self.worker_settings, name or new_server_name()
        mark = session_mark(server_name)
        threads = TaskThreads(options.concurrency)
        async with AsyncExitStack() as stack:
            if not self.sync.is_connected:
                most = options.concurrency
                stack.enter_context(self.sync.connect(url, most=most, application_name=mark))
            stack.callback(threads.close)
            await self._database.check_at_start()
            pool = await stack.enter_async_context(WorkerParts(self.schema, options).pool(url, mark))
            engine = self.engine_for_worker(pool, threads)
            self._enter(stack, pool, engine, None)
            access = source_access(self._egress, self._stores)
            work = ImportWork(self.resources, self.limits, options, access, self._egress, self._staging)
            work.add_tasks(pool, engine, chunk_workers=self._chunk_workers)
            await log_mistakes(self.opened_pool(), self.resources)
            async with work.running(pool, engine):
                await options.server(engine, url, name=server_name, queues=queues, schema=self.schema).run(stop)

    async def rescue(self, server_name: str) -> None:
        """Return the jobs of a worker that is known to be dead to their queues, at once.

        Raises
        ------
        psycopg.Error
            The database is away; living workers then find out by themselves.
        """
        async with await self._database.connect() as connection:
            await self._make_engine().rescue([server_name], connection)

    @property
    def uploads_under_way(self) -> int:
        """The number of long bodies that this server process is receiving."""
        return self._runtime().intake.slots.taken if self._runtimes else 0

    def upload_pool_stats(self) -> dict[str, int]:
        """Statistics of the connections that store long bodies, as `psycopg_pool` names them."""
        return self._runtime().intake.upload_pool_stats() if self._runtimes else {}

    async def check(self) -> list[Mistake]:
        """Mistakes in the declarations of resources, measured against the tables; empty: they fit.

        Raises
        ------
        MigrationsMissing, UnsupportedEncoding, UnusableDatabaseUrl, DatabaseRefused
            See `connect`.
        psycopg.OperationalError
            The database cannot be reached.
        """
        async with await self._database.connect() as connection:
            await self._database.check(connection)
            return await check_resources(connection, self.resources.values())

    def _runtime(self) -> ImportRuntime:
        if not self._runtimes:
            raise NotConnected
        return self._runtimes[-1]

    def opened_pool(self) -> AsyncPool:
        """The pool of database connections, while connected; autocommit.

        Raises
        ------
        NotConnected
            It is not.
        """
        if self._pool is None:
            raise NotConnected
        return self._pool
