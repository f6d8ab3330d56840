"""Statements of the engine. The functions they call are in sql/.

They are prepared on the server only by connections of our own that lead to PostgreSQL itself: behind a pooler in
transaction mode the next statement may run in another session. The functions keep their plans in every session.
"""

from typing import Final, LiteralString

from psycopg import sql

CHANNEL: Final = "bulkport.jobs"
"""Channel on which workers are notified of work; see `bulkport.notify_workers`."""

ENQUEUE_ONE: Final[LiteralString] = """
SELECT bulkport.enqueue_now(
    %s::text, %s::text, %s::integer, %s::jsonb, %s::text, %s::text, %s::bigint)
"""

ENQUEUE_ALL_NOW: Final[LiteralString] = "SELECT bulkport.enqueue_all_now(%s::json)"

ENQUEUE: Final[LiteralString] = """
SELECT enqueued."position", enqueued.job_id, enqueued.is_new FROM bulkport.enqueue(%s::json) AS enqueued
"""

ENQUEUE_CALL: Final = sql.SQL("bulkport.enqueue_now({task}, {queue}, 0, {args}, {user_id})")

OPEN_BATCH: Final[LiteralString] = """
INSERT INTO bulkport.job_batches (description, user_id) VALUES (%s, %s) RETURNING batch_id
"""

SEAL_BATCH: Final[LiteralString] = "SELECT bulkport.seal_batch(%s)"

# As text, because the caller's connection may have changed how its driver decodes JSON.
LOOK_UP: Final[LiteralString] = """
SELECT job.task, job.queue, job.args::text, job.state::text, job.due_at, job.priority, job.failures, job.error_type,
       job.error, job.user_id, job.result::text
FROM bulkport.all_jobs job WHERE job.job_id = %(job_id)s
"""

UNFINISHED_AMONG: Final[LiteralString] = "SELECT job_id FROM bulkport.jobs WHERE job_id = ANY(%(job_ids)s)"

# A restarted server of the same name takes over its lease; its earlier jobs are then orphaned.
REGISTER: Final[LiteralString] = """
WITH replaced AS MATERIALIZED (
    SELECT * FROM bulkport.servers WHERE name = %(name)s FOR UPDATE
), lost AS (
    INSERT INTO bulkport.lost_servers (worker_id, name, host, process_id, started_at, last_heartbeat)
    SELECT worker_id, name, host, process_id, started_at, last_heartbeat FROM replaced ON CONFLICT DO NOTHING
), forgotten AS (
    DELETE FROM bulkport.lost_servers WHERE lost_at < now() - interval '30 days'
)
INSERT INTO bulkport.servers (name, host, process_id, version, queues, tasks, concurrency)
VALUES (%(name)s, %(host)s, %(process_id)s, %(version)s, %(queues)s::text[], %(tasks)s::text[], %(concurrency)s)
ON CONFLICT (name) DO UPDATE SET
    worker_id = nextval(pg_get_serial_sequence('bulkport.servers', 'worker_id')), host = EXCLUDED.host,
    process_id = EXCLUDED.process_id, version = EXCLUDED.version, queues = EXCLUDED.queues, tasks = EXCLUDED.tasks,
    concurrency = EXCLUDED.concurrency, memory_bytes = NULL, memory_minutes = '{}', sampled_at = NULL,
    loop_lag_seconds = NULL, started_at = now(), last_heartbeat = now()
RETURNING worker_id
"""

UNREGISTER: Final[LiteralString] = "DELETE FROM bulkport.servers WHERE worker_id = %(worker_id)s"

# No row: the lease is gone.
HEARTBEAT: Final[LiteralString] = """
UPDATE bulkport.servers SET
    last_heartbeat = now(), memory_bytes = COALESCE(%(memory)s::bigint, memory_bytes),
    loop_lag_seconds = %(loop_lag)s::real,
    memory_minutes = CASE
        WHEN is_due THEN memory_minutes[greatest(1, cardinality(memory_minutes) - 118):] || %(memory)s::bigint
        ELSE memory_minutes END,
    sampled_at = CASE WHEN is_due THEN now() ELSE sampled_at END
FROM (
    SELECT worker_id AS id, %(memory)s::bigint IS NOT NULL
           AND (sampled_at IS NULL OR sampled_at <= now() - interval '59 seconds') AS is_due
    FROM bulkport.servers WHERE worker_id = %(worker_id)s
) AS sample
WHERE worker_id = sample.id
RETURNING (SELECT command.wanted FROM bulkport.server_commands command WHERE command.worker_id = sample.id),
          EXISTS (SELECT FROM bulkport.job_stacks asked WHERE asked.worker_id = sample.id AND asked.taken_at IS NULL)
"""

ADD_ENDED: Final[LiteralString] = """
INSERT INTO bulkport.server_series AS bucket (granularity, starts_at, server, succeeded, failed)
SELECT granularity, date_trunc(granularity, now(), 'UTC'), %(server)s, %(succeeded)s, %(failed)s
FROM unnest(ARRAY['minute', 'hour']) AS granularity
ON CONFLICT (granularity, starts_at, server) DO UPDATE SET
    succeeded = bucket.succeeded + EXCLUDED.succeeded, failed = bucket.failed + EXCLUDED.failed
"""

CLAIM: Final[LiteralString] = """
SELECT * FROM bulkport.claim(
    %(worker_id)s::bigint, %(tasks)s::text[], %(heavy_tasks)s::text[], %(queues)s::text[], %(free)s::integer,
    %(reach)s::integer)
"""

FINISH: Final[LiteralString] = """
SELECT job_id, entered FROM bulkport.finish(%(worker_id)s::bigint, %(server)s::text, %(outcomes)s::json)
"""

RELEASE_DUE: Final[LiteralString] = "SELECT released, next_seconds FROM bulkport.release_due(%(most)s)"

SETTLE_LEFT: Final[LiteralString] = "SELECT bulkport.settle_left()"

SETTLE_BATCHES: Final[LiteralString] = "SELECT bulkport.settle_batches(%(ids)s::bigint[]) AS locked"

# What the tasks of an evicted server have open is rolled back, and its row locks are free: see `session_mark`.
# Only sessions of our own role: those of others may not be ended.
_END_SESSIONS: Final[LiteralString] = """
SELECT count(pg_terminate_backend(session.pid)) FROM pg_stat_activity session
WHERE session.application_name = 'bulkport worker ' || md5(evicted.name)
  AND session.datname = current_database() AND session.usename = current_user AND session.pid <> pg_backend_pid()
"""

LIST_HEARTBEATS: Final[LiteralString] = "SELECT worker_id, last_heartbeat FROM bulkport.servers"

_KEEP_NAMES: Final[LiteralString] = """
recorded AS (
    INSERT INTO bulkport.lost_servers (worker_id, name, host, process_id, started_at, last_heartbeat)
    SELECT worker_id, name, host, process_id, started_at, last_heartbeat FROM evicted ON CONFLICT DO NOTHING
)
"""

# Only if the heartbeat is still the one that was watched: a server that came back in this very moment stays.
EVICT_SILENT: Final[LiteralString] = f"""
WITH evicted AS (
    DELETE FROM bulkport.servers server
    USING unnest(%(worker_ids)s::bigint[], %(heartbeats)s::timestamptz[]) AS silent (worker_id, heartbeat)
    WHERE server.worker_id = silent.worker_id AND server.last_heartbeat = silent.heartbeat
    RETURNING server.*
), {_KEEP_NAMES}
SELECT evicted.worker_id, evicted.name, evicted.host, evicted.process_id, ({_END_SESSIONS}) AS ended_sessions
FROM evicted
"""

EVICT_NAMED: Final[LiteralString] = f"""
WITH evicted AS (
    DELETE FROM bulkport.servers WHERE %(names)s::text[] IS NULL OR name = ANY(%(names)s) RETURNING *
), {_KEEP_NAMES}
SELECT ({_END_SESSIONS}) FROM evicted
"""

RESCUE: Final[LiteralString] = "SELECT job_id, lost_worker_id, server, entered FROM bulkport.rescue()"

LIST_OWN_JOBS: Final[LiteralString] = """
SELECT job_id, runs, cancel_requested FROM bulkport.jobs WHERE state = 'processing' AND worker_id = %(worker_id)s
"""
