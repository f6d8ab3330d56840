"""The parts of a server process that exist while it is connected to its database."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from bulkport.imports.body.part_store import PartStore
from bulkport.imports.ingest import Intake
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.watch import ImportWatch
from bulkport.jobs.port import JobEngine
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool, open_pool, prefer_indexes, share_of_user
from bulkport.runtime import server_is_stopping


@dataclass(frozen=True, slots=True)
class ServerParts:
    """Opens the parts of a server process."""

    database_url: str
    schema: str
    limits: ImportLimits
    staging: PartStore | None = None

    def pool(self, most: int) -> AbstractAsyncContextManager[AsyncPool]:
        """Connections for short statements, at most `most`."""
        wait = self.limits.database_wait_seconds
        return open_pool(
            self.database_url,
            name="bulkport",
            most=most,
            acquire_seconds=wait,
            schema=self.schema,
            user_share=share_of_user(most),
        )

    @asynccontextmanager
    async def runtime(self, pool: AsyncPool, engine: JobEngine, chunk_workers: int) -> AsyncIterator[ImportRuntime]:
        """What the routes of imports need."""
        async with open_pool(
            self.database_url,
            name="uploads",
            most=self.limits.max_concurrent_uploads,
            least=0,
            acquire_seconds=self.limits.database_wait_seconds,
            configure=prefer_indexes,
            schema=self.schema,
        ) as uploads:
            intake = Intake(engine, pool, uploads, self.limits, chunk_workers)
            watch = ImportWatch(pool, is_stopping=server_is_stopping)
            try:
                yield ImportRuntime(pool, intake, engine, watch, intake.row_security, self.staging)
            finally:
                watch.close()
