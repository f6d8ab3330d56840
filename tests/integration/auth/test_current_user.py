"""API keys over HTTP."""

import httpx
import psycopg

from commandapi.auth import key_format
from commandapi.auth.keys import issue_key, revoke_key
from each_case import case

ROUTE = "/api/platforms"
KEY = key_format.generate().text


async def test_a_key_opens_the_api_until_it_is_revoked(client: httpx.AsyncClient, database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other_process:
        issued = await issue_key(other_process, "ann")
        headers = {"x-api-key": issued.text}
        assert (await client.get(ROUTE, headers=headers)).status_code == 200
        await revoke_key(other_process, "ann", issued.record.id)
        assert (await client.get(ROUTE, headers=headers)).status_code == 401


async def test_without_a_valid_key_the_response_is_401(client: httpx.AsyncClient) -> None:
    for name, headers in [
        ("none", []),
        ("empty", [(b"x-api-key", b"")]),
        ("unknown", [(b"x-api-key", KEY.encode())]),
        ("short", [(b"x-api-key", KEY.encode()[:-1])]),
        ("not ASCII", [(b"x-api-key", b"\xff" * 79)]),
        ("NUL", [(b"x-api-key", KEY.encode()[:-1] + b"\0")]),
        ("UTF-8", [(b"x-api-key", KEY.encode()[:-3] + "é".encode())]),
        ("long", [(b"x-api-key", b"A" * 60_000)]),
        ("injection", [(b"x-api-key", b"'; DROP TABLE api_keys; --")]),
        ("wrong header", [(b"authorization", b"Bearer " + KEY.encode())]),
    ]:
        with case(name):
            answer = await client.get(ROUTE, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("ApiKey ")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["title"] == "Unauthorized"
            assert KEY not in answer.text


async def test_a_ten_megabyte_key_exceeds_the_header_limit(client: httpx.AsyncClient) -> None:
    answer = await client.get(ROUTE, headers={"x-api-key": "A" * 10_000_000})
    assert answer.status_code == 431
    assert answer.json()["type"] == "/problems/headers-too-large"


async def test_two_keys_in_one_request_are_rejected(client: httpx.AsyncClient, database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        keys = [(await issue_key(connection, user)).text for user in ("ann", "bob")]
    for sent, status in ((keys[:1], 200), (keys, 401), (keys[:1] * 2, 401)):
        answer = await client.get(ROUTE, headers=[("x-api-key", key) for key in sent])
        assert answer.status_code == status


async def test_all_rejections_read_the_same(client: httpx.AsyncClient, database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        revoked = await issue_key(connection, "ann")
        live = await issue_key(connection, "ann")
        await revoke_key(connection, "ann", revoked.record.id)
    answers = [
        (await client.get(ROUTE, headers={"x-api-key": key})).json()
        for key in (revoked.text, live.text[:36] + KEY[36:], KEY, "x")
    ]
    assert len({(answer["type"], answer["title"], answer["detail"]) for answer in answers}) == 1


async def test_the_api_description_names_the_header(client: httpx.AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()
    scheme = description["components"]["securitySchemes"]["ApiKey"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-api-key")
    assert description["paths"][ROUTE]["get"]["security"] == [{"ApiKey": []}]
