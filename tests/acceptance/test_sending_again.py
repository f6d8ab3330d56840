"""A POST that is safe to send again: one key is one import, whatever became of the first answer."""

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from catalogue_site import COMMANDS, EVERYTHING, PLATFORMS, CatalogueSite, emptied, opened, platforms

from application_client import assert_problem
from bulkport.fastapi import idempotent
from bulkport.imports import idempotency
from import_steps import CSV, NDJSON, STRICT, accepted, execute, fetch, ndjson, settled

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = {"idempotency-key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}
MANY = ndjson(platforms(60_000))

BODIES = {
    "json": {"json": {"platforms": platforms(2)}},
    "ndjson": {"content": ndjson(platforms(2)), "headers": NDJSON},
    "csv": {"content": b"platform name\nDocker\n", "headers": CSV},
    "gzip": {"content": gzip.compress(ndjson(platforms(2))), "headers": NDJSON | {"content-encoding": "gzip"}},
    "several chunks": {"content": MANY, "headers": NDJSON},
}


def with_headers(body: dict[str, Any], **headers: str) -> dict[str, Any]:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return body | {"headers": body.get("headers", {}) | more}


def with_key(body: dict[str, Any], key: str = KEY["idempotency-key"]) -> dict[str, Any]:
    return with_headers(body, idempotency_key=key)


@pytest.fixture
def idle_site(shared_idle_site: CatalogueSite) -> CatalogueSite:
    return emptied(shared_idle_site, EVERYTHING)


@pytest.fixture
def site(shared_site: CatalogueSite) -> CatalogueSite:
    return emptied(shared_site)


async def imports_in(site: CatalogueSite) -> int:
    return int((await fetch(site.url, "SELECT count(*) FROM bulkport.bulk_import_jobs"))[0][0])


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_repeated_request_gets_the_same_response_and_imports_nothing(
    idle_site: CatalogueSite, body: dict[str, Any]
) -> None:
    first = await idle_site.ann.post(PLATFORMS, **with_key(body))
    again = await idle_site.ann_again.post(PLATFORMS, **with_key(body))
    assert (first.status_code, again.status_code) == (202, 202), (first.text, again.text)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await imports_in(idle_site) == 1


@pytest.mark.parametrize("size", [2, 60_000])
async def test_one_of_many_concurrent_requests_with_the_same_key_is_accepted(
    idle_site: CatalogueSite, size: int
) -> None:
    body = with_key({"content": ndjson(platforms(size)), "headers": NDJSON})
    answers = await asyncio.gather(*(idle_site.ann.post(PLATFORMS, **body) for _ in range(12)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert assert_problem(answer, 409)["type"] == "/problems/idempotency-key-in-use"
            assert answer.headers["retry-after"] == "1"
    assert await imports_in(idle_site) == 1


DIFFERENT = {
    "another record": {"content": ndjson(platforms(1)), "headers": NDJSON},
    "another media type": {"content": ndjson(platforms(2)), "headers": CSV},
    "another handling": {"content": ndjson(platforms(2)), "headers": NDJSON | STRICT},
    "another query": {"content": ndjson(platforms(2)), "headers": NDJSON, "params": {"name": "other"}},
    "nothing": {"content": b"", "headers": NDJSON},
}


@pytest.mark.parametrize("body", DIFFERENT.values(), ids=DIFFERENT)
async def test_a_different_request_with_a_used_key_is_rejected(idle_site: CatalogueSite, body: dict[str, Any]) -> None:
    await accepted(idle_site.ann, PLATFORMS, **with_key(BODIES["ndjson"]))
    problem = assert_problem(await idle_site.ann.post(PLATFORMS, **with_key(body)), 422)
    assert problem["type"] == "/problems/idempotency-key-reused"
    assert await imports_in(idle_site) == 1


async def test_a_key_belongs_to_a_user_and_a_resource(idle_site: CatalogueSite) -> None:
    body = {"content": b'{"platformName": "Docker", "howTo": "x", "commandLine": "y"}\n', "headers": NDJSON}
    ids = [
        await accepted(idle_site.ann, PLATFORMS, **with_key(body)),
        await accepted(idle_site.bob, PLATFORMS, **with_key(body)),
        await accepted(idle_site.ann, COMMANDS, **with_key(body)),
        await accepted(idle_site.ann, PLATFORMS, **with_key(body, "another")),
        await accepted(idle_site.ann, PLATFORMS, **body),
    ]
    assert len(set(ids)) == 5


async def test_a_form_with_another_boundary_is_the_same_request(idle_site: CatalogueSite) -> None:
    ids = []
    for boundary in ("a", "b" * 60, "a"):
        form = {"file": ("rows.csv", b"platformName\n" + b"Docker\n" * 30_000, "text/csv")}
        headers = {"content-type": f"multipart/form-data; boundary=x{boundary}x"}
        ids.append(await accepted(idle_site.ann, PLATFORMS, **with_key({"files": form, "headers": headers})))
    assert len(set(ids)) == 1
    other = {"files": {"file": ("rows.csv", b"platformName\nGit\n", "text/csv")}}
    assert_problem(await idle_site.ann.post(PLATFORMS, **with_key(other)), 422)


async def test_a_bare_key_equals_a_quoted_key(idle_site: CatalogueSite) -> None:
    quoted = await accepted(idle_site.ann, PLATFORMS, **with_key(BODIES["json"], '"abc"'))
    assert await accepted(idle_site.ann, PLATFORMS, **with_key(BODIES["json"], "abc")) == quoted


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "two words", '"open', "a, b", "späť".encode().decode("latin-1")])
async def test_an_invalid_key_is_rejected(idle_site: CatalogueSite, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1"))]
    answer = await idle_site.ann.post(PLATFORMS, json={"platforms": platforms(1)}, headers=headers)
    assert "Idempotency-Key must be" in assert_problem(answer, 400)["detail"]


async def test_the_key_of_a_rejected_request_can_be_reused(site: CatalogueSite) -> None:
    bad = with_key({"json": {"platforms": [{"platformName": ""}]}})
    assert_problem(await site.ann.post(PLATFORMS, **bad), 400)
    assert_problem(await site.ann.post(PLATFORMS, **bad), 400)
    job_id = await accepted(site.ann, PLATFORMS, **with_key(BODIES["json"]))
    assert (await settled(site.ann, job_id))["status"] == "Completed"


async def test_the_key_of_a_dead_server_is_released_when_its_lease_expires(idle_site: CatalogueSite) -> None:
    await execute(
        idle_site.url,
        "INSERT INTO bulkport.idempotency_keys (user_id, resource, key, token, leased_until)"
        " VALUES ('ann', 'platforms', 'abc', gen_random_uuid(), now() + interval '1 minute')",
    )
    assert_problem(await idle_site.ann.post(PLATFORMS, **with_key(BODIES["json"], "abc")), 409)
    await execute(idle_site.url, "UPDATE bulkport.idempotency_keys SET leased_until = now() - interval '1 second'")
    await accepted(idle_site.ann, PLATFORMS, **with_key(BODIES["json"], "abc"))


async def test_a_silent_client_loses_its_key_to_the_next_request(
    idle_site: CatalogueSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (idempotent, idempotency):
        monkeypatch.setattr(module, "LEASE_SECONDS", 0.4)
    records = ndjson(platforms(2)).splitlines(keepends=True)

    async def slow_body() -> AsyncIterator[bytes]:
        yield records[0]
        async with asyncio.timeout(60):
            while (await idle_site.ann.post(PLATFORMS, **with_key(BODIES["ndjson"]))).status_code != 202:
                await asyncio.sleep(0.05)
        yield records[1]

    slow = await idle_site.ann.post(PLATFORMS, **with_key({"content": slow_body(), "headers": NDJSON}))
    assert_problem(slow, 409)
    again = await idle_site.ann.post(PLATFORMS, **with_key(BODIES["ndjson"]))
    assert again.headers["idempotent-replayed"] == "true"
    assert await imports_in(idle_site) == 1


async def test_a_response_is_stored_for_the_configured_time(database_url: str) -> None:
    async with opened(database_url, worker=False, idempotency_seconds=3600) as site:
        first = await accepted(site.ann, PLATFORMS, **with_key(BODIES["json"]))
        await execute(database_url, "UPDATE bulkport.idempotency_keys SET created_at = now() - interval '59 minutes'")
        assert await accepted(site.ann, PLATFORMS, **with_key(BODIES["json"])) == first
        await execute(database_url, "UPDATE bulkport.idempotency_keys SET created_at = now() - interval '61 minutes'")
        assert await accepted(site.ann, PLATFORMS, **with_key(BODIES["json"])) != first


def digest_of(content: bytes, name: str = "sha256") -> str:
    label = {"sha256": "sha-256", "sha512": "sha-512", "md5": "md5"}[name]
    return f"{label}=:{base64.b64encode(hashlib.new(name, content).digest()).decode()}:"


@pytest.mark.parametrize("field", ["content-digest", "repr-digest"])
@pytest.mark.parametrize("body", [BODIES["ndjson"], BODIES["gzip"], BODIES["several chunks"]])
async def test_a_body_is_verified_against_its_digest(
    idle_site: CatalogueSite, field: str, body: dict[str, Any]
) -> None:
    right = f"{digest_of(body['content'], 'sha512')}, {digest_of(body['content'])}, {digest_of(b'', 'md5')}"
    await accepted(idle_site.ann, PLATFORMS, **with_headers(body, **{field: right}))
    wrong = await idle_site.ann.post(PLATFORMS, **with_headers(body, **{field: digest_of(b"another body")}))
    assert assert_problem(wrong, 400)["type"] == "/problems/digest-mismatch"
    assert await imports_in(idle_site) == 1


@pytest.mark.parametrize("digest", ["sha-256", "sha-256=abc", "sha-256=:?:", "sha-256=::", "=:YQ==:", "sha-256=:YQ:"])
async def test_an_invalid_digest_is_rejected(idle_site: CatalogueSite, digest: str) -> None:
    answer = await idle_site.ann.post(PLATFORMS, **with_headers(BODIES["ndjson"], content_digest=digest))
    assert "RFC 9530" in assert_problem(answer, 400)["detail"]


async def test_a_client_can_label_an_import_and_find_it_by_label(idle_site: CatalogueSite) -> None:
    site = idle_site
    labels = {"name": "July catalogue", "clientId": "2026-07/1", "tag": ["nightly", "acme", "acme"]}
    body = with_headers(BODIES["json"], x_import_metadata='{"batch": "2026-07", "attempt": "é"}'.encode())
    job_id = await accepted(site.ann, PLATFORMS, params=labels, **body)
    await accepted(site.ann, PLATFORMS, **BODIES["json"])
    job = (await site.ann.get(f"/api/imports/{job_id}")).json()
    assert (job["name"], job["clientId"], job["metadata"]) == (
        "July catalogue",
        "2026-07/1",
        {"batch": "2026-07", "attempt": "é"},
    )
    assert job["tags"] == ["nightly", "acme"]
    for query in (
        {"clientId": "2026-07/1"},
        {"tag": "acme"},
        {"name": "July catalogue"},
        {"metadata": json.dumps({"batch": "2026-07"})},
    ):
        found = (await site.ann.get("/api/imports", params=query)).json()["items"]
        assert [item["id"] for item in found] == [job_id], query
        assert (await site.bob.get("/api/imports", params=query)).json()["items"] == []
    for _ in range(2):  # trials leave the id free
        await accepted(site.ann, PLATFORMS, params={**labels, "dryRun": "true"}, **BODIES["json"])
    taken = await site.ann.post(PLATFORMS, params=labels, **BODIES["json"])
    assert assert_problem(taken, 409)["detail"] == f"Your import {job_id} has this clientId already."
    await accepted(site.bob, PLATFORMS, params=labels, **BODIES["json"])


@pytest.mark.parametrize(
    ("query", "headers", "path"),
    [
        ({"name": " "}, {}, "name"),
        ({"name": "x" * 201}, {}, "name"),
        ({"name": "a\x00b"}, {}, "name"),
        ({"clientId": "x" * 201}, {}, "clientId"),
        ({"tag": ["nightly", " "]}, {}, "tag"),
        ({"tag": "a\x00b"}, {}, "tag"),
        ({"tag": "x" * 101}, {}, "tag"),
        ({"tag": [f"{n}" for n in range(21)]}, {}, "tag"),
        ({}, {"x-import-metadata": "["}, "X-Import-Metadata"),
        ({}, {"x-import-metadata": "[1]"}, "X-Import-Metadata"),
        ({}, {"x-import-metadata": '{"a": 1e999}'}, "X-Import-Metadata"),
        ({}, {"x-import-metadata": '{"a": "\\u0000"}'}, "X-Import-Metadata"),
        ({}, {"x-import-metadata": json.dumps({"a": "x" * 5000})}, "X-Import-Metadata"),
        ({}, {"x-import-metadata": "[" * 2000}, "X-Import-Metadata"),
        ({}, {"x-import-metadata": '{"a":' * 17 + "1" + "}" * 17}, "X-Import-Metadata"),
    ],
)
async def test_invalid_labels_are_rejected(
    idle_site: CatalogueSite, query: dict[str, Any], headers: dict[str, str], path: str
) -> None:
    answer = await idle_site.ann.post(PLATFORMS, params=query, **with_headers(BODIES["ndjson"], **headers))
    assert list(assert_problem(answer, 400)["errors"]) == [path]
    assert await imports_in(idle_site) == 0


SINGLE = "/api/platforms"


async def test_a_single_record_change_is_made_once_per_key(shared_site: CatalogueSite) -> None:
    ann, docker = shared_site.ann, {"platformName": "Docker"}

    async def post(body: dict[str, Any], key: str = "made-once", client: Any = ann) -> Any:
        return await client.post(SINGLE, json=body, headers={"idempotency-key": key})

    async def count() -> int:
        return int((await fetch(shared_site.url, "SELECT count(*) FROM platforms"))[0][0])

    before = await count()
    first, again = await post(docker), await post(docker, client=shared_site.ann_again)
    assert (first.status_code, first.content) == (201, again.content)
    assert first.headers["location"] == again.headers["location"]
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert assert_problem(await post({"platformName": "Git"}), 422)["type"] == "/problems/idempotency-key-reused"
    # A key belongs to a user, a method and a path; without one nothing is kept.
    others = [
        await post(docker, client=shared_site.bob),
        await post(docker, "other"),
        await ann.post(SINGLE, json=docker),
    ]
    assert len({answer.json()["id"] for answer in [first, *others]}) == 4
    assert await count() == before + 4

    address, headers = first.headers["location"], {"idempotency-key": "made-once"}
    git = {"json": {"platformName": "Git"}, "headers": headers}
    assert [(await ann.put(address, **git)).status_code for _ in range(2)] == [204, 204]
    assert_problem(await ann.put(address, json=docker, headers=headers), 422)
    gone = [await ann.delete(address, headers=headers) for _ in range(2)]
    assert [(answer.status_code, answer.headers.get("idempotent-replayed")) for answer in gone] == [
        (204, None),
        (204, "true"),
    ]
    assert await count() == before + 3


async def test_one_of_many_concurrent_single_requests_is_carried_out(shared_site: CatalogueSite) -> None:
    body = {"json": {"platformName": "At one moment"}, "headers": {"idempotency-key": "at-one-moment"}}
    answers = await asyncio.gather(*(shared_site.ann.post(SINGLE, **body) for _ in range(12)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert {answer.headers["retry-after"] for answer in answers if answer.status_code == 409} <= {"1"}
    found = await fetch(shared_site.url, "SELECT count(*) FROM platforms WHERE platform_name = 'At one moment'")
    assert found == [(1,)]


async def test_the_key_of_a_rejected_single_request_is_released(shared_site: CatalogueSite) -> None:
    headers = {"idempotency-key": "refused-first"}
    missing = {"howTo": "x", "commandLine": "y", "platformId": 2**62}
    assert_problem(await shared_site.ann.post("/api/commands", json=missing, headers=headers), 400)
    platform = await shared_site.ann.post(SINGLE, json={"platformName": ""}, headers=headers)
    assert_problem(platform, 400)
    made = await shared_site.ann.post(SINGLE, json={"platformName": "Docker"}, headers=headers)
    known = missing | {"platformId": made.json()["id"]}
    assert (await shared_site.ann.post("/api/commands", json=known, headers=headers)).status_code == 201
    assert_problem(
        await shared_site.ann.post(SINGLE, json={"platformName": "x"}, headers={"idempotency-key": "a b"}), 400
    )


class Twice:
    """Sends each request twice with one key, and compares the responses."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._count = 0

    async def __call__(self, method: str, path: str, **request: Any) -> Any:
        self._count += 1
        headers = {**request.pop("headers", {}), "idempotency-key": f"twice {self._count}".replace(" ", "-")}
        first, again = [await self._client.request(method, path, headers=headers, **request) for _ in range(2)]
        assert first.is_success, first.text
        assert (again.status_code, again.content) == (first.status_code, first.content), path
        assert again.headers.get("location") == first.headers.get("location")
        assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
        other = await self._client.request(method, f"{path}?{first.status_code}", headers=headers, **request)
        assert other.status_code in {400, 422}, other.text  # another query is another request, or none
        return first


async def test_changes_of_webhooks_pulls_and_uploads_are_made_once_per_key(idle_site: CatalogueSite) -> None:
    ann, twice = idle_site.ann, Twice(idle_site.ann)

    async def count(table: str) -> int:
        return int((await fetch(idle_site.url, f"SELECT count(*) FROM bulkport.{table}"))[0][0])

    made = await twice("POST", "/api/webhooks", json={"url": "https://example.org/hooks"})
    address = made.headers["location"]
    changed = await twice("PATCH", address, json={"description": "July"})
    assert (changed.json()["description"], await count("webhooks")) == ("July", 1)
    rotated = await twice("POST", f"{address}/secret")
    assert rotated.json()["secret"] != made.json()["secret"]
    stored = await fetch(idle_site.url, "SELECT secret, previous_secret FROM bulkport.webhooks")
    assert stored == [(rotated.json()["secret"], made.json()["secret"])]
    ping = await twice("POST", f"{address}/ping")
    assert await count("webhook_deliveries") == 1
    await execute(idle_site.url, "UPDATE bulkport.webhook_deliveries SET state = 'failed'")
    await twice("POST", f"{address}/deliveries/{ping.json()['id']}/resend")
    await twice("DELETE", address)
    assert_problem(await ann.delete(address), 404)

    source = {"source": {"url": "https://example.org/rows.csv"}, "cron": "0 3 * * *"}
    pull = await twice("POST", "/api/platforms/pulls", json=source)
    address = pull.headers["location"]
    assert await count("recurring_pulls") == 1
    await twice("PATCH", address, json={"isActive": False})
    jobs = await count("jobs")
    await twice("POST", f"{address}/run")
    assert await count("jobs") == jobs + 1
    await twice("DELETE", address)
    assert_problem(await ann.get(address), 404)

    tus = {"tus-resumable": "1.0.0"}
    upload = await twice("POST", "/api/uploads", headers=tus | {"upload-length": "7"})
    other = await ann.post(
        "/api/uploads",
        headers=tus | {"upload-length": "8", "idempotency-key": upload.request.headers["idempotency-key"]},
    )
    assert_problem(other, 422)
    offset = {"upload-offset": "0", "content-type": "application/offset+octet-stream"}
    await ann.patch(upload.headers["location"], headers=tus | offset, content=b"abc")
    again = await ann.post("/api/uploads", headers=dict(upload.request.headers))
    assert (again.headers["location"], again.headers["upload-offset"]) == (upload.headers["location"], "3")
    await twice("DELETE", upload.headers["location"], headers=tus)


async def test_changes_of_imports_are_made_once_per_key(site: CatalogueSite) -> None:
    ann, twice = site.ann, Twice(site.ann)
    job_id = await accepted(
        ann, PLATFORMS, content=b'{"platformName": "Docker"}\n{"platformName": ""}\n', headers=NDJSON
    )
    await settled(ann, job_id)
    await twice("PATCH", f"/api/imports/{job_id}/errors/2", json={"platformName": "Git"})
    retried = await twice("POST", f"/api/imports/{job_id}/retry")
    assert (await settled(ann, retried.json()["id"]))["status"] == "Completed"
    undone = await twice("POST", f"/api/imports/{job_id}/undo")
    assert undone.json()["undone"]["removed"] == 1
    assert_problem(await ann.post(f"/api/imports/{job_id}/undo"), 409)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled = await accepted(ann, PLATFORMS, params={"startAt": tomorrow}, **BODIES["csv"])
    assert (await twice("DELETE", f"/api/imports/{scheduled}")).json()["status"] == "Cancelled"
    assert (await twice("POST", f"/api/imports/{scheduled}/cancel")).json()["status"] == "Cancelled"


async def test_concurrent_requests_with_one_key_create_one_webhook(idle_site: CatalogueSite) -> None:
    request = {"json": {"url": "https://example.org/at-once"}, "headers": {"idempotency-key": "webhook-at-once"}}
    answers = await asyncio.gather(*(idle_site.ann.post("/api/webhooks", **request) for _ in range(12)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    found = await fetch(idle_site.url, "SELECT count(*) FROM bulkport.webhooks WHERE url LIKE '%at-once'")
    assert found == [(1,)]
