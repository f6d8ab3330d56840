"""What stays broken fails an import after its last attempt, in words; what is mended in time does not."""

import pytest
from command_processes import Site, until
from followed_import import FollowedImport, stored
from import_bodies import platforms

pytestmark = pytest.mark.chaos

ATTEMPTS = 3
SETTINGS = {
    "import_max_attempts": ATTEMPTS,
    "import_retry_base_seconds": 0.05,
    "import_retry_max_seconds": 0.2,
    "import_max_outage_seconds": 1,
}


def trigger(action: str) -> str:
    """A trigger on each write of platforms."""
    return f"""
        CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {action}; RETURN NULL; END $$;
        CREATE TRIGGER sabotage AFTER INSERT ON platforms FOR EACH STATEMENT EXECUTE FUNCTION sabotage();
    """


SABOTAGES = {
    "table renamed": ("ALTER TABLE platforms RENAME TO elsewhere", "table public.platforms does not exist"),
    "column missing": (
        "ALTER TABLE platforms RENAME COLUMN platform_name TO name",
        "table public.platforms has no column platform_name",
    ),
    "function missing": (trigger("PERFORM no_such_function()"), "function no_such_function() does not exist"),
    # An outage uses up no attempt, so this one is bounded by time.
    "connection cut": (
        trigger("PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(5)"),
        "terminating connection due to administrator command",
    ),
    "disk fault": (trigger("RAISE EXCEPTION 'the disk is on fire' USING ERRCODE = '58030'"), "the disk is on fire"),
}
MENDINGS = {
    "table renamed": "ALTER TABLE elsewhere RENAME TO platforms",
    "column missing": "ALTER TABLE platforms RENAME COLUMN name TO platform_name",
}


def test_a_persistent_fault_fails_an_import_after_its_last_attempt(site: Site) -> None:
    site.wait_for_workers(site.start_worker(**SETTINGS))
    with site.client(site.start_server(chunk_bytes=10_000)) as client:
        for sabotage, handling in [*((sabotage, "lenient") for sabotage in SABOTAGES), ("disk fault", "strict")]:
            statement, words = SABOTAGES[sabotage]
            site.rows(statement)
            body = platforms(600, chance=site.chance, bad_share=0.01 if handling == "lenient" else 0)
            job = FollowedImport.send(client, body, prefer=f"handling={handling}")
            job.until_settled()
            assert job.last["status"] == "Failed", sabotage
            assert job.last["errorSummary"].startswith("Fatal error: "), sabotage
            assert words in job.last["errorSummary"], sabotage
            assert job.last["successCount"] == 0, sabotage
            until(lambda: not _unfinished_background_jobs(site), f"the background jobs to end after: {sabotage}")
            assert job.look() == job.last
            state = "SELECT state FROM bulkport.all_jobs WHERE job_id = %s::bigint"
            assert site.value(state, job.last["hangfireJobId"]) == "failed", sabotage
            site.rows(MENDINGS.get(sabotage, "DROP FUNCTION sabotage CASCADE"))


def test_rows_stored_before_a_persistent_fault_are_counted(site: Site) -> None:
    body = platforms(5_000, chance=site.chance, bad_share=0.01)
    poison = body.good[3_000]
    site.rows(
        f"""
        CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the disk is on fire' USING ERRCODE = '58030'; END $$;
        CREATE TRIGGER sabotage BEFORE INSERT ON platforms FOR EACH ROW WHEN (NEW.platform_name = '{poison}')
        EXECUTE FUNCTION sabotage();
        """
    )
    site.wait_for_workers(site.start_worker(**SETTINGS))
    with site.client(site.start_server(chunk_bytes=10_000, chunk_workers=1)) as client:
        job = FollowedImport.send(client, body)
        job.until_settled()
        # The last attempt looks for the row, since all others can be written.
        assert job.last["status"] == "PartialSuccess"
        kept = stored(site, body)
        report = [entry["row"] for entry in job.report()]
        assert kept == [name for name in body.good if name != poison]
        assert job.last["successCount"] == len(kept) > 0
        assert job.last["failureCount"] == len(report) == len(body.bad) + 1
        assert set(body.bad) < set(report)
        # Attempts that got further do not count against the import; those at the bad chunk do.
        detail = client.get(f"/api/imports/{job.id}").json()
        assert ATTEMPTS <= detail["attempts"] <= ATTEMPTS + 1


def test_a_fault_that_is_corrected_loses_nothing(site: Site) -> None:
    body = platforms(2_000, chance=site.chance, bad_share=0.01)
    site.rows(
        """
        CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the disk is on fire' USING ERRCODE = '58030'; END $$;
        CREATE TRIGGER sabotage BEFORE INSERT ON platforms FOR EACH ROW EXECUTE FUNCTION sabotage();
        """
    )
    site.wait_for_workers(site.start_worker(import_max_attempts=1000, import_retry_base_seconds=0.05))
    with site.client(site.start_server(chunk_bytes=10_000)) as client:
        job = FollowedImport.send(client, body)
        until(lambda: site.value("SELECT attempts FROM bulkport.bulk_import_jobs") > 1, "an attempt to fail")
        assert job.look()["status"] in {"Pending", "Processing"}
        site.rows("DROP TRIGGER sabotage ON platforms")
        job.until_settled()
        job.assert_exact(site)


def _unfinished_background_jobs(site: Site) -> int:
    count: int = site.value("SELECT count(*) FROM bulkport.all_jobs WHERE finished_at IS NULL")
    return count
