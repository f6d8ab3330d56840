"""Processes that die in a retry, a delivery, a rolled back cancellation or before an answer: all happens once."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
import pytest
from command_processes import Site, until
from followed_import import FollowedImport, stored
from import_bodies import platforms

pytestmark = pytest.mark.chaos

LOCK = 4712
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted"
LOOPBACK = {"egress_allowed_networks": "127.0.0.0/8", "egress_allow_http": True}
NDJSON = {"content-type": "application/x-ndjson"}


@contextmanager
def gate(site: Site, moment: str) -> Iterator[Callable[[], None]]:
    """Statements of this kind block until the context ends; yields a function that waits for the first one."""
    site.rows(f"""
        CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN coalesce(NEW, OLD); END $$
    """)
    site.rows(f"CREATE TRIGGER wait BEFORE {moment} FOR EACH ROW EXECUTE FUNCTION wait()")
    with psycopg.connect(site.database_url) as holder:
        holder.execute(f"SELECT pg_advisory_xact_lock({LOCK})".encode())
        yield lambda: until(lambda: site.value(WAITS), f"the first {moment} to wait")  # type: ignore[arg-type, return-value]
        holder.rollback()
    until(lambda: not site.value(WAITS), "the killed process's statement to end")


def in_background(call: Callable[[], object]) -> threading.Thread:
    def ask() -> None:
        with contextlib.suppress(httpx.TransportError):  # the server is killed
            call()

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_server_that_dies_during_a_retry_leaves_the_rows_to_the_next_one(site: Site) -> None:
    site.wait_for_workers(site.start_worker())
    server = site.start_server()
    with site.client(server) as client:
        body = b'{"platformName": "good"}\n{"platformName": " "}\n{"platformName": ""}\n'
        first = client.post(
            "/api/platforms/bulk", content=body, headers=NDJSON | {"prefer": "respond-async, wait=60"}
        ).json()
        assert (first["successCount"], first["failureCount"]) == (1, 2)
        for row, name in ((2, "mended"), (3, "too")):
            answer = client.patch(f"/api/imports/{first['id']}/errors/{row}", json={"platformName": name})
            assert answer.status_code == 204, answer.text
        path, key = f"/api/imports/{first['id']}/retry", {"idempotency-key": "retry-1"}
        with gate(site, "UPDATE OF retried_by ON bulkport.import_row_errors") as waiting:
            asking = in_background(lambda: client.post(path, headers=key))
            waiting()
            server.kill()
            asking.join()
        site.rows("DROP TRIGGER wait ON bulkport.import_row_errors")
    with site.client(site.start_server()) as client:

        def again() -> httpx.Response | None:
            answer = client.post(path, headers=key)
            return None if answer.status_code == 409 else answer  # until the dead server's lease ends

        answer = until(again, "the key to be free again")
        assert answer is not None
        assert (answer.status_code, answer.json()["totalRecords"]) == (202, 2), answer.text
        retried = client.get(f"/api/platforms/bulk/{answer.json()['id']}/status?wait=60").json()
        assert retried["successCount"] == 2
        same = client.post(path, headers=key)
        assert same.json()["id"] == answer.json()["id"]
        assert client.post(path, headers={"idempotency-key": "retry-2"}).status_code == 409
    assert sorted(name for (name,) in site.rows("SELECT platform_name FROM platforms")) == ["good", "mended", "too"]
    assert site.value("SELECT count(*) FROM bulkport.bulk_import_jobs WHERE retry_of IS NOT NULL") == 1


def test_a_worker_that_dies_during_a_rollback_still_removes_every_row_in_the_end(site: Site) -> None:
    body = platforms(3_000, chance=site.chance)
    settings = {"chunk_bytes": 10_000}
    worker = site.start_worker(**settings)
    site.wait_for_workers(worker)
    with site.client(site.start_server(**settings)) as client:
        with gate(site, "DELETE ON platforms") as waiting:
            with gate_of_chunk(site, 3):
                job = FollowedImport.send(client, body)
                until(lambda: stored(site, body), "some rows to be stored")
                answer = client.delete(f"/api/imports/{job.id}?rollback=true")
                assert answer.status_code == 202, answer.text  # a chunk is in hand
            waiting()
            worker.kill()
        site.wait_for_workers(site.start_worker(**settings))
        job.until_settled()
        detail = client.get(f"/api/imports/{job.id}").json()
        assert (detail["status"], detail["undone"]["removed"]) == ("Cancelled", detail["successCount"])
        assert (detail["undone"]["kept"], stored(site, body)) == (0, [])


@contextmanager
def gate_of_chunk(site: Site, number: int) -> Iterator[None]:
    """The chunk with this number waits before it is finished, until the context ends."""
    site.rows(f"""
        CREATE FUNCTION wait_in_chunk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK + 1}); RETURN NEW; END $$;
        CREATE TRIGGER wait_in_chunk BEFORE UPDATE ON bulkport.import_chunks FOR EACH ROW
        WHEN (NEW.chunk_number = {number} AND NEW.state = 'done') EXECUTE FUNCTION wait_in_chunk()
    """)
    with psycopg.connect(site.database_url) as holder:
        holder.execute(f"SELECT pg_advisory_xact_lock({LOCK + 1})".encode())
        yield
        holder.rollback()


class Receiver:
    """Receives webhooks; delays its first response until a test releases it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.let_go = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.messages.append((self.headers["webhook-id"], body))
                outer.let_go.wait(60)
                with contextlib.suppress(OSError):
                    self.send_response(204)
                    self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"

    @contextmanager
    def open(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.let_go.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def test_a_worker_that_dies_during_a_delivery_sends_the_same_message_again(site: Site) -> None:
    worker = site.start_worker(**LOOPBACK)
    site.wait_for_workers(worker)
    receiver = Receiver()
    with receiver.open(), site.client(site.start_server(**LOOPBACK)) as client:
        answer = client.post("/api/webhooks", json={"url": receiver.url, "events": ["import.completed"]})
        assert answer.status_code == 201, answer.text
        hook = answer.json()["id"]
        client.post("/api/platforms/bulk", json={"platforms": [{"platformName": "one"}]})
        until(lambda: receiver.messages, "the message to be sent")
        worker.kill()
        receiver.let_go.set()
        site.wait_for_workers(site.start_worker(**LOOPBACK))

        def delivered() -> list[Any]:
            items = client.get(f"/api/webhooks/{hook}/deliveries").json()["items"]
            return [item for item in items if item["state"] == "delivered"]

        until(delivered, "the delivery to be written down")
        assert len(client.get(f"/api/webhooks/{hook}/deliveries").json()["items"]) == 1
    assert len(receiver.messages) == 2
    assert len(set(receiver.messages)) == 1  # one message id, the same bytes


def test_one_of_several_clients_of_two_servers_with_one_key_imports(site: Site) -> None:
    site.wait_for_workers(site.start_worker())
    servers = [site.start_server(), site.start_server()]
    with ThreadPoolExecutor(8) as pool, site.client(servers[0]) as one, site.client(servers[1]) as other:
        for number in range(5):
            together = threading.Barrier(8)

            def send(
                client: httpx.Client, key: str = f"key-{number}", together: threading.Barrier = together
            ) -> httpx.Response:
                together.wait(60)
                content = f'{{"platformName": "{key}"}}\n'.encode()
                return client.post("/api/platforms/bulk", content=content, headers=NDJSON | {"idempotency-key": key})

            answers = list(pool.map(send, [one, other] * 4))
            assert {answer.status_code for answer in answers} <= {202, 409}
            assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
            assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 409)
    assert site.value("SELECT count(*) FROM bulkport.bulk_import_jobs") == 5
    until(lambda: site.value("SELECT count(*) FROM platforms") == 5, "all to be imported")


@pytest.mark.parametrize("moment", ["INSERT ON bulkport.bulk_import_jobs", "INSERT ON bulkport.import_chunks"])
def test_a_request_whose_server_dies_before_responding_is_retried_and_imported_once(site: Site, moment: str) -> None:
    site.wait_for_workers(site.start_worker())
    server = site.start_server()
    content = b"".join(b'{"platformName": "p%d"}\n' % number for number in range(500))
    headers = NDJSON | {"idempotency-key": "once"}
    with site.client(server) as client, gate(site, moment) as waiting:
        asking = in_background(lambda: client.post("/api/platforms/bulk", content=content, headers=headers))
        waiting()
        server.kill()
        asking.join()
    with site.client(site.start_server()) as client:

        def again() -> httpx.Response | None:
            answer = client.post(
                "/api/platforms/bulk", content=content, headers=headers | {"prefer": "respond-async, wait=60"}
            )
            return None if answer.status_code == 409 else answer

        answer = until(again, "the dead server's lease to end")
        assert answer is not None
        assert (answer.status_code, answer.json()["successCount"]) == (200, 500), answer.text
    assert site.rows("SELECT count(*), count(DISTINCT platform_name) FROM platforms") == [(500, 500)]
    assert site.value("SELECT count(*) FROM bulkport.bulk_import_jobs") == 1
