"""Every route, as the API's description has them, with every kind of key and every object of another user.

A route that is added is tried as well. One with a new kind of object fails until `_Objects` makes one.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from issuer_server import AUDIENCE, IssuerServer

from application_client import client_of, make_key, open_application
from commandapi.auth import queries
from commandapi.auth.keys import ALL_SCOPES, issue_key

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_OTHER: Final = re.compile(r"/events$|/commands/bulk/")
"""Streams without an end, and the resource that the import is not of."""
_TUS: Final = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Upload-Length": "4"}


def bearer(token: str) -> dict[str, str]:
    """The header that signs a request in."""
    return {"authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    described: dict[str, Any]
    schemas: dict[str, Any]

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def scheme(self) -> str | None:
        """What it asks callers for."""
        security = self.described.get("security", [])
        return next(iter(security[0])) if security else None

    def request(self, objects: dict[str, Any]) -> dict[str, Any]:
        """A request that is valid except for its sender."""
        address = re.sub(r"\{(\w+)\}", lambda found: str(objects.get(found[1], 1)), self.path)
        headers, content = dict(_TUS), b""
        for media_type, body in self.described.get("requestBody", {}).get("content", {}).items():
            headers["Content-Type"] = media_type
            if "json" in media_type:
                content = json.dumps(self._sample(body["schema"])).encode()
                break
        if headers.get("Content-Type") == "application/x-ndjson":
            content = b"{}\n"
        return {"method": self.method.upper(), "url": address, "headers": headers, "content": content}

    def _sample(self, schema: dict[str, Any]) -> Any:
        """A small value of a schema."""
        for member in ("examples", "enum"):
            if schema.get(member):
                return schema[member][0]
        for member in ("example", "const", "default"):
            if schema.get(member) is not None:
                return schema[member]
        if "$ref" in schema:
            return self._sample(self.schemas.get(schema["$ref"].rpartition("/")[2], {}))
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return self._sample(schema[several][0])
        match schema.get("type"):
            case "object":
                properties = schema.get("properties", {})
                return {name: self._sample(properties.get(name, {})) for name in schema.get("required", ())}
            case "array":
                return [self._sample(schema.get("items", {}))]
            case "integer" | "number":
                return max(1, schema.get("minimum", 1))
            case "boolean":
                return True
        return "https://a.example/"


def operations(app: FastAPI) -> Iterator[Operation]:
    """All of them, below `/api`."""
    description = app.openapi()
    for path, methods in description["paths"].items():
        for method, described in methods.items():
            if path.startswith("/api") and method in _METHODS:
                yield Operation(method, path, described, description["components"]["schemas"])


@dataclass(frozen=True)
class _Objects:
    """One object of each kind, all of one user."""

    ids: dict[str, Any]

    @classmethod
    async def of(cls, client: httpx.AsyncClient, database_url: str, signed_in: dict[str, str]) -> "_Objects":
        platform = (await client.post("/api/platforms", json={"platformName": "git"})).json()["id"]
        command = {"howTo": "list", "commandLine": "ls", "platformId": platform}
        sent = await client.post("/api/platforms/bulk?results=ids", json={"platforms": [{"platformName": "a"}]})
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute(
                "INSERT INTO bulkport.import_row_errors (job_id, row_number, errors, record) "
                "VALUES (%s, 1, '[]', '{}')",
                (sent.json()["id"],),
            )
            pull = await (
                await connection.execute(
                    "INSERT INTO bulkport.recurring_pulls (user_id, resource, source, cron, timezone, reading) "
                    "SELECT user_id, 'platforms', '{}', '* * * * *', 'UTC', '{}' FROM bulkport.bulk_import_jobs "
                    "RETURNING id"
                )
            ).fetchone()
        assert pull is not None
        webhook = await client.post("/api/webhooks", json={"url": "https://a.example/", "events": ["import.completed"]})
        address = f"/api/webhooks/{webhook.json()['id']}"
        headers = {**_TUS, "Content-Type": "application/offset+octet-stream"}
        upload = await client.post("/api/uploads", content=b"ab", headers=headers)
        registration = await client.post("/api/registrations", headers=signed_in)
        return cls(
            {
                "platform_id": platform,
                "command_id": (await client.post("/api/commands", json=command)).json()["id"],
                "job_id": sent.json()["id"],
                "row": 1,
                "webhook_id": webhook.json()["id"],
                "delivery_id": (await client.post(f"{address}/ping")).json()["id"],
                "upload_id": upload.headers["location"].rpartition("/")[2],
                "pull_id": pull[0],
                "registration_id": registration.json()["id"],
            }
        )


@dataclass(frozen=True)
class Site:
    app: FastAPI
    url: str
    issuer: IssuerServer
    ann: httpx.AsyncClient
    objects: _Objects

    async def key(self, user: str = "ann", **options: Any) -> str:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            return (await issue_key(connection, user, **options)).text


@pytest.fixture
async def site(database_url: str, issuer: IssuerServer) -> AsyncIterator[Site]:
    settings = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "tenancy": "isolated"}
    async with (
        open_application(database_url, **settings) as app,
        client_of(app, await make_key(database_url)) as ann,
    ):
        objects = await _Objects.of(ann, database_url, bearer(issuer.token(sub="ann")))
        yield Site(app, database_url, issuer, ann, objects)


async def test_no_route_answers_without_a_live_key(site: Site) -> None:
    live, revoked = await site.key(), await site.key()
    async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as connection:
        await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE key_index::text = %s", (revoked[:36],))
    keys = {
        "none": None,
        "empty": "",
        "bad": "nonsense",
        "wrong secret": live[:36] + "A" * 43,
        "revoked": revoked,
        "expired": await site.key(seconds=-1),
    }
    tried = 0
    async with client_of(site.app) as client:
        for operation in operations(site.app):
            if operation.scheme is None:
                assert operation.path == "/api/uploads", operation.path  # no route is open by mistake
                continue
            request = operation.request(site.objects.ids)
            tried += 1
            for kind, key in keys.items():
                headers = request["headers"] | ({} if key is None else {"x-api-key": key})
                if operation.scheme == "SignIn" and key:
                    headers["authorization"] = f"Bearer {key}"
                answer = await client.request(**(request | {"headers": headers}))
                assert answer.status_code == 401, (kind, operation.method, operation.path)
    assert tried > 40


async def test_no_route_exceeds_the_scopes_of_the_key(site: Site) -> None:
    async with AsyncExitStack() as stack:
        clients = {
            scope: await stack.enter_async_context(client_of(site.app, await site.key(scopes=[scope])))
            for scope in ALL_SCOPES
        }
        for operation in operations(site.app):
            if operation.scheme != "ApiKey":
                continue
            sufficient = operation.described["x-scopes"]
            assert set(sufficient) < set(ALL_SCOPES)
            for scope, client in clients.items():
                if scope in sufficient:
                    continue
                answer = await client.request(**operation.request(site.objects.ids))
                assert answer.status_code == 403, (scope, operation.method, operation.path, answer.text)
                assert answer.json()["type"] == "/problems/insufficient-scope"
                assert all(name in answer.json()["detail"] for name in sufficient)


async def test_no_route_gives_a_user_another_users_data(site: Site) -> None:
    kept = "SELECT (SELECT count(*) FROM platforms), (SELECT count(*) FROM commands), " + ", ".join(
        f"(SELECT count(*) FROM bulkport.{table})"
        for table in ("bulk_import_jobs", "webhooks", "webhook_deliveries", "uploads", "recurring_pulls")
    )
    before = await _one(site.url, kept)
    signed_in = bearer(site.issuer.token(sub="bob"))
    tried = 0
    async with client_of(site.app, await site.key("bob")) as bob:
        for operation in operations(site.app):
            if not operation.parameters or operation.scheme is None:
                continue
            unknown = set(operation.parameters) - site.objects.ids.keys()
            assert not unknown, f"{operation.path}: make an object for {unknown}"
            request = operation.request(site.objects.ids)
            if operation.scheme == "SignIn":
                request["headers"] |= signed_in
            answer = await bob.request(**request)
            assert answer.status_code in {403, 404}, (operation.method, operation.path, answer.text)
            tried += 1
            # The same request is right when its owner sends it.
            if operation.method == "get" and operation.scheme == "ApiKey" and not _OTHER.search(operation.path):
                own = await site.ann.request(**request)
                assert own.status_code in {200, 204}, (operation.path, own.text)
    assert tried > 25
    assert await _one(site.url, kept) == before
    assert (await site.ann.get(f"/api/imports/{site.objects.ids['job_id']}")).json()["status"] == "Pending"


async def test_row_security_protects_keys_even_if_a_statement_forgets_the_user(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SELECT_KEY", "SELECT_KEYS", "REVOKE_KEY", "EXPIRE_KEY", "COUNT_LIVE_KEYS"):
        forgetful = getattr(queries, name).replace("user_id = %(user_id)s", "true")
        monkeypatch.setattr(queries, name, forgetful.replace("user_id = %s", "%s::text IS NOT NULL"))
    address = f"/api/registrations/{site.objects.ids['registration_id']}"
    async with client_of(site.app) as client:
        for sub, status, count in (("bob", 404, 0), ("ann", 200, 1)):
            signed_in = bearer(site.issuer.token(sub=sub))
            assert (await client.get(address, headers=signed_in)).status_code == status
            listed = await client.get("/api/registrations", headers=signed_in)
            assert len(listed.json()["items"]) == count
            rotated = await client.post(f"{address}/rotate", headers=signed_in)
            assert rotated.status_code == (201 if count else 404)
            removed = await client.delete(address, headers=signed_in)
            assert removed.status_code == (204 if count else 404)


async def test_lists_show_nothing_of_another_user(site: Site) -> None:
    async with client_of(site.app, await site.key("bob")) as bob:
        for operation in operations(site.app):
            if operation.method != "get" or operation.parameters:
                continue
            request = operation.request({})
            if operation.scheme == "SignIn":
                request["headers"] |= bearer(site.issuer.token(sub="bob"))
            answer = await bob.request(**request)
            if answer.headers["content-type"].startswith("application/json") and "items" in answer.json():
                assert answer.json()["items"] == [], operation.path
                own = request["headers"] | bearer(site.issuer.token(sub="ann"))
                assert (await site.ann.request(**(request | {"headers": own}))).json()["items"], operation.path


async def test_an_oidc_user_is_not_the_operator_named_user_of_the_same_name(site: Site) -> None:
    signed_in = bearer(site.issuer.token(sub="ann"))
    registered = (await site.ann.post("/api/registrations", headers=signed_in)).json()["apiKey"]
    async with client_of(site.app, registered) as other_ann:
        address = f"/api/imports/{site.objects.ids['job_id']}"
        assert (await site.ann.get(address)).status_code == 200
        assert (await other_ann.get(address)).status_code == 403
        assert (await other_ann.get("/api/imports")).json()["items"] == []


async def _one(url: str, query: str) -> Any:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await (await connection.execute(query.encode())).fetchone()
