"""A server that dies in the middle of an undo leaves all rows or none."""

import contextlib
import threading

import httpx
import psycopg
import pytest
from command_processes import CommandProcess, Site, until
from followed_import import FollowedImport, stored
from import_bodies import platforms

pytestmark = pytest.mark.chaos

LOCK = 4711
GATE = f"""
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN OLD; END $$;
    CREATE TRIGGER wait BEFORE DELETE ON platforms FOR EACH ROW EXECUTE FUNCTION wait();
"""
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"


def asked(site: Site, process: CommandProcess, url: str, method: str, path: str) -> None:
    """Request the removal of rows, and kill the process meanwhile."""
    with psycopg.connect(site.database_url) as holder:
        holder.execute(f"SELECT pg_advisory_xact_lock({LOCK})".encode())

        def ask() -> None:
            with contextlib.suppress(httpx.TransportError):  # the server is killed
                httpx.request(method, url + path, headers={"x-api-key": site.key}, trust_env=False, timeout=60)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: site.value(WAITS), "the first row to be removed")
        process.kill()
        holder.rollback()
        asking.join()
        until(lambda: not site.value(WAITS), "the killed process's statement to end")


def until_rolled_back(site: Site) -> None:
    # PostgreSQL notices the broken connection at its next word with the client: the statement may still end by itself,
    # but nothing of it is committed.
    until(
        lambda: (
            not site.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE state <> 'idle' AND pid <> pg_backend_pid() AND datname = current_database()"
            )
        ),
        "the transaction to be rolled back",
    )


def test_a_killed_server_undoes_all_or_nothing(site: Site) -> None:
    body = platforms(3_000, chance=site.chance, bad_share=0)
    site.rows(GATE)
    worker = site.start_worker()
    site.wait_for_workers(worker)
    server = site.start_server(chunk_bytes=10_000)
    with site.client(server) as client:
        job = FollowedImport.send(client, body)
        job.until_settled()
    asked(site, server, server.url, "POST", f"/api/imports/{job.id}/undo")
    until_rolled_back(site)
    assert stored(site, body) == body.good
    with site.client(site.start_server()) as client:
        answer = client.post(f"/api/imports/{job.id}/undo")
        assert answer.status_code == 200, answer.text
        assert answer.json()["undone"]["removed"] == len(body.good)
        assert client.post(f"/api/imports/{job.id}/undo").status_code == 409
    assert stored(site, body) == []


def test_a_killed_server_restores_all_deleted_rows_or_none(site: Site) -> None:
    body = platforms(3_000, chance=site.chance, bad_share=0)
    worker = site.start_worker(undo="full")
    site.wait_for_workers(worker)
    server = site.start_server(chunk_bytes=10_000, undo="full")
    with site.client(server) as client:
        FollowedImport.send(client, body).until_settled()
        answer = client.post(
            "/api/platforms/bulk?mode=delete", content=body.data, headers={"content-type": "application/x-ndjson"}
        )
        deletion = FollowedImport(client, body, answer.json())
        deletion.until_settled()
    assert stored(site, body) == []
    path = f"/api/imports/{deletion.id}/undo"
    site.rows(GATE.replace("DELETE", "INSERT").replace("RETURN OLD", "RETURN NEW"))
    asked(site, server, server.url, "POST", path)
    until_rolled_back(site)
    assert stored(site, body) == []
    with site.client(site.start_server(undo="full")) as client:
        answer = client.post(path)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["undone"]["restored"], answer.json()["undone"]["notRestored"]) == (len(body.good), 0)
        assert client.post(path).status_code == 409
    assert stored(site, body) == body.good
