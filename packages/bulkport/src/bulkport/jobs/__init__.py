"""Background jobs: work that is queued in a database transaction and done in worker processes.

    bulkport = Bulkport(DATABASE_URL)

    @bulkport.task(queue="mail", retry=RetryPolicy(max_attempts=5))
    async def send_report(context: JobContext, recipient: str) -> int: ...

    async with bulkport.connect():                                                 # in the application
        await bulkport.enqueue(send_report, "ada@example.org")
        await bulkport.enqueue(send_report, "ada@example.org", connection=session)    # in a transaction of yours

    await bulkport.run_worker(stop)                                                # in a worker process

What a task may rely on: it runs at least once if the enqueueing transaction commits; an error runs it again by its
`RetryPolicy`; `RetryLater` runs it again without an error; a worker that dies has its jobs taken over by others.
A task that must take effect once writes its effect in one transaction that records that it happened.

`JobCalls` (`calls.py`) is what `Bulkport` is as far as jobs go. Below it is the port (`port/`), all that is asked of a
job engine; `postgres/` is the engine behind it. `WorkerServer` (`worker.py`) is what a worker process runs. `task.py`
declares tasks, `enqueue.py` makes jobs of their calls; `inspect.py` and `control.py` are what applications ask of jobs
and do to them.
"""

from bulkport.jobs.context import JobCancelled, JobContext, StopRequested, TaskDefinition
from bulkport.jobs.enqueue import Batch
from bulkport.jobs.job import BackgroundJob, JobState, JSONValue
from bulkport.jobs.port import EngineFactory, EnqueuedJob, JobEngine, Outcome, WorkerOptions
from bulkport.jobs.port.control import Effect, OrderResult, OrderSummary
from bulkport.jobs.port.engine import RetentionPolicy
from bulkport.jobs.port.metrics import Granularity
from bulkport.jobs.port.query import JobPage, JobQuery, JobSort
from bulkport.jobs.retry import NO_RETRY, FinalError, RetryLater, RetryPolicy
from bulkport.jobs.task import JobCall, JobOptions, Task
from bulkport.jobs.worker import run_until_signal, stop_on_signals

__all__ = [
    "NO_RETRY",
    "BackgroundJob",
    "Batch",
    "Effect",
    "EngineFactory",
    "EnqueuedJob",
    "FinalError",
    "Granularity",
    "JSONValue",
    "JobCall",
    "JobCancelled",
    "JobContext",
    "JobEngine",
    "JobOptions",
    "JobPage",
    "JobQuery",
    "JobSort",
    "JobState",
    "OrderResult",
    "OrderSummary",
    "Outcome",
    "RetentionPolicy",
    "RetryLater",
    "RetryPolicy",
    "StopRequested",
    "Task",
    "TaskDefinition",
    "WorkerOptions",
    "run_until_signal",
    "stop_on_signals",
]
