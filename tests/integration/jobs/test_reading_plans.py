"""How PostgreSQL carries searches out: by an index, whatever is asked for, with many jobs in the table."""

import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from reading_site import NOON

from bulkport.jobs.job import JobState
from bulkport.jobs.procrastinate_engine.reading import search, servers, statistics
from bulkport.jobs.procrastinate_engine.reading.cursors import Place
from bulkport.jobs.procrastinate_engine.reading.finding import Start, Statement, StateQuery, state_queries
from bulkport.jobs.reading.query import JobQuery, JobSort

# 100,000 finished jobs, and 20,000 that wait: some for a time, some for their next attempt.
HISTORY: Final = """
INSERT INTO background_jobs (
    job_id, task, queue, priority, state, args, user_id, created_at, ready_at, started_at, finished_at, runs,
    error_type, error, batch_id, due_at, search_text)
SELECT number, task, 'queue-' || number % 4, 0, state, args, 'user-' || number % 500, at, at,
       CASE WHEN is_final THEN at + interval '1 s' END,
       CASE WHEN is_final THEN at + number % 100 * interval '1 s' END, is_final::integer, error_type, error,
       CASE WHEN number % 50 = 0 THEN 1 + number / 10000 END,
       CASE WHEN state IN ('scheduled', 'retrying') THEN at + number % 100 * interval '1 h' END,
       CASE WHEN is_final THEN background_search_text_v1(args, concat_ws(': ', error_type, error)) END
FROM (
    SELECT number, number <= 100000 AS is_final,
           CASE WHEN number % 20000 = 7 THEN 'rare' WHEN number < 10000 THEN 'old'
                ELSE 'task-' || number % 10 END AS task,
           CASE WHEN number > 105000 AND number % 3 = 0 THEN 'scheduled'
                WHEN number > 105000 AND number % 40 = 1 THEN 'retrying'
                WHEN number > 100000 THEN 'enqueued' WHEN number % 100 = 0 THEN 'failed'
                WHEN number % 300 = 1 THEN 'cancelled' ELSE 'succeeded' END::background_job_state AS state,
           jsonb_build_object('to', 'user' || number || '@example.org', 'mark', md5(number::text)) AS args,
           timestamptz '2026-03-01 12:00:00+00' + number * interval '1 s' AS at,
           CASE WHEN number % 100 = 0 THEN 'TimeoutError' END AS error_type,
           CASE WHEN number % 100 = 0 THEN 'host mail-' || number % 7 || ' does not answer' END AS error
    FROM generate_series(1, 120000) AS number
) AS made
"""
QUEUE: Final = """
INSERT INTO procrastinate_jobs (id, queue_name, task_name, args, status)
SELECT job_id, queue, task, args, CASE WHEN state = 'enqueued' THEN 'todo' ELSE 'failed' END::procrastinate_job_status
FROM background_jobs WHERE state <> 'succeeded'
"""

FAILED = frozenset({JobState.FAILED})
SUCCEEDED = frozenset({JobState.SUCCEEDED})
HOUR = timedelta(hours=1)
START = Start(None, is_backward=False)

MAIN_QUERIES: Final[list[dict[str, Any]]] = [
    {},
    {"states": FAILED},
    {"states": SUCCEEDED},
    {"states": [JobState.ENQUEUED]},
    {"states": [JobState.PROCESSING]},
    {"states": [JobState.SCHEDULED]},
    {"states": [JobState.RETRYING]},
    {"states": [JobState.RETRYING], "task": "task-3"},
    {"task": "task-3"},
    {"task": "rare"},
    {"task": "old", "states": SUCCEEDED},
    {"task": "task-3", "states": FAILED},
    {"task": "nowhere"},
    {"queue": "queue-1"},
    {"user_id": "user-7"},
    {"user_id": "user-7", "task": "task-3"},
    {"user_id": "user-7", "queue": "queue-2", "states": SUCCEEDED},
    {"batch_id": 3},
    {"error_type": "TimeoutError"},
    {"text": "USER12345@"},
    {"text": "example.org"},
    {"text": "mail-3", "states": SUCCEEDED},
    {"text": "abcde", "task": "task-3"},
    {"text": "nowhere to be found"},
    {"text": "zz"},
    {"created_since": NOON + 5 * HOUR, "created_until": NOON + 6 * HOUR},
    {"finished_since": NOON + 5 * HOUR, "finished_until": NOON + 6 * HOUR},
    {"finished_since": NOON + 5 * HOUR, "task": "task-3", "states": FAILED},
]


RUNNING: Final = """
WITH server AS (
    INSERT INTO background_servers (worker_id, name, host, process_id, version, concurrency)
    SELECT worker_id, 'server-1', 'here', 7, '1', 20 FROM procrastinate_register_worker_v1() RETURNING worker_id
)
SELECT procrastinate_fetch_job_v2(NULL, worker_id) FROM server, generate_series(1, 20)
"""
COUNTS: Final = (
    "INSERT INTO background_counts SELECT task, queue, state, count(*) FROM background_jobs GROUP BY 1, 2, 3"
)
QUEUES: Final = "INSERT INTO background_queues (name) VALUES ('queue-0'), ('queue-1')"


@pytest.fixture(scope="module")
def many_jobs_url(server_url: str, migrated_template: str) -> Iterator[str]:
    """A database with a history, and with jobs that wait and run; for reading only."""
    name = f"test_{uuid.uuid4().hex}"
    url = make_conninfo(server_url, dbname=name)
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (HISTORY, QUEUE, COUNTS, QUEUES, RUNNING, "VACUUM ANALYZE"):
                connection.execute(statement)
        yield url
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def many_jobs(many_jobs_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(many_jobs_url, autocommit=True) as connection:
        yield connection


async def plan_of(connection: psycopg.AsyncConnection[Any], statement: Statement) -> str:
    text = sql.SQL("EXPLAIN {}").format(statement.text)
    cursor = await connection.execute(text, statement.arguments, prepare=False)
    return "\n".join(row[0] for row in await cursor.fetchall())


def looks(part: StateQuery, start: Start) -> list[Statement]:
    """The statements that look at jobs in their order."""
    if not part.has_rest:
        return [part.take(start, 51), part.count((), 10_001)]
    scans = [part.scan(start, 51, most) for most in (search.FIRST_SCANNED, search.MOST_SCANNED)]
    return [*scans, part.count_scanned(search.MOST_SCANNED, 1_001)]


async def test_no_search_reads_the_whole_table(many_jobs: psycopg.AsyncConnection[Any]) -> None:
    for arguments in MAIN_QUERIES:
        for sort in JobSort:
            middle = timedelta(seconds=50) if sort is JobSort.DURATION else NOON + 14 * HOUR
            for descending in (True, False):
                query = JobQuery(**arguments, sort=sort, descending=descending)
                for part in state_queries(query):
                    for start in (START, Start(Place(middle, 50_000), is_backward=True)):
                        for statement in looks(part, start):
                            plan = await plan_of(many_jobs, statement)
                            assert "Seq Scan on background_jobs" not in plan, f"{query}\n{plan}"


async def test_pages_are_read_in_the_order_of_an_index(many_jobs: psycopg.AsyncConnection[Any]) -> None:
    """Without sorting: the cost of a page does not depend on how many jobs there are."""
    for arguments in MAIN_QUERIES:
        for sort in JobSort:
            query = JobQuery(**arguments, sort=sort)
            for part in state_queries(query):
                if part.has_rest or JobState.PROCESSING in query.states or arguments.get("task") == "rare":
                    continue
                plan = await plan_of(many_jobs, part.take(START, 51))
                assert "Sort" not in plan or "rows=51" not in plan.splitlines()[0], f"{query}\n{plan}"


async def test_gathering_goes_by_bitmaps(many_jobs: psycopg.AsyncConnection[Any]) -> None:
    for kind in ("seqscan", "indexscan", "indexonlyscan"):
        await many_jobs.execute(f"SET enable_{kind} = off")
    for arguments in MAIN_QUERIES:
        for part in state_queries(JobQuery(**arguments)):
            if part.has_rest and part.can_be_gathered:
                plan = await plan_of(many_jobs, part.gather((), START, 51, search.MOST_GATHERED))
                assert "Bitmap Heap Scan on background_jobs" in plan, plan
    (part,) = state_queries(JobQuery(text="USER12345@", states=SUCCEEDED))
    plan = await plan_of(many_jobs, part.gather((), START, 51, search.MOST_GATHERED))
    assert "background_jobs_search" in plan
    assert part.anchor == "USER12345"
    plan = await plan_of(many_jobs, part.gather_by_anchor((), START, 51, search.MOST_ANCHORED))
    assert "background_jobs_search" in plan


async def test_numbers_are_read_without_reading_the_jobs(many_jobs: psycopg.AsyncConnection[Any]) -> None:
    arguments = {"silent_seconds": 12.0, "most_overdue": 1_000}
    for text in (statistics.STATISTICS, servers.QUEUES, servers.SERVERS):
        plan = await plan_of(many_jobs, Statement(sql.SQL("{}").format(text), arguments))
        assert "Seq Scan on background_jobs" not in plan, plan
        assert "Seq Scan on procrastinate_jobs" not in plan, plan
