"""Whose platforms and commands a user sees, changes and removes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from application_client import assert_problem, client_of, make_key, open_application
from commandapi.auth.keys import REGISTERED_SCOPES, issue_key
from commandapi.settings import Settings, Tenancy
from commandapi.wiring import run_worker
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


async def test_a_user_removes_what_they_added_and_only_an_admin_what_others_did(database_url: str) -> None:
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


async def test_what_was_imported_into_the_shared_catalogue_an_admin_removes(database_url: str) -> None:
    async with open_application(database_url) as app, _worker(database_url, Tenancy.SHARED), AsyncExitStack() as stack:
        ann = await stack.enter_async_context(await _registered(app, database_url, "ann"))
        admin = await stack.enter_async_context(client_of(app, await make_key(database_url, "root")))
        assert (await _imported(ann, PLATFORMS, [{"platformName": "a"}]))["successCount"] == 1
        address = f"{PLATFORMS}/{(await ann.get(PLATFORMS)).json()['items'][0]['id']}"
        assert_problem(await ann.delete(address), 403)
        assert (await admin.delete(address)).status_code == 204


@pytest.fixture
async def isolated(database_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients of two users, each with all scopes, who have catalogues of their own."""
    async with (
        open_application(database_url, tenancy="isolated") as app,
        _worker(database_url, Tenancy.ISOLATED),
        client_of(app, await make_key(database_url, "ann")) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
    ):
        yield ann, bob


async def test_single_records_are_their_users_own(isolated: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
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
