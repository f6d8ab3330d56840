"""API keys in a real database."""

import asyncio
import base64
import hashlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from bulkport.errors import BadRequest
from commandapi.auth import key_format, queries
from commandapi.auth.keys import (
    TooManyApiKeys,
    create_key,
    find_key,
    issue_key,
    list_keys,
    revoke_key,
    verify_key,
)

Connection = psycopg.AsyncConnection[Any]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield connection


async def user_of(connection: Connection, key: str) -> str | None:
    caller = await verify_key(connection, key)
    return None if caller is None else caller.user_id


async def test_a_key_authenticates_its_user(connection: Connection) -> None:
    key = await create_key(connection, "auth0|ann", "laptop")
    assert await user_of(connection, key) == "auth0|ann"


async def test_two_keys_of_a_user_belong_to_one_user(connection: Connection) -> None:
    keys = [await create_key(connection, "ann") for _ in range(2)]
    assert {await user_of(connection, key) for key in keys} == {"ann"}


async def test_only_hashes_are_stored(connection: Connection) -> None:
    key = await create_key(connection, "ann", "laptop")
    cursor = await connection.execute("SELECT secret_hash, key_index, api_keys::text FROM api_keys")
    secret_hash, key_index, whole_row = (await cursor.fetchall())[0]
    secret = key[36:]
    assert secret_hash == hashlib.sha256(secret.encode()).digest()
    assert str(key_index) == key[:36]
    raw_bytes = base64.urlsafe_b64decode(secret + "=")
    for trace in (secret, secret.encode().hex(), raw_bytes.hex()):
        assert trace not in whole_row


async def test_a_wrong_secret_is_rejected(connection: Connection) -> None:
    ann, bob = await create_key(connection, "ann"), await create_key(connection, "bob")
    assert await verify_key(connection, ann[:36] + bob[36:]) is None


async def test_other_encodings_of_the_same_bytes_are_rejected(connection: Connection) -> None:
    key = await create_key(connection, "ann")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(key[-1])
    for other in alphabet[place - place % 4 : place - place % 4 + 4]:
        if other != key[-1]:
            assert await verify_key(connection, key[:-1] + other) is None


async def test_an_unknown_index_is_rejected(connection: Connection) -> None:
    key = await create_key(connection, "ann")
    assert await verify_key(connection, str(uuid.uuid4()) + key[36:]) is None


async def test_a_revoked_key_is_rejected_at_once(connection: Connection) -> None:
    issued = await issue_key(connection, "ann")
    assert await user_of(connection, issued.text) == "ann"
    assert await revoke_key(connection, "ann", issued.record.id)
    assert await verify_key(connection, issued.text) is None


async def test_revoking_again_keeps_the_original_time(connection: Connection) -> None:
    issued = await issue_key(connection, "ann")
    times = set()
    for _ in range(2):
        assert await revoke_key(connection, "ann", issued.record.id)
        record = await find_key(connection, "ann", issued.record.id)
        assert record is not None
        times.add(record.revoked_at)
    assert len(times) == 1
    assert None not in times


async def test_other_users_keys_can_be_neither_found_listed_nor_revoked(connection: Connection) -> None:
    issued = await issue_key(connection, "ann")
    assert await find_key(connection, "bob", issued.record.id) is None
    assert await list_keys(connection, "bob", limit=10) == []
    assert not await revoke_key(connection, "bob", issued.record.id)
    assert await user_of(connection, issued.text) == "ann"


async def test_the_list_is_paged_newest_first(connection: Connection) -> None:
    made = [(await issue_key(connection, "ann", str(number))).record for number in range(5)]
    newest = await list_keys(connection, "ann", limit=2)
    assert newest == [made[4], made[3]]
    assert await list_keys(connection, "ann", limit=10, before=newest[-1].id) == [made[2], made[1], made[0]]


async def test_last_use_is_recorded_once_a_minute(connection: Connection) -> None:
    issued = await issue_key(connection, "ann")
    assert issued.record.last_used_at is None
    times = set()
    for _ in range(3):
        await verify_key(connection, issued.text)
        times.add((await list_keys(connection, "ann", limit=1))[0].last_used_at)
    assert len(times) == 1
    assert None not in times
    await connection.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '61 s'")
    await verify_key(connection, issued.text)
    record = await find_key(connection, "ann", issued.record.id)
    assert record is not None
    assert record.last_used_at is not None
    assert record.last_used_at > times.pop()


async def test_rejected_use_is_not_recorded(connection: Connection) -> None:
    issued = await issue_key(connection, "ann")
    await verify_key(connection, issued.text[:36] + key_format.generate().secret)
    assert await find_key(connection, "ann", issued.record.id) == issued.record


async def test_verification_does_not_wait_for_a_lock_on_the_key(connection: Connection, database_url: str) -> None:
    issued = await issue_key(connection, "ann")
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("SELECT FROM api_keys WHERE id = %s FOR UPDATE", (issued.record.id,))
        assert await asyncio.wait_for(user_of(connection, issued.text), 60) == "ann"


async def test_recording_use_leaves_the_connection_durable(connection: Connection) -> None:
    key = await create_key(connection, "ann")
    await verify_key(connection, key)
    cursor = await connection.execute("SHOW synchronous_commit")
    assert await cursor.fetchone() == ("on",)


async def test_the_limit_of_live_keys_holds_for_concurrent_creation(connection: Connection, database_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as second,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as observer,
    ):
        async with connection.transaction():
            await issue_key(connection, "ann", live_limit=1)
            other = asyncio.create_task(issue_key(second, "ann", live_limit=1))
            async with asyncio.timeout(60):
                while not other.done():
                    cursor = await observer.execute("SELECT pg_blocking_pids(%s)", (second.info.backend_pid,))
                    if await cursor.fetchone() == ([connection.info.backend_pid],):
                        break
        with pytest.raises(TooManyApiKeys):
            await other


async def test_revoked_keys_and_other_users_keys_do_not_count(connection: Connection) -> None:
    await issue_key(connection, "bob")
    first = await issue_key(connection, "ann", live_limit=1)
    with pytest.raises(TooManyApiKeys):
        await issue_key(connection, "ann", live_limit=1)
    await revoke_key(connection, "ann", first.record.id)
    await issue_key(connection, "ann", live_limit=1)


async def test_a_key_created_in_a_failed_transaction_does_not_exist(connection: Connection) -> None:
    async with connection.transaction():
        key = await create_key(connection, "ann")
        raise psycopg.Rollback
    assert await verify_key(connection, key) is None


@pytest.mark.parametrize("user_id", ["", " ", "a\0b", "\ud800", "a" * 256])
async def test_invalid_user_ids_are_rejected(connection: Connection, user_id: str) -> None:
    with pytest.raises(BadRequest):
        await create_key(connection, user_id)


async def test_descriptions_in_any_language_are_stored(connection: Connection) -> None:
    issued = await issue_key(connection, "jürgen\u00a0山", "zwei\nZeilen 🔑")
    assert await user_of(connection, issued.text) == "jürgen\u00a0山"
    assert issued.record.description == "zwei\nZeilen 🔑"


@pytest.mark.parametrize("description", ["a\0b", "\ud800"])
async def test_invalid_descriptions_are_rejected(connection: Connection, description: str) -> None:
    with pytest.raises(BadRequest):
        await issue_key(connection, "ann", description)


async def test_verification_takes_one_indexed_query(connection: Connection) -> None:
    for _ in range(3):
        await create_key(connection, "ann")
    async with connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        values = {"key_index": uuid.uuid4(), "address": "192.0.2.1"}
        cursor = await connection.execute("EXPLAIN " + queries.SELECT_FOR_VERIFICATION, values)
        plan = "\n".join(line for (line,) in await cursor.fetchall())
    assert "Index Scan using api_keys_key_index_key" in plan
