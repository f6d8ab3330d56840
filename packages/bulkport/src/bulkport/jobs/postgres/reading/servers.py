"""Queues with their waiting jobs, and servers with their running jobs."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from psycopg import sql

from bulkport.jobs.port.metrics import PausedTask, QueueStatus, RunningJob, ServerCommand, ServerStatus
from bulkport.jobs.postgres.reading.snapshot import Snapshot
from bulkport.jobs.postgres.reading.statistics import COUNTED
from bulkport.jobs.postgres.rows import job_id_of, take_progress

# The longest waiting one is looked for among the first by creation only: an index by the time since when jobs are
# ready would cost each job more than this is worth.
QUEUES: Final = sql.SQL(f"""
WITH {COUNTED}, unfinished AS (
    SELECT queue, state, sum(jobs)::bigint AS jobs FROM counted
    WHERE state IN ('enqueued', 'scheduled', 'retrying') GROUP BY queue, state HAVING sum(jobs) > 0
), running AS (
    SELECT queue, count(*) AS jobs FROM bulkport.jobs WHERE state = 'processing' GROUP BY queue
), named AS (
    SELECT name FROM bulkport.queues UNION SELECT queue FROM unfinished UNION SELECT queue FROM running
)
SELECT named.name, setting.paused_at, setting.paused_by, setting.paused_note, setting.concurrency_limit,
       COALESCE(setting.weight, 1) AS weight, setting.changed_at, setting.changed_by,
       GREATEST(0, COALESCE(enqueued.jobs, 0) - COALESCE(running.jobs, 0)) AS waiting,
       COALESCE(running.jobs, 0) AS running, COALESCE(scheduled.jobs, 0) AS scheduled,
       COALESCE(retrying.jobs, 0) AS retrying, oldest.ready_at AS oldest_ready_at,
       CASE WHEN oldest.ready_at IS NOT NULL
            THEN GREATEST(extract(epoch FROM clock_timestamp() - oldest.ready_at), 0)::float8 END AS latency_seconds,
       (SELECT count(*) FROM bulkport.servers server
        WHERE (server.queues IS NULL OR named.name = ANY (server.queues))
          AND server.last_heartbeat >= clock_timestamp() - make_interval(secs => %(silent_seconds)s)) AS servers,
       waiting_tasks.unknown AS unknown_tasks, waiting_tasks.paused AS paused_tasks
FROM named
LEFT JOIN bulkport.queues setting USING (name)
LEFT JOIN running ON running.queue = named.name
LEFT JOIN unfinished enqueued ON enqueued.queue = named.name AND enqueued.state = 'enqueued'
LEFT JOIN unfinished scheduled ON scheduled.queue = named.name AND scheduled.state = 'scheduled'
LEFT JOIN unfinished retrying ON retrying.queue = named.name AND retrying.state = 'retrying'
LEFT JOIN LATERAL (
    SELECT min(first.ready_at) AS ready_at
    FROM (
        SELECT job.ready_at FROM bulkport.jobs job
        WHERE job.queue = named.name AND job.state = 'enqueued' AND NOT job.parked
        ORDER BY job.task, job.priority DESC, job.fair_at
        LIMIT 100
    ) AS first
) AS oldest ON true
LEFT JOIN LATERAL (
    WITH RECURSIVE waiting AS (
        SELECT min(job.task) AS task FROM bulkport.jobs job
        WHERE job.queue = named.name AND job.state = 'enqueued' AND NOT job.parked
        UNION ALL
        SELECT (SELECT min(job.task) FROM bulkport.jobs job
                WHERE job.queue = named.name AND job.task > waiting.task AND job.state = 'enqueued' AND NOT job.parked)
        FROM waiting WHERE waiting.task IS NOT NULL
    )
    SELECT array_agg(waiting.task ORDER BY waiting.task) FILTER (WHERE NOT EXISTS (
               SELECT FROM bulkport.servers server
               WHERE waiting.task = ANY (server.tasks) AND (server.queues IS NULL OR named.name = ANY (server.queues))
                 AND server.last_heartbeat >= clock_timestamp() - make_interval(secs => %(silent_seconds)s)
           )) AS unknown,
           array_agg(waiting.task ORDER BY waiting.task) FILTER (WHERE EXISTS (
               SELECT FROM bulkport.paused_tasks paused WHERE paused.task = waiting.task)) AS paused
    FROM waiting WHERE waiting.task IS NOT NULL
) AS waiting_tasks ON true
ORDER BY named.name
""")

_PAUSED_TASKS: Final = sql.SQL("SELECT task, paused_at, paused_by, note FROM bulkport.paused_tasks ORDER BY task")

SERVERS: Final = sql.SQL("""
SELECT server.worker_id, server.name, server.host, server.process_id, server.version, server.queues,
       server.concurrency, server.memory_bytes, server.memory_minutes, server.loop_lag_seconds, command.wanted,
       command.wanted_by, server.started_at, server.last_heartbeat,
       GREATEST(extract(epoch FROM clock_timestamp() - server.last_heartbeat), 0)::float8 AS heartbeat_age_seconds
FROM bulkport.servers server LEFT JOIN bulkport.server_commands command USING (worker_id)
ORDER BY server.name
""")

_RUNNING: Final = sql.SQL("""
SELECT run.worker_id, run.job_id, run.task, run.queue, run.user_id, run.started_at, progress.done, progress.total,
       progress.message
FROM bulkport.jobs run LEFT JOIN bulkport.job_progress progress ON progress.job_id = run.job_id
WHERE run.state = 'processing' ORDER BY run.started_at, run.job_id
""")


async def read_queues(snapshot: Snapshot) -> list[QueueStatus]:
    """See `JobReader.queues`."""
    rows = await snapshot.fetch_all(QUEUES, {"silent_seconds": snapshot.silent_seconds})
    is_any_paused = any(row["paused_tasks"] for row in rows)
    paused = {one.task: one for one in await read_paused_tasks(snapshot)} if is_any_paused else {}
    return [
        QueueStatus(
            **row
            | {
                "unknown_tasks": tuple(row["unknown_tasks"] or ()),
                "paused_tasks": tuple(paused[task] for task in row["paused_tasks"] or ()),
            }
        )
        for row in rows
    ]


async def read_paused_tasks(snapshot: Snapshot) -> list[PausedTask]:
    """See `JobReader.paused_tasks`."""
    return [PausedTask(**row) for row in await snapshot.fetch_all(_PAUSED_TASKS)]


async def read_servers(snapshot: Snapshot) -> list[ServerStatus]:
    """See `JobReader.servers`."""
    running: dict[int, list[RunningJob]] = defaultdict(list)
    for row in await snapshot.fetch_all(_RUNNING):
        worker_id, job_id = row.pop("worker_id"), job_id_of(row.pop("job_id"))
        running[worker_id].append(RunningJob(id=job_id, progress=take_progress(row), **row))
    return [_server(row, running[row.pop("worker_id")], snapshot) for row in await snapshot.fetch_all(SERVERS)]


def _server(row: dict[str, Any], running: Sequence[RunningJob], snapshot: Snapshot) -> ServerStatus:
    row |= {
        "queues": None if row["queues"] is None else tuple(row["queues"]),
        "memory_minutes": tuple(row["memory_minutes"]),
        "wanted": None if row["wanted"] is None else ServerCommand(row["wanted"]),
    }
    return ServerStatus(**row, is_silent=row["heartbeat_age_seconds"] > snapshot.silent_seconds, running=tuple(running))
