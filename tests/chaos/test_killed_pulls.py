"""A worker killed while pulling a body leaves nothing; another one starts over without duplicates."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from command_processes import Site, until
from followed_import import Answer, FollowedImport
from import_bodies import Body, platforms

pytestmark = pytest.mark.chaos

ROWS = 20_000
PART_BYTES = 20_000
LOOPBACK = {"egress_allowed_networks": "127.0.0.0/8", "egress_allow_http": True}


class SlowServer:
    """Sends a body in parts, as many as a test lets it."""

    def __init__(self, body: Body) -> None:
        self.asked = 0
        self.sent = 0
        """Parts, in answer to the request that came last."""
        self.allowed = 0
        """Parts that this answer may have."""
        self.hurry = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.sent = outer.allowed = 0
                outer.asked += 1
                mine = outer.asked
                self.send_response(200)
                self.send_header("content-type", "application/x-ndjson")
                self.send_header("content-length", str(len(body.data)))
                self.end_headers()
                try:
                    for number, start in enumerate(range(0, len(body.data), PART_BYTES)):
                        while not outer.hurry.wait(0.005):
                            if outer.asked != mine:
                                return  # who asked was killed
                            if number < outer.allowed:
                                break
                        self.wfile.write(body.data[start : start + PART_BYTES])
                        outer.sent += 1
                except OSError:
                    pass  # who asked was killed

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/rows"

    @contextmanager
    def open(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.hurry.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@contextmanager
def pulled(site: Site, body: Body) -> Iterator[tuple[SlowServer, FollowedImport]]:
    server = SlowServer(body)
    with server.open(), site.client(site.start_server(chunk_bytes=20_000, **LOOPBACK)) as client:
        answer = client.post("/api/platforms/bulk", json={"source": {"url": server.url}})
        assert answer.status_code == 202, answer.text
        job = FollowedImport(client, body, answer.json() | {"totalRecords": body.rows})
        yield server, job


def test_killed_workers_pull_a_body_once(site: Site) -> None:
    body = platforms(ROWS, chance=site.chance, bad_share=0.01)
    settings = {"chunk_bytes": 20_000, **LOOPBACK}
    worker = site.start_worker(**settings)
    site.wait_for_workers(worker)
    with pulled(site, body) as (server, job):
        for kills in range(1, 4):
            until(lambda asked=kills: server.asked == asked, "a worker to begin")  # type: ignore[misc]
            server.allowed = site.chance.randint(1, 8)
            until(lambda: server.sent == server.allowed, "a part of the body to be sent")
            worker.kill()
            assert site.value("SELECT count(*) FROM bulkport.import_chunks") == 0
            worker = site.start_worker(**settings)
        server.hurry.set()
        until(lambda: _status(job)["totalRecords"], "the body to be here")
        job.until_settled()
        job.assert_exact(site)
        assert server.asked == 4


def _status(job: FollowedImport) -> Answer:
    now: Answer = job.client.get(f"/api/platforms/bulk/{job.id}/status").json()
    return now
