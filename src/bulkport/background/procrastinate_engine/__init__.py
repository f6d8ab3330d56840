"""The job engine on Procrastinate; the only package that imports it.

Procrastinate stores, orders and locks jobs, notifies workers and runs them (`Worker`). Around it this package puts
what keeps jobs from being lost or doubled:

- `engine.py` is the port: enqueue, schedule, cancel, look up, rescue.
- `session.py` runs one worker; `connector.py` and `link.py` carry it over a restart of PostgreSQL.
- `ledger.py` claims jobs under a lease and writes outcomes fenced, so that a worker that was given up for dead
  cannot touch a job that has gone on without it.
- `execution.py` runs a task and decides about retries.
- `pulse.py` keeps the lease; `silence.py` and `rescue.py` find the dead and take their jobs over.
- `queries.py` has every SQL statement, `schema.py` the tables.

Nothing but Bulkport's workers may run jobs of these tables: a plain Procrastinate worker holds no lease, so its
running jobs would count as lost.
"""

from bulkport.background.procrastinate_engine.engine import ProcrastinateEngine
from bulkport.background.procrastinate_engine.schema import drop_schema_sql, schema_sql

__all__ = ["ProcrastinateEngine", "drop_schema_sql", "schema_sql"]
