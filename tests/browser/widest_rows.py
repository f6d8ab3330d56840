"""Rows with the longest contents that are plausible, so that no list fits by this machine's short names alone."""

from typing import Final, LiteralString

import psycopg

HOST: Final = "ip-10-201-133-214.eu-central-1.compute.internal.example.org.".ljust(60, "x")
SERVER: Final = f"{HOST}:4194303"
TASK: Final = "commandapi.catalogue.maintenance.rebuild_search_index_of_every_platform"
QUEUE: Final = "nightly_maintenance_of_the_catalogue_202"
USER: Final = "auth0|5f7c8ec7c33c6c004bbafe82@a-rather-long-department.example.org"

_STATEMENTS: Final[tuple[LiteralString, ...]] = (
    # As if each had just had its heartbeat for as long as the test takes, but for the silent one.
    """INSERT INTO bulkport.servers (worker_id, name, host, process_id, version, queues, tasks, concurrency,
           memory_bytes, memory_minutes, loop_lag_seconds, started_at, last_heartbeat)
       SELECT n, %(server)s || n, %(host)s, 4194303, '10.11.12.dev1234', ARRAY[%(queue)s, 'mail', 'imports'], '{}',
           1024, 1073636966, array_fill(1073636966::bigint, ARRAY[120]), 12.34, now() - interval '99 days 23 hours',
           now() + CASE n WHEN 2 THEN interval '-9 s' ELSE interval '1 hour' END
       FROM generate_series(1, 4) AS n""",
    "INSERT INTO bulkport.server_commands VALUES (3, 'quiet', %(user)s), (4, 'stop', %(user)s)",
    """INSERT INTO bulkport.queues (name, paused_at, paused_by, paused_note, changed_at, changed_by, concurrency_limit)
       VALUES (%(queue)s, now() - interval '23 h', %(user)s, repeat('the mail provider is down; ', 7), now(), %(user)s,
           100000),
           ('a-queue-of-nobody-with-a-long-name', NULL, NULL, NULL, now() - interval '59 min', %(user)s, 99999)""",
    """INSERT INTO bulkport.jobs (job_id, task, queue, priority, state, args, user_id, created_at, ready_at, due_at,
           started_at, runs, failures, worker_id, server, error_type, error, recurring_id, batch_id)
       SELECT 98765432100 + row_number() OVER (), %(task)s, %(queue)s, -32768, state,
           jsonb_build_object('a_rather_long_name', repeat('unbroken', 40)), %(user)s, now() - interval '59 min',
           now() - interval '59 min', now() + interval '23 h', now() - interval '47 h 59 min', 24, 24,
           CASE state WHEN 'processing' THEN 1 + n %% 2 END, %(server)s, 'botocore.exceptions.EndpointConnectionError',
           repeat('Could not connect to the endpoint URL ', 9), 'r' || repeat('ecurring', 9), 1
       FROM unnest(enum_range(NULL::bulkport.job_state)) AS state, generate_series(1, 8) AS n
       WHERE state NOT IN ('succeeded', 'failed', 'cancelled')""",
    """INSERT INTO bulkport.finished_jobs (job_id, task, queue, priority, state, args, user_id, created_at, ready_at,
           started_at, finished_at, runs, failures, server, error_type, error, recurring_id, batch_id, search_text)
       SELECT 87654321000 + row_number() OVER (), %(task)s, %(queue)s, -32768, state,
           jsonb_build_object('a_rather_long_name', repeat('unbroken', 40)), %(user)s, now() - interval '47 h 59 min',
           now() - interval '47 h 59 min', now() - interval '23 h 59 min', now() - interval '59 min', 24, 24,
           %(server)s, CASE state WHEN 'failed' THEN 'botocore.exceptions.EndpointConnectionError' END,
           CASE state WHEN 'failed' THEN repeat('Could not connect to the endpoint URL ', 9) END,
           'r' || repeat('ecurring', 9), 1, ''
       FROM unnest(ARRAY['succeeded', 'failed', 'cancelled']::bulkport.job_state[]) AS state,
           generate_series(1, 30) AS n""",
    """INSERT INTO bulkport.job_tags SELECT job_id, 'customer:' || repeat('9', n) FROM bulkport.jobs,
           generate_series(12, 40, 7) AS n""",
    """INSERT INTO bulkport.job_progress (job_id, done, total, message)
       SELECT job_id, 9876543210, 9999999999, repeat('reading the pages of the platform ', 5) FROM bulkport.jobs""",
    """INSERT INTO bulkport.job_counts SELECT %(task)s, %(queue)s, state,
           CASE WHEN state IN ('scheduled', 'retrying') THEN 1234567 ELSE 12345678 END
       FROM unnest(enum_range(NULL::bulkport.job_state)) AS state""",
    """INSERT INTO bulkport.job_series (granularity, starts_at, task, queue, succeeded, failed, retried, cancelled,
           enqueued) SELECT unit, date_trunc(unit, now()) - step * n, %(task)s, %(queue)s, 987654, 987654, 98765, 98765,
           987654
       FROM (VALUES ('second', interval '1 s'), ('minute', '1 min'), ('hour', '1 h'), ('day', '1 d'))
           AS units (unit, step), generate_series(0, 3) AS n""",
    """INSERT INTO bulkport.recurring_jobs (recurring_id, task, args, queue, cron, timezone, missed, overlap, in_code,
           paused_at, next_at, last_at, last_job_id, last_note)
       SELECT 'r' || repeat('ecurring', 9) || CASE WHEN n > 1 THEN n::text ELSE '' END, %(task)s,
           jsonb_build_object('a_rather_long_name', repeat('unbroken', 20)), %(queue)s, '*/7 1,3,5-17 1-15,28 1-6 1-5',
           'America/Argentina/ComodRivadavia', 'once', false, n <= 2, CASE n WHEN 1 THEN now() - interval '47 h' END,
           now() + CASE n WHEN 2 THEN interval '-47 h' ELSE interval '23 h' END, now() - interval '23 h', 87654321031,
           'the run before is still running'
       FROM generate_series(1, 4) AS n""",
    """INSERT INTO bulkport.job_batches (description, user_id, sealed, finished_at, created_at)
       SELECT repeat('Invoices of the customers of July ', 4), %(user)s, n <> 2, CASE n WHEN 3 THEN now() END,
           now() - interval '47 h' FROM generate_series(1, 3) AS n""",
    """INSERT INTO bulkport.audit (at, actor, action, target, outcome)
       SELECT now() - interval '47 h', %(user)s, action, repeat('jobs?state=failed&task=', 5),
           repeat('9876 jobs requeued, ', 6)
       FROM unnest(ARRAY['jobs/requeue', 'recurring/trigger', 'servers/quiet']) AS action""",
    """INSERT INTO bulkport.dashboard_sessions (token_digest, way, viewer, role, expires_at, address, browser)
       VALUES ('1', 'openid', %(user)s, 'read-only', now() + interval '1 d', '2001:0db8:85a3:0000:0000:8a2e:0370:7334',
           repeat('Mozilla/5.0 (X11; Linux x86_64) ', 8))""",
    """INSERT INTO bulkport.bulk_import_jobs (id, resource, user_id, background_job_id, format, handling, status,
           total_records, total_chunks, body_bytes, name, tags, file_name, created_at, started_at, completed_at,
           processed_count, success_count, failure_count)
       SELECT 9876543210 + row_number() OVER (), 'platforms', %(user)s, n || '', 'json-array', 'lenient', status,
           9999999999, 1, 1073636966, repeat('Platforms of July ', 5), ARRAY['customer:1234567890', repeat('tag', 9)],
           repeat('platforms-of-july', 8) || '.csv', now() - interval '47 h', now() - interval '46 h',
           CASE WHEN status NOT IN ('Pending', 'Processing') THEN now() - interval '1 h' END,
           9876543210, 9876540000, 12345678
       FROM unnest(ARRAY['Pending', 'Processing', 'Completed', 'PartialSuccess', 'Failed', 'Cancelled']) AS status,
           generate_series(1, 1) AS n""",
    """INSERT INTO bulkport.import_row_errors
       SELECT 9876543214, 9876543000 + n, jsonb_build_array(jsonb_build_object('field', repeat('platformName', 5),
           'message', repeat('must be one of a long list of names ', 6))),
           json_build_object('platformName', repeat('x', 300))
       FROM generate_series(1, 30) AS n""",
)


async def insert_widest_rows(url: str) -> None:
    """Fill every list of the dashboard."""
    names = {"host": HOST, "server": SERVER, "task": TASK, "queue": QUEUE, "user": USER}
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for statement in _STATEMENTS:
            await connection.execute(statement, names)
