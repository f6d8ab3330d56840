"""Background work: jobs that are queued in a database transaction and run in worker processes.

The port (`port.py`) is all that the rest of Bulkport knows of a job engine: queue a job in a given transaction,
schedule, cancel, look up, and run a worker. `procrastinate_engine` is the engine behind it, and the only package
that imports Procrastinate. `WorkerServer` (`worker.py`) is what a worker process runs.

    engine = ProcrastinateEngine(pool)
    engine.add_task(TaskDefinition("send_report", send_report, RetryPolicy(max_attempts=5)))

    async with pool.connection() as connection, connection.transaction():
        await engine.enqueue(connection, "send_report", {"recipient": "ada@example.org"})

    await WorkerServer(engine, database_url).run(stop)          # in a worker process

What a task may rely on: it runs at least once if the enqueueing transaction commits; an error runs it again by its
`RetryPolicy`; `RetryLater` runs it again without an error; a worker that dies has its jobs taken over by others.
A task that must take effect once writes its effect in one transaction that tells whether it happened already.
"""

from bulkport.background.jobs import BackgroundJob, JobState, JSONValue
from bulkport.background.port import JobEngine, WorkerOptions
from bulkport.background.retries import NO_RETRY, RetryLater, RetryPolicy
from bulkport.background.tasks import JobContext, TaskDefinition

__all__ = [
    "NO_RETRY",
    "BackgroundJob",
    "JSONValue",
    "JobContext",
    "JobEngine",
    "JobState",
    "RetryLater",
    "RetryPolicy",
    "TaskDefinition",
    "WorkerOptions",
]
