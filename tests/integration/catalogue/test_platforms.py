"""Platforms over HTTP."""

import re

import httpx
import pytest
from catalogue_steps import COMMANDS, NO_IDS, PLATFORMS, add_command, add_platform

from application_client import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_platform_is_created_read_replaced_and_deleted(api: httpx.AsyncClient) -> None:
    created = await api.post(PLATFORMS, json={"platformName": "Docker"})
    assert created.status_code == 201
    address = created.headers["location"]
    body = created.json()
    assert list(body) == ["id", "platformName", "createdAt"]
    assert address == f"{PLATFORMS}/{body['id']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", body["createdAt"])

    read = await api.get(address)
    assert (read.status_code, read.json()) == (200, body)

    replaced = await api.put(address, json={"platformName": "Podman"})
    assert (replaced.status_code, replaced.content) == (204, b"")
    assert (await api.get(address)).json() == {**body, "platformName": "Podman"}

    deleted = await api.delete(address)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for answer in (
        await api.get(address),
        await api.delete(address),
        await api.put(address, json={"platformName": "x"}),
    ):
        assert_problem(answer, 404)


async def test_names_are_stored_as_sent(api: httpx.AsyncClient) -> None:
    for name in (" padded ", "🐳" * 100, "a" * 100, "Ünïcødé\n\t", "'; DROP TABLE platforms; --", "<script>"):
        identity = await add_platform(api, name)
        assert (await api.get(f"{PLATFORMS}/{identity}")).json()["platformName"] == name


async def test_names_need_not_be_unique(api: httpx.AsyncClient) -> None:
    assert await add_platform(api) != await add_platform(api)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "platformName is required"),
        ({"platform_name": "Docker"}, "platformName is required"),
        ({"platformName": None}, "platformName must not be null"),
        ({"platformName": ""}, "platformName must not be blank"),
        ({"platformName": " \t\n\u3000"}, "platformName must not be blank"),
        ({"platformName": "a" * 101}, "platformName must be at most 100 characters"),
        ({"platformName": 5}, "platformName must be text"),
        ({"platformName": ["Docker"]}, "platformName must be text"),
        ({"platformName": "Doc\0ker"}, "platformName must not contain the character NUL"),
    ],
)
async def test_a_bad_name_is_rejected_by_post_and_put(api: httpx.AsyncClient, body: object, message: str) -> None:
    identity = await add_platform(api)
    for answer in (await api.post(PLATFORMS, json=body), await api.put(f"{PLATFORMS}/{identity}", json=body)):
        assert assert_problem(answer, 400)["errors"] == {"platformName": [message]}
    page = (await api.get(PLATFORMS)).json()
    assert [item["platformName"] for item in page["items"]] == ["Docker"]


async def test_unknown_fields_are_ignored(api: httpx.AsyncClient) -> None:
    answer = await api.post(PLATFORMS, json={"platformName": "Docker", "id": 777, "colour": "blue"})
    assert answer.status_code == 201
    assert answer.json()["id"] != 777


@pytest.mark.parametrize("segment", NO_IDS)
async def test_an_invalid_id_is_not_found(api: httpx.AsyncClient, segment: str) -> None:
    address = f"{PLATFORMS}/{segment}"
    for answer in (
        await api.get(address),
        await api.delete(address),
        await api.put(address, json={"platformName": "x"}),
        await api.get(f"{address}/commands"),
    ):
        assert_problem(answer, 404)


async def test_the_largest_id_is_looked_up(api: httpx.AsyncClient) -> None:
    assert_problem(await api.get(f"{PLATFORMS}/{2**63 - 1}"), 404)


async def test_deleting_a_platform_deletes_its_commands(api: httpx.AsyncClient) -> None:
    gone, kept = await add_platform(api), await add_platform(api)
    of_gone, of_kept = await add_command(api, gone), await add_command(api, kept)
    assert (await api.delete(f"{PLATFORMS}/{gone}")).status_code == 204
    assert (await api.get(f"{COMMANDS}/{of_gone}")).status_code == 404
    assert (await api.get(f"{COMMANDS}/{of_kept}")).status_code == 200
    assert_problem(await api.get(f"{PLATFORMS}/{gone}/commands"), 404)
