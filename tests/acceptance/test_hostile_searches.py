"""Searches of one user that were hung up do not keep the others waiting."""

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest
from upload_socket import served

from application_client import assert_problem, client_of, make_key, open_application
from import_steps import fetch

_RUNNING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%%ILIKE%%'
"""


async def test_query_parameters_are_limited(database_url: str) -> None:
    async with open_application(database_url) as app, client_of(app, await make_key(database_url)) as client:
        for path in ("/api/platforms", "/api/commands", "/api/platforms/export"):
            assert_problem(await client.get(path, params={"search": "a" * 251}), 400)
            assert (await client.get(path, params={"search": "a" * 250})).status_code == 200
            assert_problem(await client.get(path, params={"search": "_%" * 7500}), 414)
        for name in ("cursor", "resource", "status", "name", "clientId", "metadata", "tag"):
            assert_problem(await client.get("/api/imports", params={name: "x" * 5000}), 400)
        assert_problem(await client.get("/api/platforms", headers={"x-long": "x" * 70_000}), 431)


async def test_headers_are_limited(database_url: str) -> None:
    many = [(f"x{number}", "") for number in range(5000)]
    async with open_application(database_url) as app, client_of(app, await make_key(database_url)) as client:
        assert "headers" in assert_problem(await client.get("/api/platforms", headers=many), 431)["detail"]
        assert (await client.get("/api/platforms", headers=many[:150])).status_code == 200


async def test_the_openapi_document_is_generated_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_application(database_url) as app, client_of(app) as client:
        first = await client.get("/openapi.json")
        assert first.json() == app.openapi()
        monkeypatch.delattr(type(app), "openapi")
        monkeypatch.setattr(app, "openapi", None, raising=False)
        assert (await client.get("/openapi.json")).content == first.content


async def test_one_users_exports_leave_connections_for_others(database_url: str) -> None:
    async with (
        open_application(database_url) as app,
        client_of(app, await make_key(database_url)) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
        AsyncExitStack() as stack,
    ):
        slots = app.state.bulkport._runtime().text_export_slots
        slots._wait_seconds = 0.01
        for _ in range(4):
            await stack.enter_async_context(slots.slot("ann"))
        for export_format in ("csv", "ndjson"):
            path = f"/api/platforms/export?format={export_format}"
            assert_problem(await ann.get(path), 429)
            assert (await bob.get(path)).status_code == 200
        assert slots.taken == 4


async def test_a_missing_or_repeated_host_header_is_rejected(database_url: str) -> None:
    async with served(database_url) as api:
        for hosts, status in ((b"", 400), (b"host: a\r\nhost: b\r\n", 400), (b"host: a\r\n", 200)):
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write(b"GET /health/live HTTP/1.1\r\n" + hosts + b"connection: close\r\n\r\n")
            assert int((await reader.readline()).split()[1]) == status
            writer.close()


async def test_a_search_is_cancelled_in_postgresql_when_its_client_disconnects(database_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database_url) as locking,
        served(database_url, api_pool_size=4) as api,
    ):
        # As long as the table is locked, searches take for ever.
        await locking.execute("LOCK TABLE platforms IN ACCESS EXCLUSIVE MODE")
        for _ in range(6):
            _reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            head = f"GET /api/platforms?search=a HTTP/1.1\r\nhost: a\r\nx-api-key: {api.key}\r\n\r\n"
            writer.write(head.encode())
            async with asyncio.timeout(60):
                while (await fetch(database_url, _RUNNING))[0][0] == 0:
                    await asyncio.sleep(0.01)
            writer.transport.abort()
            async with asyncio.timeout(60):
                while (await fetch(database_url, _RUNNING))[0][0]:
                    await asyncio.sleep(0.01)
        await locking.rollback()
        async with api.client() as client:
            assert (await client.get("/api/platforms", params={"search": "a"})).status_code == 200


async def test_one_users_searches_leave_connections_for_others(database_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database_url) as locking,
        served(database_url, api_pool_size=6, database_wait_seconds=2) as api,
        api.client() as ann,
        api.client() as bob,
    ):
        bob.headers["x-api-key"] = await make_key(database_url, "bob")
        # What is opened while nothing is held need not be opened in time later.
        await asyncio.gather(*(one.get("/api/imports") for one in (ann, bob, ann, bob, ann, bob)))
        await locking.execute("LOCK TABLE platforms IN ACCESS EXCLUSIVE MODE")
        searches = [asyncio.create_task(ann.get("/api/platforms", params={"search": "a"})) for _ in range(10)]
        done, _ = await asyncio.wait(searches, return_when=asyncio.FIRST_COMPLETED)
        refused = next(iter(done)).result()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (await bob.get("/api/imports")).status_code == 200
        assert (await bob.get("/health/ready")).status_code == 200
        await locking.rollback()
        assert {(await search).status_code for search in searches} == {200, 429}


async def test_a_statement_that_takes_too_long_gets_503(database_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database_url) as locking,
        open_application(database_url, statement_seconds=0.2) as app,
        client_of(app, await make_key(database_url)) as client,
    ):
        await locking.execute("LOCK TABLE platforms IN ACCESS EXCLUSIVE MODE")
        body = assert_problem(await client.get("/api/platforms"), 503)
        assert "took too long" in body["detail"]
        await locking.rollback()


@pytest.mark.parametrize("path", ["/api/platforms", "/api/platforms/bulk"])
async def test_a_read_only_database_gets_503(database_url: str, path: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        key = await make_key(database_url)
        name = connection.info.dbname
        await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    body = {"platformName": "a"} if path.endswith("platforms") else {"platforms": [{"platformName": "a"}]}
    async with open_application(database_url) as app, client_of(app, key) as client:
        answer = assert_problem(await client.post(path, json=body), 503)
        assert answer["type"] == "/problems/service-unavailable"
        assert (await client.get("/api/platforms")).status_code == 200
