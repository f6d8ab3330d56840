"""`kill -9` of any worker at any moment neither loses nor doubles a row."""

import pytest
from command_processes import Site
from followed_import import FollowedImport, stored
from held_imports import held_back
from import_bodies import Body, commands, platforms
from worker_killing import WorkerKiller

pytestmark = pytest.mark.chaos

ROWS = 60_000
KILLS = 6
CHUNK_BYTES = 20_000
STRICT = "handling=strict"


@pytest.fixture
def body(request: pytest.FixtureRequest, site: Site) -> Body:
    if request.param == "commands":
        site.rows("INSERT INTO platforms (platform_name) VALUES ('Docker')")
        return commands(ROWS // 2, chance=site.chance, bad_share=0.01)
    return platforms(ROWS, chance=site.chance, bad_share=0.01)


@pytest.mark.parametrize("body", ["platforms", "commands"], indirect=True)
def test_killed_workers_neither_lose_nor_duplicate_a_row(site: Site, body: Body) -> None:
    killer = WorkerKiller(site, rows=body.rows, kills=KILLS)
    with site.client(site.start_server(chunk_bytes=CHUNK_BYTES)) as client:
        with held_back(site) as let_go:
            job = FollowedImport.send(client, body)
            for now in job.moments():
                killer.look(now)
                if killer.has_killed_enough:
                    let_go()
        assert killer.kills >= KILLS
        job.assert_exact(site)


def test_killed_workers_show_no_row_of_a_strict_import_before_it_ends(site: Site) -> None:
    body = platforms(ROWS // 2, chance=site.chance)
    killer = WorkerKiller(site, rows=body.rows, kills=KILLS)
    with (
        site.client(site.start_server(chunk_bytes=CHUNK_BYTES)) as client,
        held_back(site, "checked") as let_check,
        held_back(site) as let_write,
    ):
        job = FollowedImport.send(client, body, prefer=STRICT)
        kills_while_writing = 3
        while not job.is_settled:
            # First the rows, then the status: the rows seen were there before the status was what it is.
            visible = site.value("SELECT EXISTS (SELECT FROM platforms)")
            now = job.look()
            assert now["status"] == "Completed" or not visible
            killer.look(now)
            if killer.has_killed_enough:
                let_check()
            if now["status"] == "Processing" and now["processedRecords"] == body.rows:
                if kills_while_writing:
                    kills_while_writing -= 1
                    killer.kill()
                else:
                    let_write()
        assert kills_while_writing == 0
        job.assert_exact(site)


def test_killed_workers_leave_no_row_of_a_strict_import_with_a_bad_row(site: Site) -> None:
    body = platforms(20_000, chance=site.chance, bad_share=0.0005)
    killer = WorkerKiller(site, rows=body.rows, kills=3)
    with site.client(site.start_server(chunk_bytes=10_000)) as client, held_back(site, "checked") as let_go:
        job = FollowedImport.send(client, body, prefer=STRICT)
        for now in job.moments():
            assert site.value("SELECT count(*) FROM platforms") == 0
            killer.look(now)
            if killer.has_killed_enough:
                let_go()
        assert job.last["status"] == "Failed"
        assert (job.last["successCount"], job.last["failureCount"]) == (0, len(body.bad))
        assert stored(site, body) == []
        job.assert_reported()
        assert job.look() == job.last
