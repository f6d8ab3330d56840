"""What a statement of a worker reads does not grow with what waits, runs or has ended.

A session plans the statements of a function once, and a worker's session often does so while the table is empty. So
each statement here is planned on empty tables, and then run beside a small and beside a large backlog; and once more,
planned by what is known of the large one.
"""

from typing import Any, Final

import psycopg
import pytest
from engine_site import EngineSite
from psycopg.rows import tuple_row

FEW: Final = 40
MANY: Final = 4_000
_TWICE: Final = 2
"""The logarithm of the size may show; the size may not."""
_SLACK_PAGES: Final = 60

_OF_EACH_KIND: Final = """
INSERT INTO bulkport.jobs (
    task, queue, priority, state, fair_at, args, user_id, created_at, ready_at, due_at, started_at, worker_id,
    concurrency_key, concurrency_limit, parked, parents_left)
SELECT kind.task, 'default', 0, kind.state::bulkport.job_state, number, '{}', 'user-' || number %% 7, now(), now(),
       CASE WHEN kind.state IN ('scheduled', 'retrying') THEN now() + interval '1 day' END,
       CASE WHEN kind.state = 'processing' THEN now() END,
       CASE WHEN kind.state = 'processing' THEN (SELECT max(worker_id) FROM bulkport.servers WHERE name = 'other') END,
       CASE WHEN kind.parked THEN 'key-' || number %% 3 END, CASE WHEN kind.parked THEN 1 END, kind.parked,
       (kind.state = 'awaiting')::integer
FROM generate_series(1, %(jobs)s) AS number,
     (VALUES ('plain', 'enqueued', false), ('unknown', 'enqueued', false), ('plain', 'enqueued', true),
             ('plain', 'scheduled', false), ('plain', 'retrying', false), ('plain', 'awaiting', false),
             ('plain', 'processing', false)) AS kind (task, state, parked);
"""
_FINISHED: Final = """
INSERT INTO bulkport.finished_jobs (job_id, task, queue, priority, state, args, created_at, ready_at, started_at,
                                    finished_at, runs, failures)
SELECT -number, 'plain', 'default', 0, 'succeeded', '{}', now(), now(), now(), now(), 1, 0
FROM generate_series(1, %(jobs)s) AS number
"""
_OWN: Final = """
WITH mine AS (
    INSERT INTO bulkport.jobs (
        task, queue, priority, state, args, created_at, ready_at, started_at, worker_id, concurrency_key,
        concurrency_limit)
    SELECT 'plain', 'default', 0, 'processing', '{}', now(), now(), now(), %(worker_id)s,
           CASE WHEN number %% 2 = 0 THEN 'own key' END, CASE WHEN number %% 2 = 0 THEN 5 END
    FROM generate_series(1, 8) AS number RETURNING job_id
)
SELECT array_agg(job_id) FROM mine
"""


def _outcomes(outcome: str) -> str:
    return (
        "SELECT * FROM bulkport.finish(%(worker_id)s, 'this', (SELECT json_agg(json_build_object("
        f" 'job_id', id, 'runs', 0, 'outcome', '{outcome}', 'seconds', 0.1, 'delay', 0))"
        " FROM unnest(%(own)s::bigint[]) AS id))"
    )


STATEMENTS: Final = {
    "claim": "SELECT * FROM bulkport.claim(%(worker_id)s, '{plain}', '{}', NULL, 10, 40)",
    "claim of served queues": "SELECT * FROM bulkport.claim(%(worker_id)s, '{plain}', '{}', '{default}', 10, 40)",
    "claim of one heavy job": "SELECT * FROM bulkport.claim(%(worker_id)s, '{plain}', '{plain}', NULL, 1, 4)",
    "success": _outcomes("succeeded"),
    "failure": _outcomes("failed"),
    "retry": _outcomes("retry"),
    "hand back": _outcomes("handed_back"),
    "due jobs": "SELECT * FROM bulkport.release_due(100)",
    "rescue": "SELECT * FROM bulkport.rescue()",
    "enqueueing of one": "SELECT bulkport.enqueue_now('plain', 'default', 0, '{}', 'user-1')",
    "enqueueing of some": (
        "SELECT * FROM bulkport.enqueue((SELECT json_agg(json_build_object("
        " 'task', 'plain', 'args', json_build_object(), 'queue', 'default', 'priority', 0, 'user_id', 'user-1'))"
        " FROM generate_series(1, 10)))"
    ),
    "look-up": "SELECT * FROM bulkport.all_jobs WHERE job_id = (%(own)s::bigint[])[1]",
    "own jobs": "SELECT job_id FROM bulkport.jobs WHERE state = 'processing' AND worker_id = %(worker_id)s",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
async def test_statements_read_no_more_with_a_large_backlog(site: EngineSite, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as connection:
        connection.prepare_threshold = None
        await site.connection.execute(
            "ALTER TABLE bulkport.jobs SET (autovacuum_enabled = false);"
            "ALTER TABLE bulkport.finished_jobs SET (autovacuum_enabled = false)"
        )
        for name in ("other", "this"):
            worker_id = await site.value(
                "INSERT INTO bulkport.servers (name, host, process_id, version, tasks, concurrency)"
                " VALUES (%s, 'here', 1, '0', '{plain}', 20) RETURNING worker_id",
                name,
            )
        for _ in range(7):  # a generic plan is chosen at the sixth execution
            await _pages(connection, statement, {"worker_id": worker_id, "own": await _own(site, worker_id)})
        read = {}
        for jobs in (FEW, MANY):
            own = await _own(site, worker_id)
            await site.connection.execute(_OF_EACH_KIND, {"jobs": jobs})
            await site.connection.execute(_FINISHED, {"jobs": jobs})
            read[jobs] = await _pages(connection, statement, {"worker_id": worker_id, "own": own})
        assert read[MANY] <= _TWICE * read[FEW] + _SLACK_PAGES, read
        own = await _more_own(site, worker_id)
        await site.connection.execute("ANALYZE bulkport.jobs, bulkport.finished_jobs")
        read[MANY] = await _pages(connection, statement, {"worker_id": worker_id, "own": own})
        assert read[MANY] <= _TWICE * read[FEW] + _SLACK_PAGES, f"planned beside many jobs: {read}"


async def _own(site: EngineSite, worker_id: int) -> list[int]:
    """Jobs that the worker runs, in tables that hold nothing else."""
    await site.connection.execute("DELETE FROM bulkport.jobs; DELETE FROM bulkport.finished_jobs")
    await site.connection.execute("VACUUM bulkport.jobs, bulkport.finished_jobs")
    return await _more_own(site, worker_id)


async def _more_own(site: EngineSite, worker_id: int) -> list[int]:
    """Further jobs that the worker runs."""
    cursor = await site.connection.execute(_OWN, {"worker_id": worker_id})
    row = await cursor.fetchone()
    assert row is not None
    return list(row[0])


async def _pages(connection: psycopg.AsyncConnection[Any], statement: str, arguments: dict[str, Any]) -> int:
    """Pages that the statement touches, in functions that it calls too."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + statement, arguments)  # type: ignore[arg-type]
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
