"""What an application makes one of: its resources with routes to import them and workers that carry imports out."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from psycopg import AsyncConnection

from bulkport.egress import Egress, EgressPolicy
from bulkport.errors import ServiceUnavailable
from bulkport.fastapi.app_state import Connected
from bulkport.fastapi.stopping import server_is_stopping
from bulkport.imports.ingest import Intake
from bulkport.imports.process import IMPORT_QUEUE, WHOLE_WRITES, Importer
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.retention import ImportPruner
from bulkport.imports.watch import ImportWatch
from bulkport.imports.watchdog import Watchdog
from bulkport.jobs.application_name import session_mark
from bulkport.jobs.port import EngineFactory
from bulkport.jobs.procrastinate_engine import ProcrastinateEngine
from bulkport.jobs.worker import WorkerServer, new_server_name
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool, open_pool, prefer_indexes
from bulkport.webhooks.deliver import WEBHOOK_QUEUE, Deliverer
from bulkport.webhooks.dispatch import Dispatcher
from bulkport.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from fastapi import APIRouter

    from bulkport.fastapi.bulk import Authenticate


class Bulkport:
    """Durable bulk imports for a FastAPI application.

    Parameters
    ----------
    resources:
        What can be imported.
    limits:
        What one import may cost the server.
    lanes:
        Background jobs that work on one import of several chunks.
    egress:
        Which addresses webhooks may name; by default https outside of private networks.
    engine:
        Makes the engine that stores and runs the imports' background jobs. Server and workers use the same one.

    Examples
    --------
    In the web server::

        bulkport = Bulkport([PRODUCTS])

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with bulkport.connect(DATABASE_URL):
                yield

        app = FastAPI(lifespan=lifespan)
        app.add_middleware(EdgeMiddleware, private_path="/api")
        problems.install(app)
        app.include_router(bulkport.router(authenticate=current_user))

    In a worker process::

        await bulkport.run_worker(DATABASE_URL, stop)
    """

    def __init__(
        self,
        resources: Iterable[Resource],
        *,
        limits: ImportLimits | None = None,
        lanes: int = 2,
        egress: EgressPolicy | None = None,
        engine: EngineFactory = ProcrastinateEngine,
    ) -> None:
        self.resources = Resources(resources)
        self.limits = limits or ImportLimits()
        self._lanes = lanes
        self._egress = egress or EgressPolicy()
        self._make_engine = engine
        self._connected: Connected | None = None

    def router(self, authenticate: "Authenticate") -> "APIRouter":
        """Routes of the bulk endpoints and of `/api/imports`.

        Parameters
        ----------
        authenticate:
            FastAPI dependency that returns the request's user id (text), or raises.
        """
        # Imported when asked for: a worker process needs no web framework, which takes a second and 20 MiB.
        from fastapi import APIRouter  # noqa: PLC0415

        from bulkport.fastapi.bulk import bulk_router  # noqa: PLC0415
        from bulkport.fastapi.describe import describe_router  # noqa: PLC0415
        from bulkport.fastapi.export import export_router  # noqa: PLC0415
        from bulkport.fastapi.imports import import_router  # noqa: PLC0415
        from bulkport.fastapi.uploads import upload_router  # noqa: PLC0415
        from bulkport.fastapi.webhooks import webhook_router  # noqa: PLC0415

        router = APIRouter()
        for resource in self.resources.values():
            for make_router in (bulk_router, describe_router, export_router):
                router.include_router(make_router(resource, self._get_connected, authenticate))
        router.include_router(import_router(self.resources, self._get_connected, authenticate))
        router.include_router(webhook_router(self._get_connected, authenticate, self._egress))
        router.include_router(upload_router(self._get_connected, authenticate))
        return router

    @asynccontextmanager
    async def connect(self, database_url: str, *, pool: AsyncPool | None = None) -> AsyncIterator[Self]:
        """Be connected to the database for as long as the context lasts; the routes answer 503 outside of it.

        Parameters
        ----------
        pool:
            Open pool of autocommit connections to share; by default one is made.
        """
        async with (
            self._pool_or_own(pool, database_url) as shared,
            open_pool(
                database_url,
                name="uploads",
                most=self.limits.max_concurrent_uploads,
                least=0,
                acquire_seconds=self.limits.database_wait_seconds,
                configure=prefer_indexes,
            ) as uploads,
        ):
            intake = Intake(self._make_engine(), shared, uploads, self.limits, self._lanes)
            watch = ImportWatch(shared, is_stopping=server_is_stopping)
            self._connected = Connected(shared, intake, watch)
            try:
                yield self
            finally:
                self._connected = None
                watch.close()

    async def run_worker(
        self,
        database_url: str,
        stop: asyncio.Event,
        *,
        settings: WorkerSettings | None = None,
        server_name: str | None = None,
    ) -> None:
        """Carry imports out until `stop` is set.

        Parameters
        ----------
        server_name:
            Unique among all servers, also over time; None: one is made. See `rescue`.
        """
        options = settings or WorkerSettings()
        name = server_name or new_server_name()
        async with open_pool(
            database_url,
            name="worker",
            most=options.chunk_slots + WHOLE_WRITES + 4,
            application_name=session_mark(name),
            configure=prefer_indexes,
        ) as pool:
            engine = self._make_engine(pool)
            importer = Importer(
                self.resources,
                pool,
                policy=options.attempts,
                chunk_slots=options.chunk_slots,
                job_slots=options.concurrency,
            )
            for task in (*importer.tasks(), Deliverer(pool, Egress(self._egress)).task()):
                engine.add_task(task)
            server = WorkerServer(
                engine,
                database_url,
                # An application's own jobs are for the workers that know its tasks.
                queues=[IMPORT_QUEUE, WEBHOOK_QUEUE],
                concurrency=options.concurrency,
                name=name,
                heartbeat_seconds=options.heartbeat_seconds,
                stalled_seconds=options.stalled_seconds,
                shutdown_seconds=options.shutdown_seconds,
                retention=options.retention,
            )
            async with (
                Watchdog(pool, engine).beside(),
                Dispatcher(pool, engine).beside(),
                ImportPruner(pool, options.import_retention).beside(),
            ):
                await server.run(stop)

    async def rescue(self, database_url: str, server_name: str) -> None:
        """Give the jobs of a worker that is known to be dead back to their queues, now.

        Raises
        ------
        psycopg.Error
            If the database is away; living workers then find out by themselves.
        """
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await self._make_engine().rescue([server_name], connection)

    def _get_connected(self) -> Connected:
        if self._connected is None:
            raise ServiceUnavailable
        return self._connected

    @asynccontextmanager
    async def _pool_or_own(self, pool: AsyncPool | None, database_url: str) -> AsyncIterator[AsyncPool]:
        if pool is not None:
            yield pool
            return
        async with open_pool(
            database_url, name="imports", most=10, acquire_seconds=self.limits.database_wait_seconds
        ) as own:
            yield own
