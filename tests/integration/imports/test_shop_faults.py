"""Faults unrelated to rows are retried and finally reported in the status; no import stays unfinished."""

import asyncio
from typing import Any

from shop_site import opened

from bulkport.imports.process import AttemptPolicy
from import_steps import NDJSON, STRICT, WAIT_SECONDS, accepted, execute, fetch, imported, ndjson, settled

OFFERS = "/api/offers-reject/bulk"
ROWS = [{"sku": f"S{i}", "title": "T"} for i in range(100)]
HANDLINGS: list[dict[str, str]] = [NDJSON, {**NDJSON, **STRICT}]


def _worker(attempts: int) -> dict[str, Any]:
    return {"attempts": AttemptPolicy(max_attempts=attempts, base_seconds=0.02, max_seconds=0.1)}


async def test_a_persistent_fault_ends_the_import(shop_url: str) -> None:
    async with opened(shop_url, worker=_worker(3), chunk_bytes=500) as site:
        for change, words in {
            "ALTER TABLE offers RENAME title TO name": "table offers has no column title",
            "ALTER TABLE offers RENAME TO sold": "table offers does not exist",
        }.items():
            await execute(site.url, change)
            for headers in HANDLINGS:
                job = await imported(site.api, OFFERS, content=ndjson(ROWS), headers=headers)
                assert (job["status"], job["successCount"], job["failureCount"]) == ("Failed", 0, 0)
                assert job["errorSummary"] == f"Fatal error: resource 'offers-reject': {words}"
                assert job["attempts"] == 1  # no further attempt mends a declaration
        assert await fetch(site.url, "SELECT payload FROM bulkport.import_chunks WHERE payload IS NOT NULL") == []


async def test_an_import_continues_where_a_fault_stopped_it(shop_url: str) -> None:
    async with opened(shop_url, worker=_worker(1000), chunk_bytes=500) as site:
        # A full disk is not a row's fault.
        await execute(
            site.url,
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$;
            """,
        )
        for headers in HANDLINGS:
            await execute(
                site.url,
                "TRUNCATE offers; CREATE TRIGGER full_disk BEFORE INSERT ON offers FOR EACH ROW"
                " WHEN (NEW.sku = 'S70') EXECUTE FUNCTION refuse()",
            )
            job_id = await accepted(site.api, OFFERS, content=ndjson(ROWS), headers=headers)
            async with asyncio.timeout(WAIT_SECONDS):
                while (job := (await site.api.get(f"/api/imports/{job_id}")).json())["attempts"] < 3:
                    assert job["status"] in {"Pending", "Processing"}
                    await asyncio.sleep(0.02)
            await execute(site.url, "DROP TRIGGER full_disk ON offers")
            job = await settled(site.api, job_id)
            assert (job["status"], job["successCount"], job["errorSummary"]) == ("Completed", 100, None)
            assert await fetch(site.url, "SELECT count(*) FROM offers") == [(100,)]


async def test_database_outages_use_up_no_attempts(shop_url: str) -> None:
    await execute(
        shop_url,
        """
        CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
        CREATE TRIGGER pause BEFORE INSERT ON offers FOR EACH STATEMENT EXECUTE FUNCTION pause()
        """,
    )
    end = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    async with opened(shop_url, worker=_worker(2)) as site:
        job_id = await accepted(site.api, OFFERS, content=ndjson(ROWS), headers=NDJSON)
        for _ in range(4):
            async with asyncio.timeout(WAIT_SECONDS):
                while not (ended := await fetch(shop_url, end)):
                    await asyncio.sleep(0.02)
                # A process that is told to end takes its time, and counts once.
                while await fetch(shop_url, f"SELECT FROM pg_stat_activity WHERE pid = {ended[0][0]}"):
                    await asyncio.sleep(0.02)
        job = await settled(site.api, job_id)
        assert (job["status"], job["successCount"], job["attempts"]) == ("Completed", len(ROWS), 5)


async def test_an_import_whose_connection_always_breaks_eventually_fails(shop_url: str) -> None:
    policy = AttemptPolicy(max_attempts=2, base_seconds=0.02, max_seconds=0.1, max_outage_seconds=0.5)
    async with opened(shop_url, worker={"attempts": policy}, chunk_bytes=500) as site:
        await execute(
            site.url,
            """
            CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
            CREATE TRIGGER cut BEFORE INSERT ON offers FOR EACH STATEMENT EXECUTE FUNCTION cut();
            """,
        )
        job = await imported(site.api, OFFERS, content=ndjson(ROWS), headers=NDJSON)
        assert (job["status"], job["successCount"]) == ("Failed", 0)
        assert job["errorSummary"].startswith("Fatal error: ")
        # Cut connections use up no attempts; the time since the first of them does.
        assert job["attempts"] > policy.max_attempts
