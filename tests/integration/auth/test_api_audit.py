"""What API clients change is in the audit, and so is the use of a key from a new address."""

import psycopg

from application_client import client_of, make_key, open_application
from commandapi.auth.keys import issue_key, verify_key

PLATFORMS = "/api/platforms"


async def _audit(url: str) -> list[tuple[str, ...]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT actor, action, target, outcome FROM bulkport.audit ORDER BY id")
        return await cursor.fetchall()


async def test_client_changes_are_audited_with_user_and_key(database_url: str) -> None:
    async with open_application(database_url) as app, client_of(app, await make_key(database_url)) as ann:
        platform = (await ann.post(PLATFORMS, json={"platformName": "a"})).json()["id"]
        address = f"{PLATFORMS}/{platform}"
        await ann.get(address)
        await ann.put(address, json={"platformName": ""})
        await ann.put(address, json={"platformName": "b"})
        sent = await ann.post(f"{PLATFORMS}/bulk", json={"platforms": [{"platformName": "c"}]})
        await ann.post(f"/api/imports/{sent.json()['id']}/cancel")
        await ann.delete(address)
        await ann.delete(address)
        # It is in the dashboard as well.
        page = await ann.get("/hangfire/audit")
        assert "api/delete_platform" in page.text
    cancelled = f"/api/imports/{sent.json()['id']}/cancel"
    assert await _audit(database_url) == [
        ("ann (key 1)", "api/create_platform", PLATFORMS, "Answered 201."),
        ("ann (key 1)", "api/replace_platform", address, "Answered 204."),
        ("ann (key 1)", "api/cancel", cancelled, "Answered 200."),
        ("ann (key 1)", "api/delete_platform", address, "Answered 204."),
    ]


async def test_a_key_used_from_a_new_address_is_reported_once(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        key = (await issue_key(connection, "ann")).text
        for address in ("192.0.2.1", "192.0.2.1", "198.51.100.7", "192.0.2.1", None, "198.51.100.7"):
            assert await verify_key(connection, key, address=address) is not None
        # Who has no secret leaves nothing.
        assert await verify_key(connection, key[:36] + "A" * 43, address="203.0.113.9") is None
    assert await _audit(database_url) == [
        ("ann (key 1)", "keys/new-address", "key 1", "Used from 198.51.100.7"),
    ]


async def test_a_key_remembers_a_limited_number_of_addresses(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        key = (await issue_key(connection, "ann")).text
        for number in range(30):
            await verify_key(connection, key, address=f"192.0.2.{number}")
        row = await (await connection.execute("SELECT cardinality(addresses) FROM api_keys")).fetchone()
    assert row == (20,)
    assert len(await _audit(database_url)) == 29
