"""The engine port: all that Bulkport asks of a job engine.

An engine stores background jobs in PostgreSQL and runs them in worker processes. Application code holds a
`JobEngine`; which engine it is decides only the line that makes it, or the `EngineFactory` that `Bulkport` is
given.

- `queueing.py`: jobs are queued, alone and in batches
- `reading.py`: jobs, queues, servers and statistics are read
- `control.py`: jobs, queues and servers are controlled
- `recurring.py`: jobs that come again and again
- `engine.py`: jobs are run, and the whole of the port

Examples
--------
In the caller's own transaction, so that a rolled-back request leaves no job behind::

    async with pool.connection() as connection, connection.transaction():
        await connection.execute("INSERT INTO reports …")
        job_id = await engine.enqueue(connection, NewJob("send_report", {"recipient": "ada@example.org"}))
"""

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.context import JobContext, TaskDefinition
from bulkport.jobs.job import DEFAULT_QUEUE, BackgroundJob, JobState, JSONValue
from bulkport.jobs.port.engine import EngineFactory, JobEngine, WorkerOptions
from bulkport.jobs.port.queueing import Connection, EnqueuedJob, JobQueue, NewJob, Outcome, Parent
from bulkport.jobs.retry import NO_RETRY, FinalError, RetryLater, RetryPolicy

__all__ = [
    "DEFAULT_QUEUE",
    "NO_RETRY",
    "BackgroundJob",
    "BackgroundJobId",
    "Connection",
    "EngineFactory",
    "EnqueuedJob",
    "FinalError",
    "JSONValue",
    "JobContext",
    "JobEngine",
    "JobQueue",
    "JobState",
    "NewJob",
    "Outcome",
    "Parent",
    "RetryLater",
    "RetryPolicy",
    "TaskDefinition",
    "WorkerOptions",
]
