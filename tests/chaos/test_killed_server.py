"""202 means durable and queued, all of it; a server killed before leaves nothing."""

import contextlib
import threading
from collections.abc import Iterator

import httpx
import pytest
from command_processes import CommandServer, Site, until
from followed_import import FollowedImport, stored
from import_bodies import Body, platforms

pytestmark = pytest.mark.chaos

CHUNK_BYTES = 10_000
TABLES = (
    "bulkport.bulk_import_jobs",
    "bulkport.import_chunks",
    "bulkport.import_row_errors",
    "bulkport.jobs",
    "bulkport.finished_jobs",
)


def in_parts(body: Body, lines: int) -> Iterator[bytes]:
    for start in range(0, body.rows, lines):
        yield "\n".join(body.lines[start : start + lines]).encode() + b"\n"


def send(site: Site, server: CommandServer, content: Iterator[bytes]) -> httpx.Response | None:
    """Upload a stream; None when the server was gone before it had answered."""
    headers = {"content-type": "application/x-ndjson"}
    with site.client(server) as client, contextlib.suppress(httpx.TransportError):
        return client.post("/api/platforms/bulk", content=content, headers=headers)
    return None


def counts(site: Site) -> dict[str, int]:
    return {table: site.value(f"SELECT count(*) FROM {table}") for table in TABLES}


def test_a_server_killed_during_an_upload_stores_nothing(site: Site) -> None:
    body = platforms(20_000, chance=site.chance)
    server = site.start_server(chunk_bytes=CHUNK_BYTES)
    nothing = counts(site)

    def cut_off() -> Iterator[bytes]:
        yield from in_parts(body, 4_000)
        until(is_being_received, "a long body to be received")
        server.kill()

    def is_being_received() -> bool:
        return "commandapi_uploads 1.0" in httpx.get(f"{server.url}/metrics", trust_env=False).text

    assert send(site, server, cut_off()) is None
    assert counts(site) == nothing
    # The same body can be sent again, and is then imported once.
    site.start_worker()
    with site.client(site.start_server(chunk_bytes=CHUNK_BYTES)) as client:
        job = FollowedImport.send(client, body)
        job.until_settled()
        job.assert_exact(site)


def test_a_server_killed_at_any_moment_stores_all_of_an_import_or_nothing(site: Site) -> None:
    body = platforms(3_000, chance=site.chance)
    outcomes = []
    for _ in range(6):
        server = site.start_server(chunk_bytes=CHUNK_BYTES)
        before = counts(site)

        # The kill falls into the upload, into its commit, or after the answer; which one, the clock decides.
        def killing(server: CommandServer = server, delay: float = site.chance.uniform(0, 0.08)) -> Iterator[bytes]:
            yield from in_parts(body, 500)
            threading.Timer(delay, server.kill).start()

        answer = send(site, server, killing())
        until(lambda server=server: not server.lives, "the server to be gone")
        until(lambda: not _uploading(site), "the upload's transaction to end")
        grown = {table: count - before[table] for table, count in counts(site).items()}
        outcomes.append((answer is not None, grown["bulkport.bulk_import_jobs"]))
        if answer is not None:
            assert answer.status_code == 202, answer.text
            assert grown["bulkport.bulk_import_jobs"] == 1
        if grown["bulkport.bulk_import_jobs"]:
            _assert_whole(site, body)
        else:
            assert set(grown.values()) == {0}, grown
    print(outcomes)


def test_an_accepted_import_completes_after_its_server_is_killed(site: Site) -> None:
    body = platforms(20_000, chance=site.chance, bad_share=0.01)
    server = site.start_server(chunk_bytes=CHUNK_BYTES)
    answer = send(site, server, in_parts(body, 1_000))
    server.kill()
    assert answer is not None
    assert answer.status_code == 202
    _assert_whole(site, body)
    site.start_worker()
    until(lambda: site.value("SELECT completed_at FROM bulkport.bulk_import_jobs"), "the import to settle")
    assert stored(site, body) == body.good
    with site.client(site.start_server()) as client:
        FollowedImport(client, body, answer.json()).assert_exact(site)


def _uploading(site: Site) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    return bool(site.value(f"{query} AND state <> 'idle'"))


def _assert_whole(site: Site, body: Body) -> None:
    """The newest import is stored whole, and its background job with it."""
    ((job_id, background_job_id, total, chunks),) = site.rows(
        "SELECT id, background_job_id, total_records, total_chunks"
        " FROM bulkport.bulk_import_jobs ORDER BY id DESC LIMIT 1"
    )
    assert total == body.rows
    ((stored_chunks, stored_records),) = site.rows(
        "SELECT count(*), sum(record_count) FROM bulkport.import_chunks WHERE job_id = %s AND payload IS NOT NULL",
        job_id,
    )
    assert (stored_chunks, stored_records) == (chunks, body.rows)
    assert site.value(
        "SELECT args->>'import_id' FROM bulkport.all_jobs WHERE job_id = %s::bigint", background_job_id
    ) == (str(job_id))
