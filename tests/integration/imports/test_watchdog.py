"""Imports whose background jobs are lost are requeued, however many there are."""

import asyncio

from bulkport.imports.worker.watchdog import Watchdog
from bulkport.jobs.postgres import PostgresEngine
from bulkport.pools import open_pool
from import_steps import execute, fetch

IMPORTS = 2_500
ADD = """
    INSERT INTO bulkport.bulk_import_jobs (resource, user_id, background_job_id, format, handling, total_records,
                                           total_chunks, body_bytes)
    SELECT 'offers', 'sam', id::text, 'ndjson', 'lenient', 1, 1, 1 FROM (
        SELECT job_id AS id FROM bulkport.jobs WHERE task = 'living'
        UNION ALL SELECT 1000000 + number FROM generate_series(1, 7) number
    ) job ORDER BY id
"""
JOBS = f"""
    INSERT INTO bulkport.jobs (task, queue, priority, state, args, created_at, ready_at)
    SELECT 'living', 'imports', 0, CASE number % 2 WHEN 0 THEN 'enqueued' ELSE 'retrying' END::bulkport.job_state,
           '{{}}', now(), now()
    FROM generate_series(1, {IMPORTS}) number
"""


async def test_lost_imports_among_thousands_of_live_ones_are_found_in_a_few_statements(shop_url: str) -> None:
    await execute(shop_url, JOBS)
    await execute(shop_url, ADD)
    lost = await fetch(
        shop_url, "SELECT id FROM bulkport.bulk_import_jobs WHERE background_job_id::bigint > 1000000 ORDER BY id"
    )
    async with open_pool(shop_url, name="watchdogs", most=3) as pool:
        dogs = [Watchdog(pool, PostgresEngine(pool)) for _ in range(3)]
        found = await asyncio.gather(*(dog.look(grace_seconds=0) for dog in dogs))
        assert sum(found) == 7
        assert await dogs[0].look(grace_seconds=0) == 0
    anew = await fetch(
        shop_url,
        "SELECT job.args ->> 'import_id', job.user_id FROM bulkport.jobs job"
        " JOIN bulkport.bulk_import_jobs import ON import.background_job_id = job.job_id::text"
        " AND (job.args ->> 'import_id')::bigint = import.id"
        " WHERE job.task = 'bulkport.process_large_import' ORDER BY job.job_id",
    )
    assert [(int(import_id), user) for import_id, user in anew] == [(import_id, "sam") for (import_id,) in lost]


async def test_an_import_that_is_being_worked_on_is_not_waited_for(shop_url: str) -> None:
    await execute(shop_url, ADD)
    async with (
        open_pool(shop_url, name="watchdogs", most=3) as pool,
        pool.connection() as connection,
        connection.transaction(),
    ):
        await connection.execute("SELECT FROM bulkport.bulk_import_jobs WHERE id = 3 FOR SHARE")
        async with asyncio.timeout(60):
            assert await Watchdog(pool, PostgresEngine(pool)).look(grace_seconds=0) == 6
