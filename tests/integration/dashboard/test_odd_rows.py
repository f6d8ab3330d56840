"""Rows that Bulkport would never write, but somebody's SQL did: every page still shows, theirs and all others."""

from collections.abc import AsyncIterator, Sequence
from typing import Final, LiteralString
from urllib.parse import quote

import psycopg
import pytest

from command_site import CommandSite, open_command_site

ODD: Final = "\u202e <b>&amp;\"' \t\x01\x1b[31m {text} %s a/b?c=d#e \N{PILE OF POO}" + "W" * 3_000
DEEP: Final = "[" * 2_000 + "]" * 2_000
"""Deeper than Python reads JSON."""
NESTED: Final = '{"a": ' * 300 + "1" + "}" * 300
"""Deeper than templates call themselves."""
ARGUMENTS: Final = (
    "[]",
    "null",
    '"text"',
    "7",
    DEEP,
    NESTED,
    f'{{"n": {"9" * 5_000}, "x": 1e400}}',
    '{"": {"": null}}',
)
TIMES: Final = ("infinity", "-infinity", "4713-01-01 BC", "294276-12-31")
STATEMENTS: Final[Sequence[LiteralString]] = (
    """INSERT INTO bulkport.jobs (job_id, task, queue, priority, state, args, user_id, created_at, ready_at, due_at,
           started_at, runs, failures, error_type, error, concurrency_key, unique_key, recurring_id, batch_id)
       SELECT 1000 + row_number() OVER (), %(odd)s, %(odd)s, -2147483648, state, args::jsonb, %(odd)s, at, at, at,
           CASE WHEN state <> 'processing' THEN at END, 2147483647, -1, %(odd)s, %(odd)s, %(odd)s,
           %(odd)s || row_number() OVER (), %(odd)s, -5
       FROM unnest(enum_range(NULL::bulkport.job_state)) AS state, unnest(%(arguments)s::text[]) AS args,
           unnest(%(times)s::timestamptz[]) AS at
       WHERE state NOT IN ('succeeded', 'failed', 'cancelled')""",
    """INSERT INTO bulkport.finished_jobs (job_id, task, queue, priority, state, args, user_id, created_at, ready_at,
           started_at, finished_at, runs, failures, error_type, error, result)
       SELECT 5000 + row_number() OVER (), '', '', 0, state, args::jsonb, '', at, 'infinity', NULL, at, 0, -3,
           '', '', args::jsonb
       FROM unnest(ARRAY['succeeded', 'failed', 'cancelled']::bulkport.job_state[]) AS state,
           unnest(%(arguments)s::text[]) AS args, unnest(%(times)s::timestamptz[]) AS at""",
    """INSERT INTO bulkport.job_runs (job_id, run, outcome, server, started_at, ended_at, error_type, error, traceback,
           retry_at)
       SELECT job_id, n, 'lost', %(odd)s, NULL, 'infinity', NULL, %(odd)s,
           '  File "x", line ' || repeat('9', 5000) || ', in f' || chr(10) || %(odd)s, 'infinity'
       FROM bulkport.all_jobs, generate_series(-1, 1) AS n""",
    """INSERT INTO bulkport.job_history (job_id, at, state, reason, actor)
       SELECT job_id, '-infinity', 'awaiting', %(odd)s, %(odd)s FROM bulkport.all_jobs""",
    """INSERT INTO bulkport.job_progress (job_id, done, total, message, checkpoint)
       SELECT job_id, -1, 0, %(odd)s, '[[]]' FROM bulkport.all_jobs WHERE job_id %% 2 = 0""",
    """INSERT INTO bulkport.job_progress (job_id, done, total)
       SELECT job_id, 9, -9 FROM bulkport.jobs WHERE job_id % 2 = 1""",
    "INSERT INTO bulkport.job_logs SELECT job_id, 1, 0, 'infinity', %(odd)s, %(odd)s FROM bulkport.all_jobs",
    "INSERT INTO bulkport.job_tags SELECT job_id, tag FROM bulkport.all_jobs, unnest(ARRAY['', %(odd)s]) AS tag",
    "INSERT INTO bulkport.job_batches (description, user_id, created_at) VALUES (%(odd)s, '', '-infinity')",
    """INSERT INTO bulkport.job_continuations (child_id, parent_id, on_outcome)
       SELECT job_id, job_id, 'finished' FROM bulkport.all_jobs""",
    """INSERT INTO bulkport.queues VALUES (%(odd)s, 'infinity', '', %(odd)s, '-infinity', '', 2147483647, 'Infinity'),
       ('', NULL, NULL, NULL, NULL, NULL, NULL, 'NaN')""",
    """INSERT INTO bulkport.servers (worker_id, name, host, process_id, version, queues, tasks, concurrency,
           memory_bytes, memory_minutes, loop_lag_seconds, started_at, last_heartbeat)
       VALUES (1, %(odd)s, '', -1, '', ARRAY[NULL, %(odd)s], '{}', -1, -1, ARRAY[NULL, -1, 9223372036854775807], 'NaN',
           'infinity', 'infinity'),
           (2, '', %(odd)s, 0, %(odd)s, '{}', '{NULL}', 0, NULL, '{}', 'Infinity', '-infinity', '-infinity')""",
    """INSERT INTO bulkport.recurring_jobs (recurring_id, task, args, queue, priority, cron, timezone, missed, overlap,
           paused_at, next_at, last_at, last_job_id, last_note)
       SELECT %(odd)s || row_number() OVER (), '', args::jsonb, %(odd)s, 0, cron, zone, 'once', true, NULL, at, at,
           1001, %(odd)s
       FROM unnest(ARRAY['', 'never', '0 0 31 2 *', repeat('1,', 5000), '99 99 99 99 99', '@yearly']) AS cron,
           unnest(ARRAY['', 'Mars/Olympus', '../../etc/passwd', 'UTC']) AS zone, unnest(%(arguments)s::text[]) AS args,
           unnest(%(times)s::timestamptz[]) AS at
       WHERE cron = '@yearly' OR (args = 'null' AND at = 'infinity')""",
    """INSERT INTO bulkport.job_series (granularity, starts_at, task, queue, succeeded, failed, enqueued, durations,
           latencies)
       SELECT unit, at, %(odd)s, '', -5, -6, 9, sizes, sizes
       FROM unnest(ARRAY['minute', 'hour', 'day', 'all', 'century']) AS unit,
           unnest(ARRAY[now(), now() - interval '1 min', 'infinity']) AS at,
           LATERAL (SELECT ARRAY[NULL, -3, 2]::integer[] AS sizes) AS odd_sizes""",
    "INSERT INTO bulkport.server_series VALUES ('minute', date_trunc('minute', now()), %(odd)s, -1, -1)",
    "INSERT INTO bulkport.job_counts SELECT %(odd)s, '', 'failed', -7",
    """INSERT INTO bulkport.audit (id, at, actor, action, target, outcome, led_to) OVERRIDING SYSTEM VALUE
       SELECT n, at, %(odd)s, action, %(odd)s, NULL, led_to
       FROM unnest(ARRAY['', %(odd)s, 'jobs/requeue']) WITH ORDINALITY AS actions (action, n),
           unnest(ARRAY['infinity', NULL]::timestamptz[]) AS at, unnest(ARRAY['//evil.example/', NULL]) AS led_to
       WHERE at IS NOT NULL AND led_to IS NOT NULL""",
    """INSERT INTO bulkport.bulk_operations (operation_id, list, filter, jobs, is_more, effects, state)
       SELECT id, 'nothing', 'state=never&since=never', -1, true, '{"vanished": -1}', 'stopped' FROM bulkport.audit""",
    "INSERT INTO bulkport.muted_failures VALUES (%(odd)s, '', %(odd)s, 'infinity', '')",
    """INSERT INTO bulkport.dashboard_sessions (token_digest, way, viewer, role, begun_at, seen_at, expires_at, browser)
       VALUES ('1', 'link', %(odd)s, 'operator', '-infinity', '-infinity', 'infinity', %(odd)s)""",
    """INSERT INTO bulkport.bulk_import_jobs (id, resource, user_id, background_job_id, format, handling, status,
           total_records, total_chunks, body_bytes, source, name, tags, metadata, csv_columns, reading, file_name,
           warnings, created_at, started_at, completed_at, processed_count, success_count, failure_count, writing,
           differences, undone, outcomes, last_fault)
       SELECT 900 + row_number() OVER (), CASE n WHEN 1 THEN 'platforms' ELSE %(odd)s END, '', '', 'unknown', 'strict',
           status, 0, 0, -1, odd, %(odd)s, ARRAY['', %(odd)s], odd, odd, odd, %(odd)s, odd, 'infinity',
           '-infinity', CASE WHEN status = 'Failed' THEN timestamptz 'infinity' END, 9, -9, 9, odd, odd, odd, '{}',
           %(odd)s
       FROM unnest(ARRAY['Pending', 'Processing', 'Failed']) AS status, generate_series(1, 2) AS n,
           unnest(ARRAY['[]', 'null', '"text"', '{"a": [1, {}], "detected": 7}']::jsonb[]) AS odd
       WHERE odd <> 'null'""",
    """INSERT INTO bulkport.import_row_errors
       SELECT id, row, errors::json::jsonb, record::json FROM bulkport.bulk_import_jobs, (VALUES
           (1, '[]', '7'), (2, '{}', '[]'), (3, '[{"field": null}]', '{"a": 1}'), (4, '"text"', 'null'),
           (5, '[{"field": "a", "message": 7}]', '{"a": [1]}'), (6, '[7, null]', '{"": ""}')
           ) AS odd (row, errors, record)
       WHERE status = 'Failed'""",
)
PAGES: Final = (
    *(
        "",
        "?by=task&period=24h",
        "?by=queue",
        "?by=server",
        "jobs",
        "failures",
        "failures?muted=yes",
        "retries",
        "queues",
    ),
    *(
        "servers",
        "recurring",
        "recurring?size=200",
        "batches",
        "batches/1",
        "tasks",
        "tasks?period=24h",
        "audit",
        "imports",
    ),
    *(
        "imports?status=in-flight",
        "imports?status=Failed",
        "sessions",
        "jobs?sort=finished",
        "jobs?state=failed&sort=duration",
    ),
    *(f"jobs?state={state}&size=200" for state in ("enqueued", "scheduled", "awaiting", "retrying", "processing")),
    *(f"jobs?state={state}&size=200" for state in ("succeeded", "failed", "cancelled")),
    *(f"bulk-operations/{number}" for number in (1, 2, 3)),
)
RESOURCES: Final = (
    *(
        "",
        "/",
        "/jobs?size=200",
        "/jobs?state=failed&size=200",
        "/queues",
        "/servers",
        "/recurring",
        "/batches",
        "/tasks",
    ),
    *("/failures", "/attention", "/metrics", "/audit", "/imports", "/openapi.json"),
)


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[CommandSite]:
    async with open_command_site(database_url) as site:
        yield site


async def fill(url: str) -> tuple[list[int], list[int], list[str]]:
    """Insert the rows; the numbers of the jobs and imports, and the names of the recurring jobs."""
    values = {"odd": ODD, "arguments": list(ARGUMENTS), "times": list(TIMES)}
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in STATEMENTS:
            await connection.execute(statement, values if "%(" in statement else None)
        queries = (
            "SELECT min(job_id) FROM bulkport.all_jobs GROUP BY state, args::text",
            "SELECT id FROM bulkport.bulk_import_jobs",
        )
        jobs, imports = [[row[0] for row in await (await connection.execute(query)).fetchall()] for query in queries]
        cursor = await connection.execute("SELECT recurring_id FROM bulkport.recurring_jobs LIMIT 40")
        return jobs, imports, [row[0] for row in await cursor.fetchall()]


async def test_every_page_renders_any_stored_value(site: CommandSite) -> None:
    jobs, imports, recurring = await fill(site.url)
    assert len(jobs) > 60
    assert imports
    assert recurring
    paths = [*PAGES, *(f"jobs/{number}" for number in jobs), *(f"imports/{number}" for number in imports)]
    paths += [f"api/v1{path}" for path in RESOURCES]
    paths += [f"api/v1/jobs/{number}" for number in jobs[::7]] + [f"api/v1/imports/{number}" for number in imports]
    paths += [f"{kind}/{name}" for kind in ("recurring", "recurring/edit") for name in recurring]
    paths += [f"{kind}/{ODD}" for kind in ("queues", "servers", "tasks")]
    wrong = {}
    for path in paths:
        # Names may have question marks; other paths have queries.
        address = path if path in PAGES or path.startswith("api/") else quote(path)
        answer = await site.browser.get(f"/hangfire/{address}")
        if answer.status_code != 200:
            wrong[path[:60]] = answer.status_code
    assert wrong == {}
