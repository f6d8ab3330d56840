"""The import work of a worker process: its tasks and its background maintenance."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bulkport.extras import has_extra
from bulkport.imports.body.part_store import PartStore
from bulkport.imports.expiration import ExpirationPruner
from bulkport.imports.process import Importer
from bulkport.imports.resource import Resources
from bulkport.imports.retention import ImportPruner
from bulkport.imports.worker.watchdog import Watchdog
from bulkport.jobs.port import JobEngine
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool
from bulkport.pulls.access import SourceAccess
from bulkport.pulls.composition import open_puller
from bulkport.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from bulkport.egress import EgressPolicy


@dataclass(frozen=True, slots=True)
class ImportWork:
    """The work of imports in one worker process."""

    resources: Resources
    limits: ImportLimits
    settings: WorkerSettings
    access: SourceAccess
    egress: "EgressPolicy | None"
    staging: PartStore | None = None
    """Where the bytes of uploads wait; None: in the database."""

    def add_tasks(self, pool: AsyncPool, engine: JobEngine, *, chunk_workers: int) -> None:
        """Let the engine run the jobs of imports."""
        settings = self.settings
        puller = open_puller(pool, engine, self.resources, self.limits, self.access, chunk_workers=chunk_workers)
        importer = Importer(
            self.resources,
            pool,
            fetch_body=puller.pull,
            policy=settings.attempts,
            chunk_slots=settings.chunk_slots,
            job_slots=settings.concurrency,
            max_reported_rows=self.limits.max_reported_rows,
        )
        for definition in importer.tasks():
            engine.add_task(definition)

    @asynccontextmanager
    async def running(self, pool: AsyncPool, engine: JobEngine) -> AsyncIterator[None]:
        """Watch over imports, remove what is old and send webhooks for as long as the context lasts."""
        async with AsyncExitStack() as stack:
            if has_extra("webhooks"):
                # They need packages that jobs and imports do not.
                from bulkport.egress import Egress, EgressPolicy  # noqa: PLC0415
                from bulkport.webhooks.deliver import Deliverer  # noqa: PLC0415
                from bulkport.webhooks.dispatch import Dispatcher  # noqa: PLC0415

                engine.add_task(Deliverer(pool, Egress(self.egress or EgressPolicy())).task())
                await stack.enter_async_context(Dispatcher(pool, engine).running())
            await stack.enter_async_context(Watchdog(pool, engine).running())
            left = ExpirationPruner(pool, idempotency_seconds=self.limits.idempotency_seconds, store=self.staging)
            await stack.enter_async_context(left.running())
            await stack.enter_async_context(ImportPruner(pool, self.settings.import_retention).running())
            yield
