"""`kill -9` of workers that write, report and settle a small import by one statement: all of it is done, once."""

import pytest
from command_processes import Site, until
from followed_import import FollowedImport, stored
from import_bodies import platforms
from worker_killing import WorkerKiller

pytestmark = pytest.mark.chaos

KILLS = 4
IMPORTS_A_KILL = 8

# The statement takes until its worker was killed in its middle.
HELD_WRITES = """
    CREATE TABLE held (are_held boolean);
    INSERT INTO held VALUES (true);
    CREATE FUNCTION be_held() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        WHILE (SELECT are_held FROM held) LOOP
            PERFORM pg_sleep(0.005);
        END LOOP;
        RETURN NULL;
    END $$;
    CREATE TRIGGER held AFTER INSERT ON platforms FOR EACH STATEMENT EXECUTE FUNCTION be_held();
"""
ARE_WRITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'
"""


def test_killed_workers_neither_lose_nor_duplicate_rows_of_a_small_import(site: Site) -> None:
    site.rows(HELD_WRITES)
    killer = WorkerKiller(site, rows=0, kills=0)
    jobs: list[FollowedImport] = []
    with site.client(site.start_server()) as client:
        while killer.kills < KILLS:
            site.rows("UPDATE held SET are_held = true")
            for _ in range(IMPORTS_A_KILL):
                body = platforms(10, chance=site.chance, bad_share=0.2, prefix=f"i{len(jobs)}-")
                jobs.append(FollowedImport.send(client, body))
            until(lambda: site.value(ARE_WRITING), "a worker to write")
            killer.kill()
            site.rows("UPDATE held SET are_held = false")
        for job in jobs:
            now = job.until_settled()
            assert (now["status"], now["successCount"], now["failureCount"]) == ("PartialSuccess", 8, 2)
            job.assert_reported()
        assert stored(site, jobs[0].body) == sorted(name for job in jobs for name in job.body.good)
        assert (
            site.value("SELECT count(*) FROM bulkport.import_chunks WHERE state <> 'done' OR payload IS NOT NULL") == 0
        )
