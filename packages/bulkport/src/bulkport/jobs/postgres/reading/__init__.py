"""The reading side of the port on PostgreSQL.

- `reader.py` is the whole of it, `snapshot.py` what each call reads from.
- `queries.py` has the statements that find jobs; `search.py` makes pages of what they find, `cursors.py` their
  cursors.
- `details.py`, `statistics.py` and `servers.py` read one job, numbers, and queues and servers.
"""

from bulkport.jobs.postgres.reading.reader import PostgresJobReader

__all__ = ["PostgresJobReader"]
