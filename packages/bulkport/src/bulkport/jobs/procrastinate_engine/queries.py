"""The SQL statements of queueing and running jobs. What they do is in `functions/`, in the database.

Procrastinate's tables are read, and their rows locked, but written only through Procrastinate's functions.
A statement that moves a job on is fenced: it first locks the job's row where `worker_id` and `attempts` are still
those of the run it speaks for, so that neither a repeated statement (its first answer was lost) nor a worker that
was given up for dead can move a job that has gone on without it.
"""

from typing import Final, LiteralString

from psycopg import sql

ENQUEUE: Final[LiteralString] = """
SELECT enqueued."position", enqueued.job_id, enqueued.is_new FROM background_enqueue_v1(%s::jsonb) AS enqueued
"""

ENQUEUE_CALL: Final = sql.SQL("background_enqueue_now_v1({task}, {queue}, 0, {args}, {user_id})")

LOOK_UP: Final[LiteralString] = """
SELECT job.task, job.queue, job.args, job.state::text, job.parked, queued.status::text, job.due_at, job.priority,
       job.failures, job.error_type, job.error, job.user_id, job.result
FROM background_jobs job LEFT JOIN procrastinate_jobs queued ON queued.id = job.job_id
WHERE job.job_id = %s
"""

# A server that comes back under its name takes its own lease over; what it ran before is then nobody's.
REGISTER: Final[LiteralString] = """
WITH replaced AS MATERIALIZED (
    SELECT * FROM background_servers WHERE name = %(name)s FOR UPDATE
), lost AS (
    INSERT INTO background_lost_servers (worker_id, name, host, process_id, started_at, last_heartbeat)
    SELECT worker_id, name, host, process_id, started_at, last_heartbeat FROM replaced ON CONFLICT DO NOTHING
), forgotten AS (
    DELETE FROM background_lost_servers WHERE lost_at < now() - interval '30 days'
)
INSERT INTO background_servers (worker_id, name, host, process_id, version, queues, concurrency)
SELECT worker.worker_id, %(name)s, %(host)s, %(process_id)s, %(version)s, %(queues)s::text[], %(concurrency)s
FROM procrastinate_register_worker_v1() AS worker
ON CONFLICT (name) DO UPDATE SET
    worker_id = EXCLUDED.worker_id, host = EXCLUDED.host, process_id = EXCLUDED.process_id,
    version = EXCLUDED.version, queues = EXCLUDED.queues, concurrency = EXCLUDED.concurrency,
    memory_bytes = NULL, started_at = now(), last_heartbeat = now()
RETURNING worker_id
"""

UNREGISTER: Final[LiteralString] = "DELETE FROM background_servers WHERE worker_id = %(worker_id)s"

# No row: the lease is gone.
HEARTBEAT: Final[LiteralString] = """
WITH lease AS (
    UPDATE background_servers SET last_heartbeat = now(), memory_bytes = COALESCE(%s::bigint, memory_bytes)
    WHERE worker_id = %s RETURNING worker_id
)
SELECT procrastinate_update_heartbeat_v1(worker_id) FROM lease
"""

CLAIM: Final[LiteralString] = "SELECT * FROM background_claim_v1(%(queues)s::varchar[], %(worker_id)s)"

END_RUN: Final[LiteralString] = """
SELECT background_end_run_v1(
    %(job_id)s::bigint, %(worker_id)s::bigint, %(attempts)s::integer, %(outcome)s::text, %(server)s::text,
    %(seconds)s::float8, %(result)s::jsonb, %(note)s::text, %(error_type)s::text, %(error)s::text,
    %(traceback)s::text, %(delay)s::float8, %(priority)s::integer)::text AS entered
"""

RELEASE_DUE: Final[LiteralString] = "SELECT released, next_seconds FROM background_release_due_v1(%(most)s)"

# What the tasks of an evicted server have open is rolled back, and its row locks are free: see `sessions.py`. Only
# sessions of our own role: those of others may not be ended.
_END_SESSIONS: Final[LiteralString] = """
SELECT count(pg_terminate_backend(session.pid)) FROM pg_stat_activity session
WHERE session.application_name = 'bulkport worker ' || md5(evicted.name)
  AND session.datname = current_database() AND session.usename = current_user AND session.pid <> pg_backend_pid()
"""

LIST_HEARTBEATS: Final[LiteralString] = "SELECT worker_id, last_heartbeat FROM background_servers"

_KEEP_NAMES: Final[LiteralString] = """
kept AS (
    INSERT INTO background_lost_servers (worker_id, name, host, process_id, started_at, last_heartbeat)
    SELECT worker_id, name, host, process_id, started_at, last_heartbeat FROM evicted ON CONFLICT DO NOTHING
)
"""

# Only if the heartbeat is still the one that was watched: a server that came back in this very moment stays.
EVICT_SILENT: Final[LiteralString] = f"""
WITH evicted AS (
    DELETE FROM background_servers server
    USING unnest(%(worker_ids)s::bigint[], %(heartbeats)s::timestamptz[]) AS silent (worker_id, heartbeat)
    WHERE server.worker_id = silent.worker_id AND server.last_heartbeat = silent.heartbeat
    RETURNING server.*
), {_KEEP_NAMES}
SELECT evicted.worker_id, evicted.name, evicted.host, evicted.process_id, ({_END_SESSIONS}) AS ended_sessions
FROM evicted
"""

EVICT_NAMED: Final[LiteralString] = f"""
WITH evicted AS (
    DELETE FROM background_servers WHERE %(names)s::text[] IS NULL OR name = ANY(%(names)s) RETURNING *
), {_KEEP_NAMES}
SELECT ({_END_SESSIONS}) FROM evicted
"""

RESCUE: Final[LiteralString] = "SELECT job_id, lost_worker_id, server, entered::text FROM background_rescue_v1()"

LIST_OWN_JOBS: Final[LiteralString] = """
SELECT id, attempts FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = %(worker_id)s
"""

COUNT_UNKNOWN: Final[LiteralString] = """
SELECT count(*) AS runs FROM background_runs
WHERE job_id = %(job_id)s AND error_type = %(error_type)s AND run > COALESCE(
    (SELECT max(run) FROM background_runs WHERE job_id = %(job_id)s AND outcome = 'failed'), 0)
"""
"""Runs since the last failure, if any, that met no task."""
