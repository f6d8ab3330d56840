"""Many workers share one import, and no two of them ever work on one chunk."""

import pytest
from command_processes import Site
from followed_import import FollowedImport
from import_bodies import platforms

pytestmark = pytest.mark.chaos

WORKERS = 4
GATHERING = 4713

# Each chunk is one statement. The first ones wait until more backends than there are workers write at one time, and
# each notes who wrote what: that note is lost with the transaction, but the numbers that the identity column has given
# out are not.
SLOW_WRITES = f"""
    CREATE TABLE writes (first text, count bigint, backend integer DEFAULT pg_backend_pid());
    CREATE SEQUENCE gathered;
    CREATE FUNCTION write_slowly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO writes (first, count) SELECT min(platform_name), count(*) FROM written;
        PERFORM pg_advisory_xact_lock_shared({GATHERING});
        WHILE NOT (SELECT is_called FROM gathered) LOOP
            IF {WORKERS} < (SELECT count(DISTINCT pid) FROM pg_locks WHERE objid = {GATHERING}) THEN
                PERFORM nextval('gathered');
            END IF;
            PERFORM pg_sleep(0.005);
        END LOOP;
        RETURN NULL;
    END $$;
    CREATE TRIGGER slow AFTER INSERT ON platforms REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION write_slowly();
"""


@pytest.mark.parametrize("rows_of_a_chunk", [200, 2_500])
def test_no_two_workers_process_the_same_chunk(site: Site, rows_of_a_chunk: int) -> None:
    site.rows(SLOW_WRITES)
    body = platforms(rows_of_a_chunk * 30, chance=site.chance)
    chunk_bytes = rows_of_a_chunk * len(body.lines[0] + "\n")
    server = site.start_server(chunk_bytes=chunk_bytes, chunk_workers=2 * WORKERS)
    site.wait_for_workers(*[site.start_worker(worker_concurrency=2) for _ in range(WORKERS)])
    with site.client(server) as client:
        job = FollowedImport.send(client, body)
        job.until_settled()
        job.assert_exact(site)
    chunks, written, backends = site.rows(
        "SELECT count(*), count(DISTINCT first), count(DISTINCT backend) FROM writes"
    )[0]
    assert chunks == written == site.value("SELECT total_chunks FROM bulkport.bulk_import_jobs")
    assert backends > WORKERS
    # No row was even tried twice: a number given out is not taken back when its transaction is.
    assert site.value("SELECT max(id) FROM platforms") == body.rows
