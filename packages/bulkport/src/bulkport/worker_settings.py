"""How a worker process carries imports out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bulkport.imports.process import AttemptPolicy
from bulkport.imports.retention import ImportRetention
from bulkport.jobs.port import JobEngine
from bulkport.jobs.port.engine import DEFAULT_RETENTION, RetentionPolicy
from bulkport.jobs.worker import WorkerServer


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Settings of a worker process. Times are in seconds."""

    concurrency: int = 20
    """Concurrent background jobs."""
    heavy: bool = True
    """Whether the process runs heavy tasks: imports of more than 200 rows, and tasks that are declared as heavy. One
    that does not is free for what is short, however many rows the other processes work on."""
    chunk_slots: int = 2
    """Chunks at one time. Two let one decode while PostgreSQL writes the other."""
    heartbeat_seconds: float = 3.0
    stalled_seconds: float = 12.0
    """Time without a heartbeat after which a worker counts as dead and its jobs are taken over."""
    shutdown_seconds: float = 20.0
    """Grace for running jobs when the worker is asked to stop."""
    poll_seconds: float = 1.0
    """How often to look for jobs of which no notification came."""
    retention: RetentionPolicy = DEFAULT_RETENTION
    """How long finished background jobs are kept."""
    import_retention: ImportRetention = field(default_factory=ImportRetention)
    """How long imports are kept that have ended."""
    attempts: AttemptPolicy = field(default_factory=AttemptPolicy)
    """How often an import that makes no progress is tried."""

    def server(
        self, engine: JobEngine, url: str, *, name: str, queues: Sequence[str] | None, schema: str
    ) -> WorkerServer:
        """The server of an engine that behaves so."""
        return WorkerServer(
            engine,
            url,
            queues=queues,
            concurrency=self.concurrency,
            heavy=self.heavy,
            name=name,
            heartbeat_seconds=self.heartbeat_seconds,
            stalled_seconds=self.stalled_seconds,
            shutdown_seconds=self.shutdown_seconds,
            poll_seconds=self.poll_seconds,
            retention=self.retention,
            schema=schema,
        )
