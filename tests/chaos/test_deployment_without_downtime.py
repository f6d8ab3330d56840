"""The old version keeps serving and working while a newer one is rolled out and has migrated."""

import pytest
from command_processes import CommandServer, Site
from followed_import import FollowedImport
from import_bodies import platforms

pytestmark = pytest.mark.chaos

NEWER = "UPDATE alembic_version SET version_num = '9999'"
"""What an old process sees of a database that a newer version has migrated."""


def test_the_old_version_keeps_working_after_a_newer_one_has_migrated(site: Site) -> None:
    old_worker = site.start_worker()
    old = site.start_server(chunk_bytes=10_000)
    site.wait_for_workers(old_worker)
    site.rows(NEWER)
    with site.client(old) as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 200, ready.text
        job = FollowedImport.send(client, platforms(5_000, chance=site.chance, bad_share=0.01))
        # One more of the old version, as when a machine restarts in the middle of a deployment.
        late: CommandServer = site.start_server(chunk_bytes=10_000)
        site.wait_for_workers(site.start_worker())
        with site.client(late) as other:
            assert other.get("/health/ready").status_code == 200
        job.until_settled()
        job.assert_exact(site)


def test_servers_and_workers_are_replaced_one_by_one_under_load(site: Site) -> None:
    workers = [site.start_worker() for _ in range(2)]
    server = site.start_server(chunk_bytes=10_000)
    site.wait_for_workers(*workers)
    jobs: list[FollowedImport] = []
    for number in range(3):
        with site.client(server) as client:
            body = platforms(4_000, chance=site.chance, bad_share=0.01, prefix=f"v{number}-")
            jobs.append(FollowedImport.send(client, body))
        new_server, new_worker = site.start_server(chunk_bytes=10_000), site.start_worker()
        site.wait_for_workers(new_worker)
        old_server, old_worker = server, workers.pop(0)
        workers.append(new_worker)
        server = new_server
        with site.client(server) as client:
            assert client.get("/health/ready").status_code == 200
        old_server.close()
        old_worker.close()
        with site.client(server) as client:
            for job in jobs:
                job.client = client
                job.look()
    with site.client(server) as client:
        for job in jobs:
            job.client = client
            job.until_settled()
            assert job.last["successCount"] == len(job.body.good)
            job.assert_reported()
    wanted = sorted(name for job in jobs for name in job.body.good)
    assert sorted(row[0] for row in site.rows("SELECT platform_name FROM platforms")) == wanted
