"""`serve` replaces a worker that dies, and has its work taken over at once."""

import re
import signal

import pytest
from command_processes import Site, until
from followed_import import FollowedImport
from held_imports import held_back
from import_bodies import platforms

pytestmark = pytest.mark.chaos

# Long enough for the test to end before a silent worker would be given up: only `serve` can tell.
UNHURRIED = {"worker_heartbeat_seconds": 60, "worker_stalled_seconds": 300}


def test_the_work_of_a_killed_supervised_worker_is_taken_over_at_once(site: Site) -> None:
    body = platforms(20_000, chance=site.chance, bad_share=0.01)
    # One chunk worker: the import stands still until the dead worker's background job runs elsewhere.
    server = site.start_server(workers=2, chunk_bytes=10_000, chunk_workers=1, **UNHURRIED)
    first_workers = until(lambda: workers if len(workers := site.serving()) == 2 else None, "both workers to serve")
    assert first_workers is not None
    with site.client(server) as client:
        with held_back(site):
            job = FollowedImport.send(client, body)
            job.until(lambda now: now["successCount"] > 0)
            victim = until(lambda: _at_work(site, job.id), "a worker to have the import").pop()
            assert victim in first_workers
            site.kill_child(server, victim)
            progress = job.look()["processedRecords"]
        job.until(lambda now: now["processedRecords"] > progress)
        job.until_settled()
        job.assert_exact(site)
        said = f"(pid {victim}) was killed by {signal.SIGKILL.name}; starting it again"
        until(lambda: said in server.stderr, "serve to say so")
        assert len(re.findall("was killed by", server.stderr)) == 1
        until(lambda: len(site.serving() - {victim}) == 2, "another worker in the dead one's place")
        assert victim not in site.serving()


def _at_work(site: Site, import_id: int) -> set[int]:
    """Process ids of the workers that hold the import's background job."""
    rows = site.rows(
        """
        SELECT server.process_id FROM bulkport.bulk_import_jobs import
        JOIN bulkport.jobs job ON job.job_id = import.background_job_id::bigint AND job.state = 'processing'
        JOIN bulkport.servers server USING (worker_id) WHERE import.id = %s
        """,
        import_id,
    )
    return {row[0] for row in rows}
