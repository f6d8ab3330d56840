"""The job engine on PostgreSQL.

A job is one row, in bulkport.jobs while it waits or runs and in bulkport.finished_jobs afterwards: queue and truth in
one. What is distributed is PostgreSQL's part: row locks, transactions, notifications. Any number of workers on
any number of machines share the work, and no other server is needed.

- `sql/` has the functions of the database's side, and migrations/0001_jobs.sql its tables.
- `engine.py` is the whole of it, enqueueing included; `control.py` and `recurring.py` are what else applications call.
- `worker.py` is a worker process. `producer.py` hears of jobs and claims them, `executor.py` runs them, `completer.py`
  writes their outcomes, `run_output.py` their progress, log lines and checkpoints.
- `heartbeat.py` and `rescuer.py` find servers that have died, and put their jobs back.
- `maintenance.py` releases jobs that come due, settles batches, rolls up statistics and prunes; `cron.py` makes the
  jobs of recurring ones.
- `reading/` is the reading side.

Those who know River find its producer, job executor, completer, rescuer, and periodic job enqueuer (`cron.py`); its
scheduler and cleaner are in `maintenance.py`, its notifier in `producer.py`. Of Oban: Queue.Producer and
Queue.Executor, Stager and Pruner (`maintenance.py`), Lifeline (`rescuer.py`), Cron, Notifier (`producer.py`), Engine.
"""

from bulkport.jobs.postgres.engine import PostgresEngine

__all__ = ["PostgresEngine"]
