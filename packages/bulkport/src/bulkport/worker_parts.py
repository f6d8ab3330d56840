"""The parts of a worker process that exist while it is connected to its database."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from bulkport.imports.process import WHOLE_WRITES
from bulkport.pools import AsyncPool, open_pool, prefer_indexes
from bulkport.worker_settings import WorkerSettings

_ENGINE_CONNECTIONS: Final = 6
"""For claims, outcomes, the heartbeat, rescue, maintenance and notifications."""
_SPARE_CONNECTIONS: Final = 4


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """Opens the parts of a worker process."""

    schema: str
    settings: WorkerSettings

    @property
    def pool_size(self) -> int:
        """Most connections of its pool: for chunks, for strict imports that are written whole, and for running jobs."""
        return self.settings.chunk_slots + WHOLE_WRITES + self.settings.concurrency + _SPARE_CONNECTIONS

    @property
    def most_connections(self) -> int:
        """Most connections of the process, with those of its engine and of sync tasks."""
        return self.pool_size + self.settings.concurrency + _ENGINE_CONNECTIONS

    def pool(self, database_url: str, application_name: str) -> AbstractAsyncContextManager[AsyncPool]:
        """Connections for chunks and jobs."""
        return open_pool(
            database_url,
            name="worker",
            most=self.pool_size,
            application_name=application_name,
            configure=prefer_indexes,
            schema=self.schema,
        )
