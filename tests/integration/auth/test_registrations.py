"""Registrations over HTTP, for users signed in at an issuer."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
from auth_clients import OpenClient
from issuer_server import AUDIENCE, DISCOVERY, IssuerServer

from each_case import case

ROUTE = "/api/registrations"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def register(client: httpx.AsyncClient, token: str, description: str | None = None) -> dict[str, object]:
    answer = await client.post(ROUTE, headers=bearer(token), json={"description": description})
    assert answer.status_code == 201
    body: dict[str, object] = answer.json()
    return body


async def test_a_registration_shows_a_working_key_once(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    headers = bearer(issuer.token())
    answer = await client.post(ROUTE, headers=headers, json={"description": "laptop"})
    assert answer.status_code == 201
    made = answer.json()
    assert list(made) == ["id", "apiKey", "description", "createdAt", "scopes", "expiresAt"]
    assert made["description"] == "laptop"
    assert made["createdAt"].endswith("Z")
    assert abs(datetime.fromisoformat(made["createdAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert answer.headers["location"] == f"{ROUTE}/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"

    key = made["apiKey"]
    assert (await client.get("/api/platforms", headers={"x-api-key": key})).status_code == 200

    for address in (ROUTE, answer.headers["location"]):
        shown = (await client.get(address, headers=headers)).text
        assert key[:36] in shown
        assert key[36:] not in shown


async def test_a_repeated_registration_creates_one_key_and_stores_no_secret(
    client: httpx.AsyncClient, issuer: IssuerServer, database_url: str
) -> None:
    headers = bearer(issuer.token(sub="somebody-else")) | {"idempotency-key": "register-once"}
    first, again = [await client.post(ROUTE, headers=headers, json={"description": "laptop"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json() | {"apiKey": None}
    assert (again.headers["idempotent-replayed"], again.headers["location"]) == ("true", first.headers["location"])
    rotations = [await client.post(f"{first.headers['location']}/rotate", headers=headers) for _ in range(2)]
    assert rotations[1].json() == rotations[0].json() | {"apiKey": None}
    revocations = [await client.delete(first.headers["location"], headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in revocations] == [204, 204]
    assert len((await client.get(ROUTE, headers=headers)).json()["items"]) == 2
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        kept = str(await (await connection.execute("SELECT answer FROM bulkport.idempotency_keys")).fetchall())
    assert first.headers["location"] in kept
    for made in (first, rotations[0]):
        assert made.json()["apiKey"][36:] not in kept


async def test_keys_are_listed_newest_first_without_secrets(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    token = issuer.token()
    first, second = await register(client, token, "first"), await register(client, token)
    key = str(first["apiKey"])
    await client.get("/api/platforms", headers={"x-api-key": key})
    await client.delete(f"{ROUTE}/{second['id']}", headers=bearer(token))
    answer = await client.get(ROUTE, headers=bearer(token))
    assert answer.status_code == 200
    assert answer.json()["nextCursor"] is None
    newest, oldest = answer.json()["items"]
    assert set(newest) == {
        *("id", "keyIndex", "description", "createdAt", "lastUsedAt", "revokedAt", "scopes", "expiresAt")
    }
    assert (newest["id"], newest["lastUsedAt"]) == (second["id"], None)
    assert newest["revokedAt"].endswith("Z")
    assert oldest["lastUsedAt"].endswith("Z")
    assert oldest["revokedAt"] is None
    assert oldest["keyIndex"] == key[:36]
    assert oldest["description"] == "first"
    assert (await client.get(f"{ROUTE}/{first['id']}", headers=bearer(token))).json() == oldest


async def test_the_list_is_paged(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    headers = bearer(issuer.token())
    made = [(await register(client, issuer.token()))["id"] for _ in range(5)]
    seen: list[int] = []
    parameters: dict[str, str] = {"limit": "2"}
    while True:
        page = (await client.get(ROUTE, headers=headers, params=parameters)).json()
        seen += [item["id"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        parameters["cursor"] = page["nextCursor"]
    assert seen == made[::-1]


async def test_an_invalid_page_is_400(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    for query in ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=0", f"cursor={2**63}"]:
        with case(query):
            answer = await client.get(f"{ROUTE}?{query}", headers=bearer(issuer.token()))
            assert answer.status_code == 400
            assert query.split("=", maxsplit=1)[0] in answer.json()["errors"]


async def test_a_revoked_key_is_rejected_at_once_and_revoking_again_succeeds(
    client: httpx.AsyncClient, issuer: IssuerServer
) -> None:
    made = await register(client, issuer.token())
    headers = {"x-api-key": str(made["apiKey"])}
    assert (await client.get("/api/platforms", headers=headers)).status_code == 200
    times = set()
    for _ in range(2):
        answer = await client.delete(f"{ROUTE}/{made['id']}", headers=bearer(issuer.token()))
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.get("/api/platforms", headers=headers)).status_code == 401
        shown = await client.get(f"{ROUTE}/{made['id']}", headers=bearer(issuer.token()))
        times.add(shown.json()["revokedAt"])
    assert len(times) == 1


async def test_another_users_registration_is_not_revealed(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    made = await register(client, issuer.token())
    stranger = bearer(issuer.token(sub="auth0|eve"))
    for method in ("GET", "DELETE"):
        anothers = await client.request(method, f"{ROUTE}/{made['id']}", headers=stranger)
        nobodys = await client.request(method, f"{ROUTE}/{10**9}", headers=stranger)
        assert anothers.status_code == nobodys.status_code == 404
        assert anothers.json()["title"] == nobodys.json()["title"]
        assert anothers.json()["detail"].replace(str(made["id"]), "N") == nobodys.json()["detail"].replace(
            str(10**9), "N"
        )
    assert (await client.get(ROUTE, headers=stranger)).json()["items"] == []
    key = {"x-api-key": str(made["apiKey"])}
    assert (await client.get("/api/platforms", headers=key)).status_code == 200


async def test_an_invalid_id_is_404(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    for registration_id in ["0", "-1", "x", "1.5", str(2**63), "9" * 30, "%00", "٣"]:
        with case(registration_id):
            for method in ("GET", "DELETE"):
                answer = await client.request(method, f"{ROUTE}/{registration_id}", headers=bearer(issuer.token()))
                assert answer.status_code == 404


async def test_the_body_is_optional(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    for content in (b"", b"{}"):
        headers = {**bearer(issuer.token()), **({"content-type": "application/json"} if content else {})}
        answer = await client.post(ROUTE, headers=headers, content=content)
        assert answer.status_code == 201
        assert answer.json()["description"] is None


async def test_a_bad_body_creates_no_key(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    for content, status in [
        (b'{"description": 7}', 400),
        (b'{"description": "' + b"x" * 201 + b'"}', 400),
        (b'{"description": "a\\u0000b"}', 400),
        (b'{"description": "\\ud800"}', 400),
        (b"[]", 400),
        (b"{", 400),
        (b" " * (2**20 + 1), 413),
    ]:
        with case(content, status):
            headers = {**bearer(issuer.token()), "content-type": "application/json"}
            answer = await client.post(ROUTE, headers=headers, content=content)
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert (await client.get(ROUTE, headers=headers)).json()["items"] == []


async def test_a_user_can_have_a_limited_number_of_live_keys(open_client: OpenClient, issuer: IssuerServer) -> None:
    async with open_client(oidc_issuer=issuer.url, oidc_audience=AUDIENCE, max_api_keys=2) as client:
        headers = bearer(issuer.token())
        answers = await asyncio.gather(*(client.post(ROUTE, headers=headers) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409]
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert "revoke" in refused.json()["detail"]
        assert (await client.post(ROUTE, headers=bearer(issuer.token(sub="bob")))).status_code == 201
        made = next(answer for answer in answers if answer.status_code == 201)
        await client.delete(made.headers["location"], headers=headers)
        assert (await client.post(ROUTE, headers=headers)).status_code == 201


async def test_no_secret_reaches_the_database(
    client: httpx.AsyncClient, issuer: IssuerServer, database_url: str
) -> None:
    made = await register(client, issuer.token())
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await (await connection.execute("SELECT user_id, api_keys::text FROM api_keys")).fetchall()
    assert [user_id for user_id, _ in rows] == ["oidc|auth0|ann"]
    assert str(made["apiKey"])[36:] not in rows[0][1]


async def test_without_a_bearer_token_the_challenge_has_no_error(client: httpx.AsyncClient) -> None:
    for authorization in [None, "", "Basic YTpi", "ApiKey x", "bearer", "Bearer ", "Bearertoken", "Token abc"]:
        with case(authorization):
            headers = {} if authorization is None else {"Authorization": authorization}
            answer = await client.get(ROUTE, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="api"'
            assert answer.headers["content-type"] == "application/problem+json"


async def test_a_valid_token_in_another_scheme_is_ignored(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    for scheme in ("Basic", "Token", "DPoP"):
        answer = await client.get(ROUTE, headers={"Authorization": f"{scheme} {issuer.token()}"})
        assert answer.status_code == 401


async def test_the_scheme_is_case_insensitive(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    answer = await client.get(ROUTE, headers={"Authorization": f"bearer {issuer.token()}"})
    assert answer.status_code == 200


async def test_an_api_key_does_not_open_registrations(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    key = str((await register(client, issuer.token()))["apiKey"])
    for headers in ({"x-api-key": key}, bearer(key)):
        assert (await client.get(ROUTE, headers=headers)).status_code == 401


async def test_a_token_does_not_open_the_api(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    for headers in (bearer(issuer.token()), {"x-api-key": issuer.token()}):
        assert (await client.get("/api/platforms", headers=headers)).status_code == 401


async def test_a_bad_token_is_401_with_the_reason(client: httpx.AsyncClient) -> None:
    for token in [b"\xff\xfe", b"a.b.c", b"x" * 60_000, b"\0", b"a b c"]:
        with case(token):
            answer = await client.get(ROUTE, headers=[(b"authorization", b"Bearer " + token)])
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            assert answer.json()["detail"] in answer.headers["www-authenticate"]


async def test_an_expired_token_creates_no_key(
    client: httpx.AsyncClient, issuer: IssuerServer, database_url: str
) -> None:
    answer = await client.post(ROUTE, headers=bearer(issuer.token(exp=1)))
    assert answer.status_code == 401
    assert 'error_description="The token has expired."' in answer.headers["www-authenticate"]
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        assert await (await connection.execute("SELECT count(*) FROM api_keys")).fetchone() == (0,)


async def test_the_body_of_an_unauthenticated_request_is_not_validated(client: httpx.AsyncClient) -> None:
    assert (await client.post(ROUTE, content=b"{")).status_code == 401


async def test_an_unavailable_issuer_is_503(client: httpx.AsyncClient, issuer: IssuerServer) -> None:
    issuer.answers[DISCOVERY] = (500, b"")
    answer = await client.get(ROUTE, headers=bearer(issuer.token()))
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" in answer.headers
    issuer.answers.clear()
    assert (await client.get(ROUTE, headers=bearer(issuer.token()))).status_code == 200


async def test_without_an_issuer_the_response_names_the_setting(open_client: OpenClient) -> None:
    for configured, named, not_named in [
        ({}, ["COMMANDAPI_OIDC_ISSUER", "COMMANDAPI_OIDC_AUDIENCE"], []),
        ({"oidc_issuer": "https://x.example/"}, ["COMMANDAPI_OIDC_AUDIENCE"], ["COMMANDAPI_OIDC_ISSUER"]),
        ({"oidc_audience": "x"}, ["COMMANDAPI_OIDC_ISSUER"], ["COMMANDAPI_OIDC_AUDIENCE"]),
    ]:
        with case(configured, named, not_named):
            async with open_client(**configured) as client:
                for method, path in (("POST", ROUTE), ("GET", ROUTE), ("GET", f"{ROUTE}/1"), ("DELETE", f"{ROUTE}/1")):
                    assert (await client.request(method, path)).status_code == 401
                    answer = await client.request(method, path, headers=bearer("a.b.c"))
                    assert answer.status_code == 501
                    assert answer.headers["content-type"] == "application/problem+json"
                    detail = answer.json()["detail"]
                    assert all(name in detail for name in [*named, "commandapi keys create"])
                    assert not any(name in detail for name in not_named)


async def test_the_api_description_names_bearer_and_the_optional_body(client: httpx.AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()
    operation = description["paths"][ROUTE]["post"]
    (requirement,) = operation["security"]
    (name,) = requirement
    scheme = description["components"]["securitySchemes"][name]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert operation["requestBody"]["required"] is False
    assert {"201", "400", "401", "409", "501", "503"} <= set(operation["responses"])
