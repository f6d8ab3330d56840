"""Every SQL statement of the adapter.

Procrastinate's tables are read, and their rows locked, but written only through Procrastinate's functions.
A statement that moves a job on is fenced: it first locks the job's row where `worker_id` and `attempts` are still
those of the run it speaks for, so that neither a repeated statement (its first answer was lost) nor a worker that
was given up for dead can move a job that has gone on without it. The lock is taken in a MATERIALIZED common table
expression because PostgreSQL may evaluate a select list before it locks the row.
"""

from typing import Final, LiteralString

from psycopg import sql

ENQUEUE: Final[LiteralString] = """
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
    %s::varchar, %s::varchar, %s::integer, %s::text, %s::text, %s::jsonb, %s::timestamptz
)]::procrastinate_job_to_defer_v1[]))
"""

ENQUEUE_CALL: Final = sql.SQL("""
(procrastinate_defer_jobs_v1(ARRAY[
    ROW({queue}, {task}, 0, NULL, NULL, {args}, NULL)
]::procrastinate_job_to_defer_v1[]))[1]
""")

CANCEL: Final[LiteralString] = "SELECT procrastinate_cancel_job_v1(%s::bigint, true, false)"

LOOK_UP: Final[LiteralString] = """
SELECT job.task_name, job.queue_name, job.args, job.status::text, job.scheduled_at,
       job.scheduled_at > now(), job.priority, COALESCE(failure.failures, 0), failure.error
FROM procrastinate_jobs job LEFT JOIN background_failures failure ON failure.job_id = job.id
WHERE job.id = %s
"""

# A server that comes back under its name takes its own lease over; what it ran before is then nobody's.
REGISTER: Final[LiteralString] = """
INSERT INTO background_servers (worker_id, name, host, process_id, queues, concurrency)
SELECT worker.worker_id, %(name)s, %(host)s, %(process_id)s, %(queues)s::text[], %(concurrency)s
FROM procrastinate_register_worker_v1() AS worker
ON CONFLICT (name) DO UPDATE SET
    worker_id = EXCLUDED.worker_id, host = EXCLUDED.host, process_id = EXCLUDED.process_id,
    queues = EXCLUDED.queues, concurrency = EXCLUDED.concurrency, started_at = now(), last_heartbeat = now()
RETURNING worker_id
"""

UNREGISTER: Final[LiteralString] = "DELETE FROM background_servers WHERE worker_id = %(worker_id)s"

# No row: the lease is gone.
HEARTBEAT: Final[LiteralString] = """
WITH lease AS (
    UPDATE background_servers SET last_heartbeat = now() WHERE worker_id = %s RETURNING worker_id
)
SELECT procrastinate_update_heartbeat_v1(worker_id) FROM lease
"""

# No row: the lease is gone. A row of NULLs: nothing to do.
FETCH: Final[LiteralString] = """
SELECT job.id, job.status, job.task_name, job.priority, job.lock, job.queueing_lock, job.args,
       job.scheduled_at, job.queue_name, job.attempts, job.worker_id
FROM background_servers server
CROSS JOIN LATERAL procrastinate_fetch_job_v2(%(queues)s::varchar[], server.worker_id) AS job
WHERE server.worker_id = %(worker_id)s
"""

FINISH: Final[LiteralString] = """
WITH run AS MATERIALIZED (
    SELECT id FROM procrastinate_jobs
    WHERE id = %(job_id)s AND status = 'doing' AND worker_id = %(worker_id)s AND attempts = %(attempts)s
    FOR UPDATE
)
SELECT id, procrastinate_finish_job_v1(id, %(status)s::procrastinate_job_status, false)::text FROM run
"""

# Back to the queue; a job whose cancellation was requested meanwhile ends instead. Procrastinate notifies workers
# of new jobs only, so a job that may start at once is announced here.
RUN_AGAIN: Final[LiteralString] = """
WITH run AS MATERIALIZED (
    SELECT id, queue_name, abort_requested FROM procrastinate_jobs
    WHERE id = %(job_id)s AND status = 'doing' AND worker_id = %(worker_id)s AND attempts = %(attempts)s
    FOR UPDATE
)
SELECT id,
       CASE WHEN abort_requested THEN procrastinate_finish_job_v1(id, 'aborted', false)::text
            ELSE procrastinate_retry_job_v2(
                id, now() + make_interval(secs => %(delay)s), %(priority)s::integer, NULL, NULL)::text
       END,
       CASE WHEN %(delay)s = 0 THEN pg_notify('procrastinate_queue_v1#' || queue_name, announcement)::text
            || pg_notify('procrastinate_any_queue_v1', announcement)::text END
FROM run, LATERAL (SELECT json_build_object('type', 'job_inserted', 'job_id', id)::text) AS notice (announcement)
"""

FAILURES: Final[LiteralString] = "SELECT failures FROM background_failures WHERE job_id = %(job_id)s"

RECORD_FAILURE: Final[LiteralString] = """
INSERT INTO background_failures AS failure (job_id, failures, error, failed_at)
SELECT id, %(failures)s, %(error)s, now() FROM procrastinate_jobs
WHERE id = %(job_id)s AND status = 'doing' AND worker_id = %(worker_id)s AND attempts = %(attempts)s
ON CONFLICT (job_id) DO UPDATE
    SET failures = EXCLUDED.failures, error = EXCLUDED.error, failed_at = EXCLUDED.failed_at
"""

# What the tasks of an evicted server have open is rolled back, and its row locks are free: see `sessions.py`. Only
# sessions of our own role: those of others may not be ended.
_END_SESSIONS: Final[LiteralString] = """
SELECT count(pg_terminate_backend(session.pid)) FROM pg_stat_activity session
WHERE session.application_name = 'bulkport worker ' || md5(evicted.name)
  AND session.datname = current_database() AND session.usename = current_user AND session.pid <> pg_backend_pid()
"""

LIST_HEARTBEATS: Final[LiteralString] = "SELECT worker_id, last_heartbeat FROM background_servers"

# Only if the heartbeat is still the one that was watched: a server that came back in this very moment stays.
EVICT_SILENT: Final[LiteralString] = f"""
WITH evicted AS (
    DELETE FROM background_servers server
    USING unnest(%(worker_ids)s::bigint[], %(heartbeats)s::timestamptz[]) AS silent (worker_id, heartbeat)
    WHERE server.worker_id = silent.worker_id AND server.last_heartbeat = silent.heartbeat
    RETURNING server.worker_id, server.name, server.host, server.process_id
)
SELECT evicted.*, ({_END_SESSIONS}) AS ended_sessions FROM evicted
"""

EVICT_NAMED: Final[LiteralString] = f"""
WITH evicted AS (
    DELETE FROM background_servers WHERE %(names)s::text[] IS NULL OR name = ANY(%(names)s) RETURNING name
)
SELECT ({_END_SESSIONS}) FROM evicted
"""

# Safe when several servers do it at once: a job that another one is just putting back is skipped, and one that has
# been put back is no longer the same run when its lock is had. (The run is compared and not only the status: a
# third server may hold the job by then, one whose lease is younger than this statement's snapshot.)
REQUEUE_ORPHANS: Final[LiteralString] = """
WITH lost AS MATERIALIZED (
    SELECT id, worker_id, attempts FROM procrastinate_jobs job
    WHERE status = 'doing'
      AND NOT EXISTS (SELECT FROM background_servers server WHERE server.worker_id = job.worker_id)
), orphan AS MATERIALIZED (
    SELECT job.id, job.queue_name, job.abort_requested, job.worker_id
    FROM procrastinate_jobs job JOIN lost USING (id)
    WHERE job.status = 'doing' AND job.attempts = lost.attempts AND job.worker_id IS NOT DISTINCT FROM lost.worker_id
    FOR UPDATE OF job SKIP LOCKED
)
SELECT id, worker_id,
       CASE WHEN abort_requested THEN procrastinate_finish_job_v1(id, 'aborted', false)::text
            ELSE procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL)::text
       END,
       pg_notify('procrastinate_queue_v1#' || queue_name, announcement)::text
       || pg_notify('procrastinate_any_queue_v1', announcement)::text
FROM orphan, LATERAL (SELECT json_build_object('type', 'job_inserted', 'job_id', id)::text) AS notice (announcement)
"""

LIST_OWN_JOBS: Final[LiteralString] = """
SELECT id, attempts FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = %(worker_id)s
"""
