"""Every route asks for a live key with the right scope, and for one's own objects."""

import re
from collections.abc import AsyncIterator

import psycopg
import pytest
from fastapi import FastAPI

from application_client import assert_problem, client_of, make_key, open_application
from commandapi.auth.authentication import scope_needed
from commandapi.auth.keys import ALL_SCOPES, issue_key, rotate_key, verify_key

_METHODS = ("get", "post", "put", "patch", "delete")


async def _key(
    url: str, user: str = "ann", *, scopes: tuple[str, ...] = ALL_SCOPES, seconds: float | None = None
) -> str:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return (await issue_key(connection, "ann", scopes=scopes, seconds=seconds)).text


def _routes(app: FastAPI, **ids: int) -> list[tuple[str, str]]:
    """Method and address of each route of the API but the registrations; ids that are not given are 1."""
    return [
        (method.upper(), re.sub(r"\{(\w+)\}", lambda found: str(ids.get(found[1], 1)), path))
        for path, methods in app.openapi()["paths"].items()
        if path.startswith("/api") and "registrations" not in path
        for method in methods
        if method in _METHODS
    ]


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_application(database_url) as app:
        yield app


async def test_no_route_answers_without_a_live_key(app: FastAPI, database_url: str) -> None:
    expired = await _key(database_url, seconds=-1)
    revoked = await make_key(database_url)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE key_index::text = %s", (revoked[:36],))
    wrong_secret = (await make_key(database_url))[:36] + "A" * 43
    routes = _routes(app)
    assert len(routes) > 25
    async with client_of(app) as client:
        for method, path in routes:
            for key in (None, "", "nonsense", wrong_secret, revoked, expired):
                headers = {} if key is None else {"x-api-key": key}
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path, key)


async def test_no_route_does_more_than_the_scopes_of_the_key(app: FastAPI, database_url: str) -> None:
    clients = {scope: client_of(app, await _key(database_url, scopes=(scope,))) for scope in ALL_SCOPES}
    for method, path in _routes(app):
        needed = scope_needed(method, path)
        for scope, client in clients.items():
            if scope != needed and not path.endswith("events"):
                answer = await client.request(method, path)
                assert answer.status_code == 403, (method, path, scope)
                assert answer.json()["type"] == "/problems/insufficient-scope"
                assert needed in answer.json()["detail"]
    for client in clients.values():
        await client.aclose()


async def test_another_users_imports_are_forbidden_on_every_route(app: FastAPI, database_url: str) -> None:
    async with (
        client_of(app, await make_key(database_url)) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
    ):
        sent = await ann.post("/api/platforms/bulk", json={"platforms": [{"platformName": "a"}]})
        import_id = sent.json()["id"]
        foreign = [
            (method, path)
            for method, path in _routes(app, job_id=import_id)
            if f"/{import_id}/" in f"{path}/" and path.startswith(("/api/imports", "/api/platforms/bulk"))
        ]
        assert len(foreign) >= 5
        for method, path in foreign:
            answer = await bob.request(method, path)
            # 415: whose it is does not matter to a body that cannot be read.
            assert answer.status_code in {403, 404, 415}, (method, path, answer.text)
        assert (await ann.get(f"/api/imports/{import_id}")).json()["status"] == "Pending"


async def test_a_key_lives_on_for_a_while_when_another_takes_its_place(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        old = await issue_key(connection, "ann", "mine", scopes=["read"])
        new = await rotate_key(connection, "ann", old.record.id, overlap_seconds=60)
        assert new is not None
        assert (new.record.description, new.record.scopes) == ("mine", ["read"])
        assert await verify_key(connection, old.text) is not None
        assert await verify_key(connection, new.text) is not None
        assert await rotate_key(connection, "bob", new.record.id, overlap_seconds=60) is None
        await rotate_key(connection, "ann", new.record.id, overlap_seconds=0)
        assert await verify_key(connection, new.text) is None


async def test_a_user_who_sends_too_many_requests_is_told_when_to_go_on(database_url: str) -> None:
    async with open_application(database_url, requests_per_minute=3) as app:
        async with client_of(app, await make_key(database_url)) as ann:
            first = await ann.get("/api/platforms")
            assert first.headers["ratelimit-policy"] == '"user";q=3;w=60'
            assert first.headers["ratelimit"] == '"user";r=2;t=0'
            await ann.get("/api/platforms")
            await ann.get("/api/platforms")
            refused = await ann.get("/api/platforms")
            assert_problem(refused, 429)
            assert 1 <= int(refused.headers["retry-after"]) <= 20
        async with client_of(app, await make_key(database_url, "bob")) as bob:
            assert (await bob.get("/api/platforms")).status_code == 200


async def test_what_waits_of_a_user_has_a_limit(database_url: str) -> None:
    body = {"platforms": [{"platformName": "a"}] * 10}
    for limit in ({"max_user_queued_imports": 1}, {"max_user_queued_rows": 10}, {"max_user_queued_bytes": 10}):
        async with open_application(database_url, **limit) as app, client_of(app, await make_key(database_url)) as ann:
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute("TRUNCATE bulkport.bulk_import_jobs CASCADE")
            assert (await ann.post("/api/platforms/bulk", json=body)).status_code == 202
        async with open_application(database_url, **limit) as app:
            async with client_of(app, await make_key(database_url)) as ann:
                refused = await ann.post("/api/platforms/bulk", json=body)
                assert assert_problem(refused, 429)["type"] == "/problems/too-many-queued"
            async with client_of(app, await make_key(database_url, "bob")) as bob:
                assert (await bob.post("/api/platforms/bulk", json=body)).status_code == 202


async def test_uploads_are_refused_while_the_disk_is_nearly_full(database_url: str) -> None:
    async with (
        open_application(database_url, disk_watermark_bytes=2**62) as app,
        client_of(app, await make_key(database_url)) as ann,
    ):
        refused = await ann.post("/api/platforms/bulk", json={"platforms": [{"platformName": "a"}]})
        assert_problem(refused, 507)
        assert refused.headers["retry-after"] == "60"
        assert (await ann.get("/api/platforms")).status_code == 200
