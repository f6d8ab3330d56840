"""How a worker process carries imports out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bulkport.imports.process import AttemptPolicy
from bulkport.imports.retention import ImportRetention
from bulkport.jobs.port import JobEngine, WorkerOptions
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
    """Concurrent chunks. With two, one is decoded while PostgreSQL writes the other."""
    heartbeat_seconds: float = 3.0
    stalled_seconds: float = 12.0
    """Time without a heartbeat after which a worker counts as dead and its jobs are taken over."""
    shutdown_seconds: float = 20.0
    """Grace for running jobs when the worker is asked to stop."""
    poll_seconds: float = 1.0
    """How often to look for jobs of which no notification came."""
    blocked_seconds: float = 2.0
    """A task that keeps the event loop to itself for so long is reported in the log."""
    listen_url: str | None = None
    """Where to hear of new jobs, if the database's URL leads to a pooler in transaction mode: a URL of PostgreSQL
    itself, as psycopg takes it. Without notifications jobs are polled: often while there are some, at last every
    `poll_seconds`."""
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
        options = WorkerOptions(
            url,
            name,
            schema=schema,
            queues=queues,
            concurrency=self.concurrency,
            heavy=self.heavy,
            heartbeat_seconds=self.heartbeat_seconds,
            stalled_seconds=self.stalled_seconds,
            shutdown_seconds=self.shutdown_seconds,
            poll_seconds=self.poll_seconds,
            blocked_seconds=self.blocked_seconds,
            listen_url=self.listen_url,
            retention=self.retention,
        )
        return WorkerServer(engine, options)
