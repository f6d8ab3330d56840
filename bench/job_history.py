"""A history of finished background jobs, generated in SQL as the engine would leave it."""

from typing import Final

import psycopg

_JOBS: Final = """
INSERT INTO bulkport.finished_jobs (
    job_id, task, queue, priority, state, args, user_id, created_at, ready_at, started_at, finished_at, runs, failures,
    server, error_type, error, search_text)
SELECT made.job_id, made.task, made.queue, 0, made.state, made.args, made.user_id, made.at, made.at, made.at,
       made.at + made.took,
       1, (made.state = 'failed')::integer, 'server-' || made.job_id %% 4, made.error_type, made.error,
       concat_ws(' ', made.args::text, made.error_type, made.error)
FROM (
    SELECT number AS job_id, 'task-' || number %% 50 AS task, 'queue-' || number %% 5 AS queue,
           CASE WHEN number %% 100 = 0 THEN 'failed' ELSE 'succeeded' END::bulkport.job_state AS state,
           jsonb_build_object('recipient', 'user' || number || '@example.org', 'report', number %% 1000) AS args,
           'user-' || number %% 1000 AS user_id,
           now() - make_interval(secs => (%(jobs)s - number) * 604800.0 / %(jobs)s) AS at,
           make_interval(secs => 0.01 + number %% 100 * 0.01) AS took,
           CASE WHEN number %% 100 = 0 THEN 'ConnectionError' END AS error_type,
           CASE WHEN number %% 100 = 0 THEN 'host mail-' || number %% 7 || ' does not answer' END AS error
    FROM generate_series(1, %(jobs)s) AS number
) AS made
"""
_IDS: Final = "SELECT setval(pg_get_serial_sequence('bulkport.jobs', 'job_id'), %(jobs)s)"
_COUNTS: Final = """
INSERT INTO bulkport.job_counts (task, queue, state, jobs)
SELECT task, queue, state, count(*) FROM bulkport.all_jobs GROUP BY task, queue, state
"""
_RUNS: Final = """
INSERT INTO bulkport.job_runs (job_id, run, outcome, server, started_at, ended_at, error_type, error, traceback)
SELECT job_id, 1, 'failed', server, started_at, finished_at, error_type, error,
       repeat('  File "/srv/app/mail.py", line 1, in send' || chr(10), 30) || error_type || ': ' || error
FROM bulkport.all_jobs WHERE state = 'failed'
"""
_SERIES: Final = """
INSERT INTO bulkport.job_series (granularity, starts_at, task, queue, succeeded, failed, enqueued, durations, latencies)
SELECT granularity, starts_at, task, queue, COALESCE(sum(jobs) FILTER (WHERE state = 'succeeded'), 0),
       COALESCE(sum(jobs) FILTER (WHERE state = 'failed'), 0), sum(jobs),
       bulkport.histogram(array_agg(slot), array_agg(jobs)),
       bulkport.histogram(array_agg(1), array_agg(jobs))
FROM (
    SELECT size.granularity, bulkport.bucket(size.granularity, finished_at) AS starts_at, task, queue, state,
           bulkport.histogram_slot(1000 * extract(epoch FROM finished_at - started_at)) AS slot, count(*) AS jobs
    FROM bulkport.all_jobs, bulkport.granularities() AS size
    WHERE size.retention IS NULL OR finished_at > now() - size.retention
    GROUP BY 1, 2, 3, 4, 5, 6
) AS counted
GROUP BY granularity, starts_at, task, queue
"""
_TAGS: Final = """
INSERT INTO bulkport.job_tags (job_id, tag)
SELECT number, tag FROM generate_series(1, %(jobs)s, 10) AS number,
       LATERAL (VALUES ('tenant-' || number / 10 %% 200), ('nightly')) AS tags (tag)
WHERE tag <> 'nightly' OR number / 10 %% 20 = 0
"""
_WAITING: Final = """
INSERT INTO bulkport.jobs (
    task, queue, priority, state, args, user_id, created_at, ready_at, due_at, failures, error_type, error)
SELECT 'task-' || number %% 50, 'queue-' || number %% 5, 0,
       (ARRAY['enqueued', 'enqueued', 'enqueued', 'scheduled', 'retrying'])[1 + number %% 5]::bulkport.job_state,
       jsonb_build_object('recipient', 'user' || number || '@example.org', 'report', number %% 1000),
       'user-' || number %% 1000, now() - make_interval(secs => number / 10.0),
       now() - make_interval(secs => number / 10.0),
       CASE WHEN number %% 5 > 2 THEN now() + make_interval(hours => 1 + number %% 1000) END,
       CASE WHEN number %% 5 = 4 THEN 1 ELSE 0 END,
       CASE WHEN number %% 5 = 4 THEN 'ConnectionError' END, CASE WHEN number %% 5 = 4 THEN 'host does not answer' END
FROM generate_series(1, 10000) AS number
"""
_SEARCH: Final = "CREATE INDEX finished_jobs_search ON bulkport.finished_jobs USING gin (search_text gin_trgm_ops)"
_REMOVE_WAITING: Final = """
TRUNCATE bulkport.jobs;
TRUNCATE bulkport.job_deltas;
"""


def add_history(database_url: str, jobs: int, *, is_busy: bool = False) -> None:
    """Make up finished jobs of the last week, one in a hundred failed, of 50 tasks and 1,000 users; with tracebacks,
    tags, counts and time series.

    Parameters
    ----------
    is_busy
        Whether 10,000 jobs wait as well, some of them scheduled or to be retried.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        # Made at once, the index takes a fraction of the time that it takes row by row.
        connection.execute("DROP INDEX bulkport.finished_jobs_search")
        for statement in (_JOBS, _IDS, _TAGS, *([_WAITING] if is_busy else [])):
            connection.execute(statement, {"jobs": jobs})
        for statement in (_COUNTS, _RUNS, _SERIES):
            connection.execute(statement)
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(_SEARCH)
        connection.execute("VACUUM ANALYZE")


def remove_waiting_jobs(database_url: str) -> None:
    """Leave the finished ones only."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_REMOVE_WAITING)
