"""The whole application behind PgBouncer in transaction mode."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite, opened, platforms

from application_client import client_of, open_application
from import_steps import NDJSON, STRICT, fetch, imported, ndjson
from pooler import SESSIONS, pooled

ROUNDS = 12
"""More than the five after which psycopg prepares a statement, and more than there are sessions."""


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """The test's database through PgBouncer."""
    with pooled(database_url) as url:
        yield url


@pytest.fixture
async def site(pooled_url: str) -> AsyncIterator[CatalogueSite]:
    """The Command API with a worker, entirely behind the pooler."""
    async with opened(pooled_url, database_wait_seconds=30) as site:
        yield site


async def _import_and_look(site: CatalogueSite, number: int) -> None:
    names = [f"{number}-{name}" for name in range(20)]
    rows = [{"platformName": name} for name in names]
    job = await imported(site.ann, PLATFORMS, json={"platforms": rows})
    assert (job["status"], job["successCount"]) == ("Completed", 20)
    rows.append({"platformName": ""})
    job = await imported(site.ann, f"{PLATFORMS}?mode=upsert&results=ids", content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["unchanged"], job["failureCount"]) == ("PartialSuccess", 20, 1)
    commands = [{"howTo": f"{number}", "commandLine": "x", "platformName": name} for name in [*names, "nobody's"]]
    job = await imported(site.ann, COMMANDS, content=ndjson(commands), headers=NDJSON)
    assert (job["successCount"], job["failureCount"]) == (20, 1)
    job = await imported(site.ann, f"{COMMANDS}?results=ids", content=ndjson(commands), headers=NDJSON | STRICT)
    assert (job["status"], job["successCount"]) == ("Failed", 0)
    for path in ("", f"/{job['id']}", f"/{job['id']}/errors", f"/{job['id']}/results"):
        assert (await site.ann.get(f"/api/imports{path}")).status_code == 200
    created = await site.ann.post("/api/platforms", json={"platformName": f"one {number}"})
    assert created.status_code == 201, created.text
    one = created.headers["location"]
    assert (await site.ann.put(one, json={"platformName": f"one more {number}"})).status_code in {200, 204}
    assert (await site.ann.get("/api/platforms", params={"search": "one"})).status_code == 200
    assert (await site.ann.delete(one)).status_code == 204


async def test_imports_and_the_catalogue_work_behind_a_pooler(site: CatalogueSite) -> None:
    await asyncio.gather(*(_import_and_look(site, number) for number in range(ROUNDS)))
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(20 * ROUNDS,)]
    assert await fetch(site.url, "SELECT count(*) FROM commands") == [(20 * ROUNDS,)]


async def test_a_large_import_is_exact_behind_a_pooler(site: CatalogueSite) -> None:
    rows: list[dict[str, Any]] = [*platforms(30_000), {"platformName": 5}, *platforms(10_000, 30_000)]
    body = ndjson(rows)
    jobs = await asyncio.gather(*(imported(site.ann, PLATFORMS, content=body, headers=NDJSON) for _ in range(3)))
    assert {(job["successCount"], job["failureCount"]) for job in jobs} == {(40_000, 1)}
    assert await fetch(site.url, "SELECT count(*) FROM platforms") == [(120_000,)]


async def test_no_session_setting_is_left_behind(site: CatalogueSite, pooled_url: str) -> None:
    """What one client of a pooler sets in a session, its others would have."""
    await asyncio.gather(*(_import_and_look(site, number) for number in range(ROUNDS)))
    names = ("enable_seqscan", "jit", "statement_timeout", "lock_timeout", "synchronous_commit", "datestyle", "role")
    connections = [await psycopg.AsyncConnection.connect(pooled_url) for _ in range(SESSIONS)]
    seen = set()
    try:
        for connection in connections:  # each holds a session of its own until its transaction ends
            cursor = await connection.execute(
                "SELECT pg_backend_pid(), (SELECT json_object_agg(name, setting = reset_val) FROM pg_settings"
                " WHERE name = ANY(%s))",
                (list(names),),
                prepare=False,
            )
            row = await cursor.fetchone()
            assert row is not None
            seen.add(row[0])
            assert set(row[1].values()) == {True}, row[1]
    finally:
        for connection in connections:
            await connection.close()
    assert seen


async def test_every_dashboard_page_loads_behind_a_pooler(site: CatalogueSite, pooled_url: str) -> None:
    await _import_and_look(site, 1)
    async with open_application(pooled_url) as app, client_of(app) as browser:
        paths = await _pages(browser)
        for _ in range(ROUNDS):
            answers = await asyncio.gather(*(browser.get(path) for path in paths))
            assert {answer.status_code for answer in answers} == {200}, [
                (answer.url.path, answer.status_code) for answer in answers if answer.status_code != 200
            ]


async def _pages(browser: httpx.AsyncClient) -> list[str]:
    start = await browser.get("/hangfire", follow_redirects=True)
    assert start.status_code == 200, start.text
    return [
        f"/hangfire/{page}"
        for page in ("", "jobs", "failures", "queues", "servers", "recurring", "batches", "imports", "history", "audit")
        if f"/hangfire/{page}" in start.text or not page
    ]
