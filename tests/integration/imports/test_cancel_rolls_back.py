"""Cancelling with `rollback=true` removes stored rows and reports how many."""

import asyncio
import time
from typing import Any

import psycopg
import pytest
from table_site import TableSite, table_site
from test_tables_undo import ITEMS, TABLES

from import_steps import NDJSON, accepted, execute, fetch, ndjson, settled

ROWS = [{"name": f"n{i}"} for i in range(400)]

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"


async def unfinished(site: TableSite, job_id: int) -> int:
    """How many chunks are not done."""
    found = await fetch(
        site.url, f"SELECT count(*) FROM bulkport.import_chunks WHERE job_id = {job_id} AND state <> 'done'"
    )
    return int(found[0][0])


async def stored(site: TableSite) -> int:
    return int((await site.rows("SELECT count(*) FROM items WHERE name <> 'old'"))[0][0])


async def half_imported(site: TableSite) -> tuple[int, Any]:
    """An import with some stored chunks and one that waits for a lock; its id and the lock's holder."""
    holder = await psycopg.AsyncConnection.connect(site.url)
    # A row that is not committed makes who writes its key wait: both chunk workers, here.
    await holder.execute("INSERT INTO items (name) VALUES ('n200'), ('n300')")
    job_id = await accepted(site.api, "/api/items/bulk", content=ndjson(ROWS), headers=NDJSON)
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 60
    while await stored(site) < 100 or not await site.rows(waiting):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return job_id, holder


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_stored_rows_are_rolled_back_with_the_cancellation(database_url: str, method: str) -> None:
    async with table_site(database_url, TABLES, ITEMS, chunk_bytes=500) as site:
        job_id, holder = await half_imported(site)
        path = f"/api/imports/{job_id}" + ("" if method == "DELETE" else "/cancel")
        answer = await site.api.request(method, f"{path}?rollback=true", timeout=60)
        # The chunk that waits for the lock keeps it from being settled by who asks.
        assert answer.status_code == 202, answer.text
        await holder.rollback()
        await holder.close()
        job = await settled(site.api, job_id)
        assert job["status"] == "Cancelled"
        assert job["undone"]["removed"] == job["successCount"] > 0
        assert job["errorSummary"] == f"Cancelled by its owner; {job['successCount']} rows were written before"
        assert (job["undone"]["kept"], await stored(site)) == (0, 0)
        again = await site.api.delete(f"/api/imports/{job_id}?rollback=true")
        assert (again.status_code, again.json()["undone"]) == (200, job["undone"])


@pytest.mark.parametrize(
    ("rows", "is_strict", "status"),
    [(400, False, "Cancelled"), (400, True, "Cancelled"), (3, False, "Completed")],
    ids=["the last chunk", "all or nothing", "one statement"],
)
async def test_a_cancellation_during_the_last_rows_leaves_nothing(
    database_url: str, rows: int, is_strict: bool, status: str
) -> None:
    async with table_site(database_url, TABLES, ITEMS, chunk_bytes=500) as site:
        async with await psycopg.AsyncConnection.connect(site.url) as holder:
            await holder.execute("INSERT INTO items (name) VALUES (%s)", [f"n{rows - 1}"])
            headers = NDJSON | ({"prefer": "handling=strict"} if is_strict else {})
            job_id = await accepted(site.api, "/api/items/bulk", content=ndjson(ROWS[:rows]), headers=headers)
            # All rows but those of the last chunk are written, and that one waits for the row that is not committed.
            async with asyncio.timeout(60):
                while await fetch(site.url, WAITS) != [(1,)] or not (is_strict or await unfinished(site, job_id) == 1):
                    await asyncio.sleep(0.02)
            answer = await site.api.delete(f"/api/imports/{job_id}?rollback=true", timeout=60)
            assert answer.status_code == 202, answer.text
            await holder.rollback()
        job = await settled(site.api, job_id)
        async with asyncio.timeout(60):
            while await stored(site):
                await asyncio.sleep(0.02)
        assert job["status"] == status
        assert await fetch(site.url, "SELECT count(*) FROM bulkport.import_cancellations") == [(0,)]


async def test_an_import_cancelled_earlier_can_still_be_rolled_back(database_url: str) -> None:
    async with table_site(database_url, TABLES, ITEMS, chunk_bytes=500) as site:
        job_id, holder = await half_imported(site)
        assert (await site.api.delete(f"/api/imports/{job_id}", timeout=60)).status_code == 202
        await holder.rollback()
        await holder.close()
        job = await settled(site.api, job_id)
        assert (job["undone"], await stored(site)) == (None, job["successCount"])
        await execute(site.url, "UPDATE items SET price = 9 WHERE name = 'n1'")
        job = (await site.api.delete(f"/api/imports/{job_id}?rollback=true")).json()
        assert (job["undone"]["removed"], job["undone"]["kept"]) == (job["successCount"] - 1, 1)
        assert await stored(site) == 1


async def test_a_rollback_of_a_finished_or_untracked_import_is_rejected_without_cancelling(database_url: str) -> None:
    tables = f"""
        {TABLES}
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER touch AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION touch();
    """
    async with table_site(database_url, tables, ITEMS) as site:
        job, _ = await site.load([{"name": "new"}])
        answer = await site.api.delete(f"/api/imports/{job['id']}?rollback=true")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/cannot-undo")
        job, _ = await site.load([{"name": "newer"}], query="?results=ids")
        answer = await site.api.delete(f"/api/imports/{job['id']}?rollback=true")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/already-ended")
        assert await fetch(site.url, "SELECT count(*) FROM bulkport.import_cancellations") == [(0,)]
        assert await stored(site) == 2
