"""SQL of recurring jobs. Every statement is complete in itself and safe to be sent twice, `TRIGGER` excepted."""

from typing import Final, LiteralString

TICK: Final = "recurring"
"""Name of the chore that acts on ticks."""

_RECENT_JOBS: Final[LiteralString] = """
    (SELECT job_id, state, started_at, NULL::timestamptz AS finished_at FROM bulkport.jobs
     WHERE recurring_id = recurring.recurring_id ORDER BY job_id DESC LIMIT 100)
    UNION ALL
    (SELECT job_id, state, started_at, finished_at FROM bulkport.finished_jobs
     WHERE recurring_id = recurring.recurring_id ORDER BY job_id DESC LIMIT 100)
"""

_IS_OVERDUE: Final[LiteralString] = (
    "recurring.paused_at IS NULL AND recurring.next_at < statement_timestamp() - interval '1 minute'"
)
_READ: Final[LiteralString] = f"""
SELECT recurring.*, clock_timestamp() AS read_at, {_IS_OVERDUE} AS is_overdue,
       last_job.state::text AS last_job_state, last_job.created_at AS last_job_at,
       recent.average_seconds, recent.run_ids, recent.run_states
FROM bulkport.recurring_jobs recurring
LEFT JOIN bulkport.all_jobs last_job ON last_job.job_id = recurring.last_job_id
CROSS JOIN LATERAL (
    SELECT avg(extract(epoch FROM finished_at - started_at)) FILTER (WHERE state = 'succeeded' AND nth <= 20)::float8
               AS average_seconds,
           COALESCE(array_agg(job_id ORDER BY job_id) FILTER (WHERE place <= 20), '{{}}') AS run_ids,
           COALESCE(array_agg(state::text ORDER BY job_id) FILTER (WHERE place <= 20), '{{}}') AS run_states
    FROM (SELECT jobs.*, row_number() OVER (ORDER BY job_id DESC) AS place,
                 row_number() OVER (PARTITION BY state ORDER BY job_id DESC) AS nth
          FROM ({_RECENT_JOBS}) AS jobs) AS numbered
) AS recent
"""

GET: Final[LiteralString] = f"{_READ} WHERE recurring.recurring_id = %(id)s"

SEARCH: Final[LiteralString] = f"""
{_READ}
WHERE (%(after)s::text IS NULL OR recurring.recurring_id > %(after)s)
  AND (%(text)s::text IS NULL OR strpos(lower(recurring.recurring_id || ' ' || recurring.task), lower(%(text)s)) > 0)
  AND (NOT %(is_overdue)s OR {_IS_OVERDUE})
ORDER BY recurring.recurring_id LIMIT %(limit)s
"""

NOW: Final[LiteralString] = "SELECT clock_timestamp() AS now"

# The workers look again in time, if they would not do so before the next tick.
_HURRY: Final[LiteralString] = f"""
SELECT recurring_id,
       bulkport.notify_workers(
           '{TICK}', GREATEST(extract(epoch FROM next_at - clock_timestamp()), 0)::text)::text
FROM written
"""

# What stays the same is not written; what was paused stays paused. A row that somebody holds is waited for, for as long
# as `patience` says; NULL: as the session says.
ADD_OR_UPDATE: Final[LiteralString] = f"""
WITH written AS (
INSERT INTO bulkport.recurring_jobs AS stored
    (recurring_id, task, args, queue, priority, user_id, concurrency_key, concurrency_limit, cron, timezone, missed,
     overlap, in_code, next_at)
SELECT %(id)s, %(task)s, %(args)s::jsonb, %(queue)s, %(priority)s::integer, %(user_id)s::text,
       %(concurrency_key)s::text, %(concurrency_limit)s::integer, %(cron)s, %(timezone)s, %(missed)s,
       %(overlap)s::boolean, %(in_code)s::boolean, %(next_at)s::timestamptz
FROM set_config('lock_timeout', COALESCE(%(patience)s::text, current_setting('lock_timeout')), true)
ON CONFLICT (recurring_id) DO UPDATE SET
    task = EXCLUDED.task, args = EXCLUDED.args, queue = EXCLUDED.queue, priority = EXCLUDED.priority,
    user_id = EXCLUDED.user_id, concurrency_key = EXCLUDED.concurrency_key,
    concurrency_limit = EXCLUDED.concurrency_limit,
    cron = EXCLUDED.cron, timezone = EXCLUDED.timezone, missed = EXCLUDED.missed, overlap = EXCLUDED.overlap,
    in_code = EXCLUDED.in_code, updated_at = clock_timestamp(),
    next_at = CASE WHEN stored.next_at IS NULL OR (stored.cron, stored.timezone) <> (EXCLUDED.cron, EXCLUDED.timezone)
                   THEN EXCLUDED.next_at ELSE stored.next_at END
WHERE (stored.task, stored.args, stored.queue, stored.priority, stored.user_id, stored.concurrency_key,
       stored.concurrency_limit, stored.cron, stored.timezone, stored.missed, stored.overlap, stored.in_code)
   IS DISTINCT FROM
      (EXCLUDED.task, EXCLUDED.args, EXCLUDED.queue, EXCLUDED.priority, EXCLUDED.user_id, EXCLUDED.concurrency_key,
       EXCLUDED.concurrency_limit, EXCLUDED.cron, EXCLUDED.timezone, EXCLUDED.missed, EXCLUDED.overlap,
       EXCLUDED.in_code)
RETURNING recurring_id, next_at
) {_HURRY}
"""

# Unused: they were declared by code that no longer runs.
FORGET_UNDECLARED: Final[LiteralString] = """
DELETE FROM bulkport.recurring_jobs WHERE recurring_id IN (
    SELECT recurring_id FROM bulkport.recurring_jobs
    WHERE in_code AND recurring_id <> ALL(%(declared)s::text[])
      AND paused_at IS NULL AND next_at < clock_timestamp() - interval '7 days'
    FOR UPDATE SKIP LOCKED)
RETURNING recurring_id
"""

REMOVE: Final[LiteralString] = "DELETE FROM bulkport.recurring_jobs WHERE recurring_id = %(id)s RETURNING recurring_id"

PAUSE: Final[LiteralString] = """
UPDATE bulkport.recurring_jobs SET paused_at = COALESCE(paused_at, clock_timestamp())
WHERE recurring_id = %(id)s RETURNING recurring_id
"""

# No row: the schedule has changed since it was read, and the next tick with it.
RESUME: Final[LiteralString] = f"""
WITH written AS (
UPDATE bulkport.recurring_jobs
SET paused_at = NULL, next_at = CASE WHEN paused_at IS NULL THEN next_at ELSE %(next_at)s END
WHERE recurring_id = %(id)s AND updated_at = %(updated_at)s RETURNING recurring_id, next_at
) {_HURRY}
"""

_MADE: Final[LiteralString] = """
job AS (
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'task', task, 'queue', queue, 'priority', priority, 'recurring_id', recurring_id, 'user_id', user_id
    ) || CASE
        WHEN concurrency_key IS NULL AND NOT overlap THEN jsonb_build_object(
            'concurrency_key', 'bulkport recurring ' || recurring_id, 'concurrency_limit', 1)
        ELSE jsonb_build_object('concurrency_key', concurrency_key, 'concurrency_limit', concurrency_limit)
    END) || jsonb_build_object('args', args) AS description
    FROM due
), made AS MATERIALIZED (
    SELECT enqueued.job_id
    FROM (SELECT json_agg(description) AS jobs FROM job CROSS JOIN generate_series(1, %(jobs)s) HAVING count(*) > 0)
        AS listed
    CROSS JOIN LATERAL bulkport.enqueue(listed.jobs) AS enqueued
)
"""

TRIGGER: Final[LiteralString] = f"""
WITH due AS MATERIALIZED (SELECT * FROM bulkport.recurring_jobs WHERE recurring_id = %(id)s FOR UPDATE), {_MADE}
UPDATE bulkport.recurring_jobs recurring SET last_job_id = made.job_id FROM made WHERE recurring.recurring_id = %(id)s
RETURNING made.job_id
"""

# Those that come due within the horizon; `seconds_left` is negative for those that are due.
LIST_DUE: Final[LiteralString] = f"""
SELECT recurring.recurring_id AS id, recurring.cron, recurring.timezone, recurring.missed, recurring.next_at AS due_at,
       recurring.updated_at, clock.now, extract(epoch FROM recurring.next_at - clock.now)::float8 AS seconds_left,
       CASE WHEN NOT recurring.overlap
            THEN (SELECT min(job_id) FROM ({_RECENT_JOBS}) AS recent
                  WHERE state IN ('enqueued', 'scheduled', 'awaiting', 'retrying', 'processing')) END AS unfinished_job
FROM (SELECT clock_timestamp() AS now) AS clock CROSS JOIN bulkport.recurring_jobs recurring
WHERE recurring.paused_at IS NULL AND recurring.next_at <= clock.now + make_interval(secs => %(horizon)s)
  AND (NOT recurring.in_code OR recurring.recurring_id = ANY(%(declared)s::text[]))
ORDER BY recurring.next_at LIMIT 100
"""

# Of all servers that see a tick, one finds it as it was seen. A row that somebody holds is left for the next look:
# waiting would hold up what else the worker's connection has to do.
_DUE: Final[LiteralString] = """
due AS MATERIALIZED (
    SELECT * FROM bulkport.recurring_jobs
    WHERE recurring_id = %(id)s AND next_at = %(due_at)s AND updated_at = %(updated_at)s AND paused_at IS NULL
    FOR UPDATE SKIP LOCKED
)
"""

ACT: Final[LiteralString] = f"""
WITH {_DUE}, {_MADE}
UPDATE bulkport.recurring_jobs recurring
SET next_at = %(next_at)s, last_at = %(last_at)s, last_note = %(note)s,
    last_job_id = COALESCE((SELECT max(job_id) FROM made), recurring.last_job_id)
FROM due WHERE recurring.recurring_id = due.recurring_id
RETURNING ARRAY(SELECT job_id FROM made ORDER BY job_id) AS job_ids
"""

# Those that wait for a tick, a page after another.
LIST_AHEAD: Final[LiteralString] = """
SELECT recurring_id AS id, cron, timezone, next_at AS due_at, updated_at, clock_timestamp() AS now
FROM bulkport.recurring_jobs
WHERE paused_at IS NULL AND next_at > clock_timestamp() AND recurring_id > %(after)s
  AND (NOT in_code OR recurring_id = ANY(%(declared)s::text[]))
ORDER BY recurring_id LIMIT %(limit)s
"""

PUT_RIGHT: Final[LiteralString] = f"""
WITH {_DUE}
UPDATE bulkport.recurring_jobs recurring SET next_at = %(next_at)s, last_note = %(note)s
FROM due WHERE recurring.recurring_id = due.recurring_id
RETURNING recurring.recurring_id
"""

POSTPONE: Final[LiteralString] = f"""
WITH {_DUE}
UPDATE bulkport.recurring_jobs recurring
SET next_at = clock_timestamp() + make_interval(secs => %(delay)s), last_note = %(note)s
FROM due WHERE recurring.recurring_id = due.recurring_id
RETURNING recurring.recurring_id
"""
