"""A worker suspended with a chunk in progress delays nobody and does no harm when it resumes."""

import pytest
from command_processes import Site, until
from followed_import import FollowedImport
from import_bodies import platforms

pytestmark = pytest.mark.chaos

SLOW_STATEMENTS = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
    CREATE TRIGGER slow AFTER INSERT ON platforms FOR EACH STATEMENT EXECUTE FUNCTION wait();
"""
# COPY reads while it writes: more than a socket holds is then still in the worker's hands.
SLOW_ROWS = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.0001); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON platforms FOR EACH ROW EXECUTE FUNCTION wait();
"""


@pytest.mark.parametrize(
    ("slowness", "rows", "chunk_bytes"),
    [
        pytest.param(SLOW_STATEMENTS, 1_000, 10_000, id="between two statements"),
        pytest.param(SLOW_ROWS, 4_000, 2_000_000, id="in the middle of COPY"),
    ],
)
def test_the_work_of_a_stalled_worker_is_taken_over(site: Site, slowness: str, rows: int, chunk_bytes: int) -> None:
    site.rows(slowness)
    prefix = "p" * 80  # long rows, so that few of them fill a socket
    body = platforms(rows, chance=site.chance, bad_share=0.01, prefix=prefix)
    stalled = site.start_worker()
    site.wait_for_workers(stalled)
    with site.client(site.start_server(chunk_bytes=chunk_bytes)) as client:
        job = FollowedImport.send(client, body)
        until(lambda: _is_writing(site), "the worker to write")
        stalled.freeze()
        other = site.start_worker()
        job.until_settled(seconds=30)
        job.assert_exact(site)
        stalled.thaw()
        until(lambda: site.serving() == {stalled.pid, other.pid}, "the stalled worker to serve again")
        job.assert_exact(site)
        # It works as before: alone, it carries an import out.
        other.kill()
        site.rows("DELETE FROM platforms")
        second = FollowedImport.send(client, platforms(10, chance=site.chance, prefix="q"))
        second.until_settled()
        second.assert_exact(site)


def _is_writing(site: Site) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    return bool(site.value(query))
