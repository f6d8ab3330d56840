"""The job engine on Procrastinate; the only package that imports it.

Procrastinate stores, orders and locks jobs, notifies workers and runs them (`Worker`). Around it this package puts
what keeps jobs from being lost or doubled:

- `engine.py` is the port; `enqueueing.py` puts new jobs down as the database takes them.
- `tables.sql` and `functions/` are the database's side: background_jobs is the truth about a job, and every step of
  one is a function that changes it together with Procrastinate's row. Procrastinate's own queue holds only jobs that
  may run now.
- `session.py` runs one worker; `connector.py` and `link.py` carry it over a restart of PostgreSQL.
- `ledger.py` claims jobs under a lease and writes outcomes fenced, so that a worker that was given up for dead
  cannot touch a job that has gone on without it.
- `execution.py` runs a task and decides what its end comes to (`outcomes.py`).
- `housekeeping.py` does the chores: releasing jobs that came due, statistics, retention, recurring jobs.
- `pulse.py` keeps the lease; `silence.py` and `rescue.py` find the dead and take their jobs over. `loop_watch.py`
  sees tasks that block the event loop.
- `control.py`, `reading/`, `batches.py` and `recurring_store.py` are the other parts of the port, which `engine.py`
  hands out; `borrowing.py` has the connection that their calls work on. `schema.py` is the migration.

Nothing but Bulkport's workers may run jobs of these tables: a plain Procrastinate worker holds no lease, so its
running jobs would count as lost.
"""

from bulkport.jobs.procrastinate_engine.engine import ProcrastinateEngine
from bulkport.jobs.procrastinate_engine.schema import drop_schema_sql, schema_sql

__all__ = ["ProcrastinateEngine", "drop_schema_sql", "schema_sql"]
