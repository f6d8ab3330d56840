"""PostgreSQL crashes during imports and recovers: workers and API continue, and nothing is lost or duplicated."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from chaos.nursery import Nursery
from command_processes import Site, open_site, until
from followed_import import FollowedImport
from held_imports import held_back
from import_bodies import Body, platforms

from bulkport import embedded
from bulkport.embedded import EmbeddedServer
from bulkport.pools import open_pool
from commandapi import migrations
from commandapi.auth.keys import create_key

pytestmark = pytest.mark.chaos

CHUNK_BYTES = 20_000
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server that a test may crash."""
    with (
        tempfile.TemporaryDirectory(prefix="commandapi-chaos-") as folder,
        embedded.open_server(Path(folder) / "data") as server,
    ):
        migrations.upgrade(server.url)
        yield server


@pytest.fixture
async def site(nursery: Nursery, server: EmbeddedServer, chance: random.Random) -> AsyncIterator[Site]:
    async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
        await connection.execute("DELETE FROM platforms")
        key = await create_key(connection, f"user {chance.random()}")
    with open_site(nursery, server.url, key, chance) as site:
        yield site


def crash(server: EmbeddedServer) -> None:
    """Kill the server's main process; the others end with it, without a word."""
    assert server.pid is not None
    psutil.Process(server.pid).kill()
    until(lambda: not server.is_running(), "the server to be gone")


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 503


def look_while_away(job: FollowedImport) -> None:
    """Look at an import while the database may be away."""
    answer = job.client.get(f"/api/{job.body.resource}/bulk/{job.id}/status")
    if answer.status_code == 200:
        job.note(answer.json())
    else:
        assert_unavailable(answer)


def test_an_import_survives_database_crashes(site: Site, server: EmbeddedServer) -> None:
    body = platforms(30_000, chance=site.chance, bad_share=0.01)
    site.wait_for_workers(site.start_worker(), site.start_worker())
    with (
        site.client(site.start_server(chunk_bytes=CHUNK_BYTES)) as client,
        held_back(site) as let_go,
        ThreadPoolExecutor(1) as restarting,
    ):
        job = FollowedImport.send(client, body)
        for share in (0.2, 0.6):
            point = int(body.rows * share * site.chance.uniform(0.8, 1.2))
            job.until(lambda now, point=point: now["processedRecords"] >= point)
            crash(server)
            back = restarting.submit(server.ensure_running)
            while not back.done():
                look_while_away(job)
            assert back.result()
            site.reconnect()
            until(lambda: client.get("/health/ready").status_code == 200, "the API to be ready")
        let_go()
        job.until_settled()
        job.assert_exact(site)


def test_the_api_returns_503_during_a_database_outage_and_the_import_finishes_afterwards(
    site: Site, server: EmbeddedServer
) -> None:
    body = platforms(30_000, chance=site.chance)
    # Strict handling, and an attempt fails for good at its first fault that is the import's own.
    worker = site.start_worker(import_max_attempts=2)
    site.wait_for_workers(worker)
    with site.client(site.start_server(chunk_bytes=CHUNK_BYTES)) as client, held_back(site, "checked") as let_go:
        job = FollowedImport.send(client, body, prefer="handling=strict")
        point = site.chance.randint(5_000, 20_000)
        job.until(lambda now: now["processedRecords"] >= point)
        crash(server)
        requests: list[Callable[[], httpx.Response]] = [
            lambda: client.get(f"/api/platforms/bulk/{job.id}/status"),
            lambda: client.get(f"/api/imports/{job.id}"),
            lambda: client.get("/api/platforms"),
            lambda: client.post("/api/platforms", json={"platformName": "lost"}),
            lambda: client.post("/api/platforms/bulk", json={"platforms": [{"platformName": "lost"}]}),
            lambda: client.post("/api/platforms/bulk", content=body.data, headers=NDJSON),
            lambda: client.get("/health/ready"),
        ]
        with ThreadPoolExecutor(len(requests)) as pool:
            answers = [pool.submit(request) for request in requests]
            assert client.get("/health/live").status_code == 200
        for answer in answers:
            assert_unavailable(answer.result())
        assert server.ensure_running()
        site.reconnect()
        until(lambda: client.get("/health/ready").status_code == 200, "the API to be ready")
        let_go()
        job.until_settled()
        job.assert_exact(site)


def test_an_upload_survives_a_database_crash(site: Site, server: EmbeddedServer) -> None:
    body = platforms(20_000, chance=site.chance)

    def crashing(body: Body) -> Iterator[bytes]:
        half = len(body.data) // 2
        yield body.data[:half]
        crash(server)
        assert server.ensure_running()
        site.reconnect()
        with site.client(api) as other:
            until(lambda: other.get("/health/ready").status_code == 200, "the API to be ready")
        yield body.data[half:]

    api = site.start_server(chunk_bytes=CHUNK_BYTES)
    earlier = site.value("SELECT coalesce(max(job_id), 0) FROM bulkport.import_chunks")
    with site.client(api) as client:
        # No transaction waits for a client, so that none is lost.
        answer = client.post("/api/platforms/bulk", content=crashing(body), headers=NDJSON)
        new = f"SELECT coalesce(sum(record_count), 0)::int FROM bulkport.import_chunks WHERE job_id > {earlier}"
        records = site.value(new)
        if answer.status_code == 202:
            assert answer.json()["totalRecords"] == records == body.data.count(b"\n")
        else:
            assert_unavailable(answer)  # the pool had not yet noticed that the database is back
            assert records == 0


async def test_connections_recover_as_soon_as_the_database_does(server: EmbeddedServer) -> None:
    async with open_pool(server.url, name="patient", most=3, acquire_seconds=1.0) as pool:

        async def is_usable() -> bool:
            try:
                async with pool.connection() as connection:
                    await connection.execute("SELECT 1")
            except psycopg.OperationalError:
                return False
            return True

        assert await is_usable()
        crash(server)
        async with asyncio.timeout(60):
            while await is_usable():  # a process that outlived the first one answers once more
                await asyncio.sleep(0.02)
        # psycopg's own tries come at 0, 1, 3, 7 and 15 seconds.
        away_until = time.monotonic() + 3.5
        while time.monotonic() < away_until:
            assert not await is_usable()
        assert server.ensure_running()
        assert any([await is_usable() for _ in range(3)])
