"""The Python client on networks that lose responses and break connections: everything arrives once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from catalogue_site import opened, platforms
from hostile_proxy import HostileProxy, hostile_proxy
from upload_socket import served

from bulkport.client import AsyncClient, Client
from import_steps import fetch, ndjson

ROWS = 40_000


@dataclass(frozen=True)
class Network:
    """A server behind a proxy."""

    url: str
    """Of the database."""
    key: str
    proxy: HostileProxy

    async def imports(self) -> list[tuple[Any, ...]]:
        """Records of each import that was accepted."""
        return await fetch(self.url, "SELECT total_records FROM bulkport.bulk_import_jobs ORDER BY id")

    def lose_answers(self, method: bytes, path: bytes, times: int) -> None:
        """Lose the next answers to such requests."""
        until = self.proxy.faults + times
        self.proxy.drops = lambda head: head.startswith(method + b" " + path) and self.proxy.faults < until


@pytest.fixture
async def network(database_url: str) -> AsyncIterator[Network]:
    async with opened(database_url), served(database_url) as api, hostile_proxy(api.port) as proxy:
        yield Network(database_url, api.key, proxy)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.ndjson"
    path.write_bytes(ndjson(platforms(ROWS)))
    return path


async def test_an_import_whose_responses_are_lost_after_the_commit_is_imported_once(network: Network) -> None:
    network.lose_answers(b"POST", b"/api/platforms/bulk", 3)
    async with AsyncClient(network.proxy.url, api_key=network.key) as client:
        job = await client.imports.create("platforms", platforms(3))
    assert network.proxy.faults == 3
    assert await network.imports() == [(3,)]
    assert job.id == 1


async def test_an_import_through_the_synchronous_client_is_imported_once(network: Network) -> None:
    network.lose_answers(b"POST", b"/api/platforms/bulk", 2)

    def create() -> int:
        with Client(network.proxy.url, api_key=network.key) as client:
            return client.imports.create("platforms", platforms(3)).wait().success_count

    assert await asyncio.to_thread(create) == 3
    assert network.proxy.faults == 2
    assert await network.imports() == [(3,)]


async def test_a_file_whose_connection_breaks_midway_is_imported_once(network: Network, file: Path) -> None:
    network.proxy.cuts = [300_000, 700_000]
    async with AsyncClient(network.proxy.url, api_key=network.key) as client:
        await client.imports.create("platforms", file)
    assert network.proxy.faults == 2
    assert await network.imports() == [(ROWS,)]


@pytest.mark.parametrize("kind", ["asynchronous", "synchronous"])
async def test_a_large_file_resumes_where_its_connection_broke(network: Network, file: Path, kind: str) -> None:
    network.proxy.cuts = [600_000, 500_000]
    sent: list[int] = []
    if kind == "asynchronous":
        async with AsyncClient(network.proxy.url, api_key=network.key, resumable_bytes=1) as client:
            await client.imports.create("platforms", file, on_sent=sent.append)
    else:

        def create() -> None:
            with Client(network.proxy.url, api_key=network.key, resumable_bytes=1) as client:
                client.imports.create("platforms", file, on_sent=sent.append)

        await asyncio.to_thread(create)
    assert network.proxy.faults == 2
    assert await network.imports() == [(ROWS,)]
    assert sent[-1] == file.stat().st_size
    # What had arrived is not sent again, but for what was on its way.
    assert network.proxy.passed < 1.5 * file.stat().st_size
    assert min(later for earlier, later in pairwise(sent) if later < earlier) > 0


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"HEAD"])
async def test_lost_responses_to_parts_of_a_large_file_are_harmless(
    network: Network, file: Path, method: bytes
) -> None:
    network.lose_answers(method, b"/api/uploads", 2)
    if method == b"HEAD":
        network.proxy.cuts = [400_000]
    async with AsyncClient(network.proxy.url, api_key=network.key, resumable_bytes=1) as client:
        job = await client.imports.create("platforms", file)
        assert (await job.wait(timeout=60)).success_count == ROWS
    assert network.proxy.faults >= 1
    assert await network.imports() == [(ROWS,)]


async def test_an_import_of_an_upload_whose_response_is_lost_is_imported_once(network: Network, file: Path) -> None:
    network.lose_answers(b"POST", b"/api/platforms/bulk", 2)
    async with AsyncClient(network.proxy.url, api_key=network.key, resumable_bytes=1) as client:
        await client.imports.create("platforms", file)
    assert network.proxy.faults == 2
    assert await network.imports() == [(ROWS,)]


async def test_a_retry_of_rejected_rows_whose_response_is_lost_runs_once(network: Network) -> None:
    async with AsyncClient(network.proxy.url, api_key=network.key) as client:
        job = await client.imports.create("platforms", [{"platformName": "x" * 101}])
        await job.wait()
        await job.mend(1, {"platformName": "Docker"})
        network.lose_answers(b"POST", b"/api/imports/", 2)
        progress = await (await job.retry()).wait()
    assert (progress.success_count, network.proxy.faults) == (1, 2)
    assert await network.imports() == [(1,), (1,)]


async def test_an_event_stream_that_breaks_is_resumed(network: Network) -> None:
    async with AsyncClient(network.proxy.url, api_key=network.key) as client:
        job = await client.imports.create("platforms", platforms(5))
        network.lose_answers(b"GET", b"/api/imports/", 2)
        events = [event async for event in job.events()]
    assert network.proxy.faults == 2
    assert (events[-1].name, events[-1].progress.success_count) == ("done", 5)
    assert len({(event.name, event.progress.status, event.progress.processed_records) for event in events}) == len(
        events
    )
