"""Commands over HTTP."""

from typing import Any

import httpx
import pytest
from catalogue_steps import COMMANDS, NO_IDS, PLATFORMS, add_command, add_platform, listed

from application_client import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_command_is_created_read_replaced_and_deleted(api: httpx.AsyncClient) -> None:
    docker, git = await add_platform(api, "Docker"), await add_platform(api, "Git")
    sent = {"howTo": "List containers", "commandLine": "docker ps", "platformId": docker}
    created = await api.post(COMMANDS, json=sent)
    assert created.status_code == 201
    body = created.json()
    assert list(body) == ["id", "howTo", "commandLine", "platformId", "createdAt"]
    assert {name: body[name] for name in sent} == sent
    address = created.headers["location"]
    assert address == f"{COMMANDS}/{body['id']}"
    assert (await api.get(address)).json() == body

    changed = {"howTo": "Show the log", "commandLine": "git log", "platformId": git}
    replaced = await api.put(address, json=changed)
    assert (replaced.status_code, replaced.content) == (204, b"")
    assert (await api.get(address)).json() == {**body, **changed}

    assert (await api.delete(address)).status_code == 204
    for answer in (await api.get(address), await api.delete(address), await api.put(address, json=changed)):
        assert_problem(answer, 404)


@pytest.mark.parametrize("platform_id", [999_999, 2**63 - 1])
async def test_the_platform_must_exist(api: httpx.AsyncClient, platform_id: int) -> None:
    identity = await add_command(api, await add_platform(api))
    body = {"howTo": "x", "commandLine": "y", "platformId": platform_id}
    for answer in (await api.post(COMMANDS, json=body), await api.put(f"{COMMANDS}/{identity}", json=body)):
        errors = assert_problem(answer, 400)["errors"]
        assert errors == {"platformId": [f"platformId {platform_id} does not exist"]}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"howTo": None}, "howTo", "howTo must not be null"),
        ({"howTo": " "}, "howTo", "howTo must not be blank"),
        ({"howTo": "a" * 251}, "howTo", "howTo must be at most 250 characters"),
        ({"commandLine": ""}, "commandLine", "commandLine must not be blank"),
        ({"commandLine": "a\0b"}, "commandLine", "commandLine must not contain the character NUL"),
        ({"platformId": "1"}, "platformId", "platformId must be a whole number"),
        ({"platformId": True}, "platformId", "platformId must be a whole number"),
        ({"platformId": 1.5}, "platformId", "platformId must be a whole number"),
        ({"platformId": 0}, "platformId", "platformId must be greater than 0"),
        ({"platformId": 2**63}, "platformId", f"platformId must be at most {2**63 - 1}"),
        ({"platformId": None}, "platformId", "platformId must not be null"),
    ],
)
async def test_a_bad_field_is_named(api: httpx.AsyncClient, changes: dict[str, Any], field: str, message: str) -> None:
    body = {"howTo": "x", "commandLine": "y", "platformId": await add_platform(api), **changes}
    assert assert_problem(await api.post(COMMANDS, json=body), 400)["errors"] == {field: [message]}
    assert (await api.get(COMMANDS)).json()["totalCount"] == 0


async def test_every_bad_field_is_named(api: httpx.AsyncClient) -> None:
    errors = assert_problem(await api.post(COMMANDS, json={"howTo": ""}), 400)["errors"]
    assert errors == {
        "howTo": ["howTo must not be blank"],
        "commandLine": ["commandLine is required"],
        "platformId": ["platformId is required"],
    }


async def test_a_long_command_line_is_stored_whole(api: httpx.AsyncClient) -> None:
    line = "x\n" * 200_000
    identity = await add_command(api, await add_platform(api), "a" * 250, line)
    assert (await api.get(f"{COMMANDS}/{identity}")).json()["commandLine"] == line


@pytest.mark.parametrize("segment", NO_IDS)
async def test_an_invalid_id_is_not_found(api: httpx.AsyncClient, segment: str) -> None:
    body = {"howTo": "x", "commandLine": "y", "platformId": 1}
    address = f"{COMMANDS}/{segment}"
    for answer in (await api.get(address), await api.delete(address), await api.put(address, json=body)):
        assert_problem(answer, 404)


async def test_a_platforms_commands_are_listed_separately(api: httpx.AsyncClient) -> None:
    docker, git = await add_platform(api, "Docker"), await add_platform(api, "Git")
    for line in ("docker ps", "docker images"):
        await add_command(api, docker, "List", line)
    await add_command(api, git, "List", "git branch")
    address = f"{PLATFORMS}/{docker}/commands"
    assert await listed(api, address, "commandLine", sortBy="commandLine") == ["docker images", "docker ps"]
    assert await listed(api, address, "commandLine", search="IMAGES") == ["docker images"]
    assert await listed(api, address, "commandLine", search="branch") == []
    page = (await api.get(address, params={"pageSize": 1})).json()
    assert (page["totalCount"], page["totalPages"], page["hasNextPage"]) == (2, 2, True)
    assert await listed(api, f"{PLATFORMS}/{await add_platform(api)}/commands", "id") == []


async def test_a_search_covers_both_texts(api: httpx.AsyncClient) -> None:
    platform = await add_platform(api)
    first = await add_command(api, platform, "Show IMAGES", "ls")
    second = await add_command(api, platform, "Show all", "docker images")
    await add_command(api, platform, "Other", "other")
    assert await listed(api, COMMANDS, "id", search="images", sortBy="id") == [first, second]
