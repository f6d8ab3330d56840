"""The Python client against the whole application."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas
import polars
import pytest
from catalogue_site import CatalogueSite, opened, platforms
from pydantic import BaseModel, Field

from bulkport.client import AsyncClient, RequestRefused, SourceUnusable
from bulkport.client.records import source_of
from each_case import case
from import_steps import execute, fetch


@pytest.fixture
async def client(site: CatalogueSite) -> AsyncIterator[AsyncClient]:
    """Ann's client."""
    async with client_of(site) as client:
        yield client


def client_of(site: CatalogueSite) -> AsyncClient:
    transport = site.ann._transport
    return AsyncClient("http://api.example", api_key=site.ann.headers["x-api-key"], transport=transport)


class Model(BaseModel):
    """A record as a Pydantic model."""

    name: str = Field(alias="platformName")


@dataclass
class Data:
    """A record as a dataclass."""

    platformName: str  # noqa: N815 # as on the wire


async def asynchronous() -> AsyncIterator[dict[str, str]]:
    for record in platforms(3):
        yield record


def generated() -> Iterator[dict[str, str]]:
    yield from platforms(3)


NAMES = [record["platformName"] for record in platforms(3)]
SOURCES: dict[str, Any] = {
    "a list": lambda: platforms(3),
    "a generator": generated,
    "an asynchronous generator": asynchronous,
    "models": lambda: [Model(platformName=name) for name in NAMES],
    "dataclasses": lambda: [Data(name) for name in NAMES],
    "a pandas frame": lambda: pandas.DataFrame({"platformName": NAMES, "note": [1.5, None, float("nan")]}),
    "a polars frame": lambda: polars.DataFrame({"platformName": NAMES, "note": [1.5, None, 2.5]}),
}


async def test_any_kind_of_records_can_be_imported(site: CatalogueSite, client: AsyncClient) -> None:
    for (name, source), compress in itertools.product(SOURCES.items(), (True, False)):
        with case(name, compress):
            job = await client.imports.create("platforms", source(), compress=compress)
            assert job.total_records == 3
            progress = await job.wait()
            assert (progress.status, progress.success_count) == ("Completed", 3)
            stored = await fetch(site.url, "SELECT platform_name FROM platforms ORDER BY id")
            assert stored == [(name,) for name in NAMES]
            await execute(site.url, "DELETE FROM platforms")


async def test_a_file_is_sent_and_exported_and_its_rejected_rows_are_saved(
    site: CatalogueSite, client: AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("platform name\nDocker\n\u00a0\nGit\n")
    job = await client.imports.create(
        "platforms", tmp_path / "rows.csv", name="July", client_id="7", metadata={"batch": 1}
    )
    states = [progress async for progress in job.follow()]
    assert states[-1].status == "PartialSuccess"
    (row,) = [row async for row in job.errors()]
    assert (row.row, row.errors[0].field) == (2, "platformName")
    assert await job.save_errors(tmp_path / "errors.csv") == (tmp_path / "errors.csv").stat().st_size
    assert (tmp_path / "errors.csv").read_text().startswith("platform name,row,error")
    await client.export("platforms", tmp_path / "all.ndjson")
    assert (tmp_path / "all.ndjson").read_text().count("\n") == 2
    found = await client.imports.find("7")
    assert found is not None
    assert found.progress is not None
    assert (found.id, found.progress.name, found.progress.metadata) == (job.id, "July", {"batch": 1})
    assert [one.id async for one in client.imports.list(metadata={"batch": 1})] == [job.id]
    assert await client.imports.find("8") is None
    with pytest.raises(RequestRefused):
        await job.cancel()


async def test_an_import_is_cancelled(database_url: str) -> None:
    async with opened(database_url, worker=False) as site, client_of(site) as client:
        job = await client.imports.create("platforms", platforms(3))
        with pytest.raises(TimeoutError):
            await job.wait(timeout=1)
        assert (await job.cancel()).status == "Cancelled"


class Flaky(httpx.AsyncBaseTransport):
    """Loses the response to the first upload, so that the client does not know its outcome."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._lost = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.method == "POST" and not self._lost:
            self._lost = True
            raise httpx.ReadError("connection reset")
        return response


async def test_an_upload_whose_response_was_lost_is_imported_once(site: CatalogueSite) -> None:
    transport = Flaky(site.ann._transport)
    async with AsyncClient("http://api.example", api_key=site.ann.headers["x-api-key"], transport=transport) as client:
        job = await client.imports.create("platforms", platforms(3))
        await job.wait()
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(3,)]
    assert await fetch(site.url, "SELECT count(*) FROM bulkport.bulk_import_jobs") == [(1,)]


async def test_two_clients_with_the_same_key_import_once(site: CatalogueSite) -> None:
    async with client_of(site) as one, client_of(site) as other:
        jobs = await asyncio.gather(
            *(client.imports.create("platforms", platforms(3), idempotency_key="one") for client in (one, other) * 5)
        )
    assert len({job.id for job in jobs}) == 1


@pytest.mark.parametrize("data", [[5], [{"a": object()}], ["text"], {"platformName": "Docker"}, 5, b"bytes"])
def test_an_argument_that_is_not_a_list_of_records_is_rejected(data: Any) -> None:
    with pytest.raises(SourceUnusable):
        list(source_of(data)[0].blocks())


async def test_rejected_rows_are_corrected_and_retried(client: AsyncClient, tmp_path: Path) -> None:
    rows = [{"platformName": "Docker"}, {"platformName": "x" * 101}, {"platformName": ""}]
    job = await client.imports.create("platforms", rows, results="ids")
    assert (await job.wait()).failure_count == 2
    outcomes = [(result.row, result.outcome, result.id is None) async for result in job.results()]
    assert outcomes == [(1, "created", False), (2, "failed", True), (3, "failed", True)]
    await job.mend(2, {"platformName": "Git"})
    again = await job.retry()
    progress = await again.wait()
    assert (progress.success_count, progress.failure_count, progress.retry_of) == (1, 1, job.id)
    await again.save_errors(tmp_path / "rejected.csv")
    report = (tmp_path / "rejected.csv").read_bytes()
    (tmp_path / "mended.csv").write_bytes(report.replace(b"\r\n,", b"\r\nHelm,"))
    last = await (await again.retry(tmp_path / "mended.csv")).wait()
    assert (last.status, last.created) == ("Completed", 1)


async def test_a_dry_run_changes_nothing(site: CatalogueSite, client: AsyncClient) -> None:
    progress = await (await client.imports.create("platforms", platforms(2), dry_run=True)).wait()
    assert (progress.dry_run, progress.created) == (True, 2)
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(0,)]
