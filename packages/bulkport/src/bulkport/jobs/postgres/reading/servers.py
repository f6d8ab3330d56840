"""Queues and what waits in them, servers and what they run."""

from collections import defaultdict
from typing import Any, Final

from psycopg import sql

from bulkport.jobs.postgres.reading.snapshot import Snapshot
from bulkport.jobs.postgres.reading.statistics import COUNTED
from bulkport.jobs.postgres.rows import in_utc, job_id_of, progress_of, utc_or_none
from bulkport.jobs.reading.metrics import QueueStatus, RunningJob, ServerCommand, ServerStatus

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
       COALESCE(retrying.jobs, 0) AS retrying, oldest.ready_at,
       extract(epoch FROM clock_timestamp() - oldest.ready_at)::float8 AS latency,
       (SELECT count(*) FROM bulkport.servers server
        WHERE (server.queues IS NULL OR named.name = ANY (server.queues))
          AND server.last_heartbeat >= clock_timestamp() - make_interval(secs => %(silent_seconds)s)) AS servers,
       unknown.tasks AS unknown_tasks
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
    SELECT array_agg(waiting.task ORDER BY waiting.task) AS tasks FROM waiting
    WHERE waiting.task IS NOT NULL AND NOT EXISTS (
        SELECT FROM bulkport.servers server
        WHERE waiting.task = ANY (server.tasks) AND (server.queues IS NULL OR named.name = ANY (server.queues))
          AND server.last_heartbeat >= clock_timestamp() - make_interval(secs => %(silent_seconds)s))
) AS unknown ON true
ORDER BY named.name
""")

# One row for each job that a server runs, and one for a server that runs none.
SERVERS: Final = sql.SQL("""
SELECT server.worker_id, server.name, server.host, server.process_id, server.version, server.queues,
       server.concurrency, server.memory_bytes, server.memory_minutes, server.loop_lag_seconds, command.wanted,
       command.wanted_by, server.started_at AS up_since, server.last_heartbeat,
       extract(epoch FROM clock_timestamp() - server.last_heartbeat)::float8 AS silence,
       run.job_id, run.task, run.queue, run.user_id, run.started_at, progress.done, progress.total, progress.message
FROM bulkport.servers server
LEFT JOIN bulkport.server_commands command ON command.worker_id = server.worker_id
LEFT JOIN bulkport.jobs run ON run.state = 'processing' AND run.worker_id = server.worker_id
LEFT JOIN bulkport.job_progress progress ON progress.job_id = run.job_id
ORDER BY server.name, run.started_at, run.job_id
""")


async def read_queues(snapshot: Snapshot, silent_seconds: float) -> list[QueueStatus]:
    """Every queue that has or had a job, by name."""
    return [
        QueueStatus(
            name=row["name"],
            waiting=row["waiting"],
            running=row["running"],
            scheduled=row["scheduled"],
            retrying=row["retrying"],
            oldest_ready_at=utc_or_none(row["ready_at"]),
            latency_seconds=None if row["latency"] is None else max(0.0, row["latency"]),
            paused_at=utc_or_none(row["paused_at"]),
            paused_by=row["paused_by"],
            paused_note=row["paused_note"],
            concurrency_limit=row["concurrency_limit"],
            weight=row["weight"],
            changed_at=utc_or_none(row["changed_at"]),
            changed_by=row["changed_by"],
            servers=row["servers"],
            unknown_tasks=tuple(row["unknown_tasks"] or ()),
        )
        for row in await snapshot.fetch_all(QUEUES, {"silent_seconds": silent_seconds})
    ]


async def read_servers(snapshot: Snapshot, silent_seconds: float) -> list[ServerStatus]:
    """Every server, by name, with what it runs."""
    rows = await snapshot.fetch_all(SERVERS)
    running: dict[int, list[RunningJob]] = defaultdict(list)
    for row in rows:
        if row["job_id"] is not None:
            running[row["worker_id"]].append(_running_job(row))
    servers = {row["worker_id"]: row for row in rows}
    return [
        ServerStatus(
            name=row["name"],
            host=row["host"],
            process_id=row["process_id"],
            version=row["version"],
            queues=None if row["queues"] is None else tuple(row["queues"]),
            concurrency=row["concurrency"],
            memory_bytes=row["memory_bytes"],
            memory_minutes=tuple(row["memory_minutes"]),
            loop_lag_seconds=row["loop_lag_seconds"],
            wanted=None if row["wanted"] is None else ServerCommand(row["wanted"]),
            wanted_by=row["wanted_by"],
            started_at=in_utc(row["up_since"]),
            last_heartbeat=in_utc(row["last_heartbeat"]),
            silence_seconds=max(0.0, row["silence"]),
            is_silent=row["silence"] > silent_seconds,
            running=tuple(running[worker_id]),
        )
        for worker_id, row in servers.items()
    ]


def _running_job(row: dict[str, Any]) -> RunningJob:
    return RunningJob(
        id=job_id_of(row["job_id"]),
        task=row["task"],
        queue=row["queue"],
        user_id=row["user_id"],
        started_at=utc_or_none(row["started_at"]),
        progress=progress_of(row),
    )
