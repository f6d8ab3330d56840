"""Whose platforms and commands a user sees, changes and removes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import httpx
import psycopg
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from application_client import assert_problem, client_of, make_key, open_application
from bulkport.imports.exports.query import ExportQuery
from commandapi.auth.keys import REGISTERED_SCOPES, issue_key
from commandapi.commands import routes as command_routes
from commandapi.composition import run_worker
from commandapi.ownership import Tenancy
from commandapi.platforms.models import PLATFORMS_BY_ID
from commandapi.row_security import fit_row_security
from commandapi.settings import Settings
from commandapi.tenancy import Tenant
from import_steps import NDJSON, WAIT_SECONDS

PLATFORMS, COMMANDS = "/api/platforms", "/api/commands"


async def _registered(app: FastAPI, url: str, user: str) -> httpx.AsyncClient:
    """A client with a key as users register them."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return client_of(app, (await issue_key(connection, user, scopes=REGISTERED_SCOPES)).text)


@asynccontextmanager
async def _worker(url: str, tenancy: Tenancy) -> AsyncIterator[None]:
    stop = asyncio.Event()
    working = asyncio.create_task(
        run_worker(Settings(database_url=url, tenancy=tenancy), concurrency=4, stop=stop)  # type: ignore[arg-type]
    )
    try:
        yield
    finally:
        stop.set()
        await working


async def _platform(client: httpx.AsyncClient, name: str) -> int:
    return int((await client.post(PLATFORMS, json={"platformName": name})).json()["id"])


async def _command(client: httpx.AsyncClient, platform_id: int) -> httpx.Response:
    return await client.post(COMMANDS, json={"howTo": "list", "commandLine": "ls", "platformId": platform_id})


async def _imported(client: httpx.AsyncClient, path: str, records: list[dict[str, object]], query: str = "") -> dict:
    body = "\n".join(map(json.dumps, records)).encode()
    sent = await client.post(f"{path}/bulk{query}", content=body, headers=NDJSON)
    assert sent.status_code == 202, sent.text
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            state = (await client.get(f"/api/imports/{sent.json()['id']}?wait=5")).json()
            if state["completedAt"]:
                return state


async def test_a_user_can_remove_their_own_records_and_only_an_admin_those_of_others(database_url: str) -> None:
    async with open_application(database_url) as app, AsyncExitStack() as stack:
        ann = await stack.enter_async_context(await _registered(app, database_url, "ann"))
        bob = await stack.enter_async_context(await _registered(app, database_url, "bob"))
        admin = await stack.enter_async_context(client_of(app, await make_key(database_url, "root")))
        own, others, used = [await _platform(ann, name) for name in ("own", "others", "used")]
        command = (await _command(bob, used)).json()["id"]
        assert (await ann.delete(f"{PLATFORMS}/{own}")).status_code == 204
        refused = assert_problem(await bob.delete(f"{PLATFORMS}/{others}"), 403)
        assert "scope admin" in refused["detail"]
        # With it would go what another user added to it.
        assert_problem(await ann.delete(f"{PLATFORMS}/{used}"), 403)
        assert_problem(await ann.delete(f"{COMMANDS}/{command}"), 403)
        assert_problem(await ann.delete(f"{PLATFORMS}/999999"), 404)
        assert (await bob.delete(f"{COMMANDS}/{command}")).status_code == 204
        assert (await ann.delete(f"{PLATFORMS}/{used}")).status_code == 204
        assert (await admin.delete(f"{PLATFORMS}/{others}")).status_code == 204


async def test_only_an_admin_can_remove_imports_into_the_shared_catalogue(database_url: str) -> None:
    async with open_application(database_url) as app, _worker(database_url, Tenancy.SHARED), AsyncExitStack() as stack:
        ann = await stack.enter_async_context(await _registered(app, database_url, "ann"))
        admin = await stack.enter_async_context(client_of(app, await make_key(database_url, "root")))
        assert (await _imported(ann, PLATFORMS, [{"platformName": "a"}]))["successCount"] == 1
        address = f"{PLATFORMS}/{(await ann.get(PLATFORMS)).json()['items'][0]['id']}"
        assert_problem(await ann.delete(address), 403)
        assert (await admin.delete(address)).status_code == 204


def switch_row_security(url: str, tenancy: Tenancy) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        fit_row_security(connection, tenancy)


@pytest.fixture
async def isolated(database_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients of two users with all scopes and their own catalogues."""
    switch_row_security(database_url, Tenancy.ISOLATED)
    async with (
        open_application(database_url, tenancy="isolated") as app,
        _worker(database_url, Tenancy.ISOLATED),
        client_of(app, await make_key(database_url, "ann")) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
    ):
        yield ann, bob


async def test_single_records_belong_to_their_user(isolated: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
    ann, bob = isolated
    platform = await _platform(ann, "git")
    command = (await _command(ann, platform)).json()["id"]
    assert (await bob.get(PLATFORMS)).json()["totalCount"] == 0
    assert (await bob.get(f"{COMMANDS}?search=l")).json()["totalCount"] == 0
    bodies = {PLATFORMS: {"platformName": "x"}, COMMANDS: {"howTo": "x", "commandLine": "x", "platformId": platform}}
    mine = bodies[COMMANDS] | {"platformId": await _platform(bob, "y")}
    for path, row_id in ((PLATFORMS, platform), (COMMANDS, command)):
        address = f"{path}/{row_id}"
        for answer in (
            await bob.get(address),
            await bob.delete(address),
            await bob.put(address, json=mine if path == COMMANDS else bodies[path]),
        ):
            assert_problem(answer, 404)
    assert_problem(await bob.get(f"{PLATFORMS}/{platform}/commands"), 404)
    # Nothing goes to another user's platform, neither new nor moved.
    assert assert_problem(await _command(bob, platform), 400)["errors"] == {
        "platformId": [f"platformId {platform} does not exist"]
    }
    own = (await _command(bob, await _platform(bob, "svn"))).json()["id"]
    assert_problem(await bob.put(f"{COMMANDS}/{own}", json=bodies[COMMANDS]), 400)
    assert (await ann.get(f"{COMMANDS}/{command}")).json()["howTo"] == "list"
    assert (await ann.delete(f"{PLATFORMS}/{platform}")).status_code == 204


async def test_imports_references_matches_and_exports_stay_in_their_users_catalogue(
    isolated: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    ann, bob = isolated
    platform = await _platform(ann, "git")
    # Neither by name nor by id.
    for reference in ({"platformName": "git"}, {"platformId": platform}):
        row: dict[str, object] = {"howTo": "list", "commandLine": "ls", **reference}
        assert (await _imported(bob, COMMANDS, [row]))["failureCount"] == 1, reference
        assert (await _imported(ann, COMMANDS, [row]))["successCount"] == 1, reference
    for mode, counts in (("upsert", (1, 0)), ("upsert", (0, 1)), ("skip", (0, 0)), ("delete", (0, 0))):
        state = await _imported(bob, PLATFORMS, [{"platformName": "git"}], f"?mode={mode}")
        assert (state["created"], state["updated"] + state["unchanged"]) == counts, mode
        assert (await ann.get(f"{PLATFORMS}/{platform}")).status_code == 200
    await _imported(bob, PLATFORMS, [{"platformName": "svn"}])
    for client, names in ((ann, ["git"]), (bob, ["svn"])):
        exported = await client.get(f"{PLATFORMS}/export?format=ndjson")
        assert [json.loads(line)["platformName"] for line in exported.text.splitlines()] == names
        assert [item["platformName"] for item in (await client.get(PLATFORMS)).json()["items"]] == names
    sent = await _imported(bob, PLATFORMS, [{"platformName": "hg"}])
    assert (await bob.post(f"/api/imports/{sent['id']}/undo")).json()["undone"]["removed"] == 1
    assert (await ann.get(PLATFORMS)).json()["totalCount"] == 1


async def test_postgresql_enforces_what_the_application_forgets_to_check(
    isolated: tuple[httpx.AsyncClient, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application's own check is disabled everywhere; nothing changes for the other user."""
    ann, bob = isolated
    platform = await _platform(ann, "git")
    command = (await _command(ann, platform)).json()["id"]
    own = await _platform(bob, "svn")
    own_command = (await _command(bob, own)).json()["id"]

    for check in ("sees", "removes"):
        monkeypatch.setattr(Tenant, check, lambda *_: [])
    condition = ExportQuery.condition
    monkeypatch.setattr(ExportQuery, "condition", lambda query, *args: condition(replace(query, context={}), *args))
    monkeypatch.setattr(command_routes, "_require_platform", _require_any_platform)
    assert [item["id"] for item in (await bob.get(PLATFORMS)).json()["items"]] == [own]
    assert [item["id"] for item in (await bob.get(f"{COMMANDS}?search=l")).json()["items"]] == [own_command]
    change = {PLATFORMS: {"platformName": "x"}, COMMANDS: {"howTo": "x", "commandLine": "x", "platformId": own}}
    for path, row_id in ((PLATFORMS, platform), (COMMANDS, command)):
        address = f"{path}/{row_id}"
        for answer in (await bob.get(address), await bob.put(address, json=change[path]), await bob.delete(address)):
            assert_problem(answer, 404)
        assert (await ann.get(address)).status_code == 200
    assert_problem(await bob.get(f"{PLATFORMS}/{platform}/commands"), 404)
    for suffix in ("ndjson", "csv"):
        exported = (await bob.get(f"{PLATFORMS}/export?format={suffix}")).text
        assert "svn" in exported
        assert "git" not in exported


async def _require_any_platform(session: AsyncSession, platform_id: int, tenant: Tenant) -> None:
    await PLATFORMS_BY_ID.require(session, platform_id)


async def test_without_row_security_the_applications_check_holds_and_a_warning_is_logged(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    structlog.reset_defaults()
    caplog.set_level(logging.WARNING)
    async with (
        open_application(database_url, tenancy="isolated") as app,
        client_of(app, await make_key(database_url, "ann")) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
    ):
        platform = await _platform(ann, "git")
        assert_problem(await bob.get(f"{PLATFORMS}/{platform}"), 404)
    assert "row-level security of platforms and commands is off" in caplog.text


async def test_row_security_matches_the_configured_tenancy(database_url: str) -> None:
    for tenancy in (Tenancy.ISOLATED, Tenancy.ISOLATED, Tenancy.SHARED):
        switch_row_security(database_url, tenancy)
        with psycopg.connect(database_url) as connection:
            cursor = connection.execute(
                "SELECT relrowsecurity FROM pg_class WHERE oid IN ('platforms'::regclass, 'commands'::regclass)"
            )
            assert cursor.fetchall() == [(tenancy is Tenancy.ISOLATED,)] * 2
