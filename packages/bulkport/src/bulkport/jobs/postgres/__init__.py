"""The job engine on PostgreSQL.

A job is one row, in bulkport.jobs while it waits or runs and in bulkport.finished_jobs afterwards: queue and truth in
one. What is distributed is PostgreSQL's part: row locks, transactions, notifications. Any number of workers on
any number of machines share the work, and no other server is needed.

- `sql/` has the functions of the database's side, and migrations/0001_jobs.sql its tables.
- `engine.py` is the whole of it, enqueueing included; `control.py` and `recurring.py` are what else applications call.
- `worker.py` is a worker process: `producer.py` hears of jobs and claims them, `executor.py` runs them, `outcomes.py`
  writes how they ended.
- `heartbeat.py` and `rescuer.py` find servers that have died, and put their jobs back.
- `maintenance.py` and `cron.py` do the rest: jobs that come due, recurring ones, statistics, retention.
- `reading/` is the reading side.
"""

from bulkport.jobs.postgres.engine import PostgresEngine

__all__ = ["PostgresEngine"]
