"""What one user takes of a server, the others still find: connections, places, memory and disk."""

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from catalogue_site import PLATFORMS, platforms
from upload_socket import served

from application_client import assert_problem, client_of, make_key, open_application
from bulkport.imports import admission
from bulkport.imports.body.staged import PART_BYTES
from bulkport.imports.read import read_jobs
from commandapi.auth import key_format
from commandapi.auth.key_admission import STRANGERS_AT_ONCE, KeyAdmission
from import_steps import NDJSON, WAIT_SECONDS, accepted, ndjson

TUS = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}
JSON = {"content-type": "application/json"}
SINGLE = "/api/platforms"
WORKBOOK = {"content-type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


async def test_one_users_statements_leave_connections_for_others(database_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database_url) as locking,
        open_application(database_url, api_pool_size=6, database_wait_seconds=2) as app,
        client_of(app, await make_key(database_url)) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
    ):
        # What is opened while nothing is held need not be opened in time later.
        await asyncio.gather(*(one.get("/api/imports") for one in (ann, bob, ann, bob, ann, bob)))
        await locking.execute("LOCK TABLE platforms IN ACCESS EXCLUSIVE MODE")
        held = [asyncio.create_task(ann.post(SINGLE, json={"platformName": "a"})) for _ in range(10)]
        done, _ = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        refused = next(iter(done)).result()
        assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert (await bob.get("/api/imports")).status_code == 200
        await locking.rollback()
        assert {(await answer).status_code for answer in held} == {201, 429}


async def test_one_user_can_follow_a_limited_number_of_imports(database_url: str) -> None:
    async with (
        open_application(database_url) as app,
        client_of(app, await make_key(database_url, "ann")) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
        AsyncExitStack() as stack,
    ):
        job_id = await accepted(ann, PLATFORMS, json={"platforms": platforms(1)})
        runtime = app.state.bulkport._runtime()
        runtime.watch._max_user_watchers = 2
        async with runtime.pool.connection() as connection:
            job = (await read_jobs(connection, [job_id]))[job_id]
        for _ in range(2):
            stack.enter_context(runtime.watch.watching(job))
        for path in (f"/api/imports/{job_id}?wait=30", f"/api/imports/{job_id}/events"):
            assert_problem(await ann.get(path), 429)
        others = await accepted(bob, PLATFORMS, json={"platforms": platforms(1)})
        assert (await bob.get(f"/api/imports/{others}?wait=1")).status_code == 200


async def test_one_user_can_have_a_limited_number_of_concurrent_requests(database_url: str) -> None:
    async with served(database_url, max_user_requests=2) as api, api.client() as ann, api.client() as bob:
        bob.headers["x-api-key"] = await make_key(database_url, "bob")
        async with api.begun(SINGLE, JSON) as first, api.begun(SINGLE, JSON) as second:
            await first.send_part(b"{")
            await second.send_part(b"{")
            await api.requests_under_way(2)
            refused = await ann.get("/api/imports")
            assert (refused.status_code, refused.json()["type"], refused.headers["retry-after"]) == (
                429,
                "/problems/too-many-requests",
                "1",
            )
            assert (await bob.get("/api/imports")).status_code == 200
        async with asyncio.timeout(WAIT_SECONDS):
            while (await ann.get("/api/imports")).status_code != 200:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (SINGLE, JSON),
        (PLATFORMS, {**JSON, "content-length": "500"}),
        (PLATFORMS, {**NDJSON, "idempotency-key": "one"}),
        ("/api/uploads", {**TUS, "upload-length": "100"}),
        ("/health/live", {"content-length": "5"}),
    ],
)
async def test_a_body_that_does_not_arrive_times_out(database_url: str, path: str, headers: dict[str, str]) -> None:
    method = "GET" if path.startswith("/health") else "POST"
    async with served(database_url, body_idle_seconds=0.2) as api, api.begun(path, headers, method=method) as request:
        assert (await request.answer())[0] == 408


async def test_long_envelopes_and_checksummed_parts_occupy_upload_slots(database_url: str) -> None:
    envelope = json.dumps({"platforms": [{"platformName": "p" * 100}] * 500}).encode()
    limits = {"user_upload_limit": 1, "chunk_bytes": 20_000, "database_wait_seconds": 1}
    async with served(database_url, **limits) as api, api.client() as ann:
        location = (await ann.post("/api/uploads", headers={**TUS, "upload-length": "5"})).headers["location"]
        part = {**TUS, "upload-offset": "0", "upload-checksum": "md5 XUFAKrxLKna5cZ2REBfFkg=="}
        async with api.begun(PLATFORMS, JSON) as upload:
            await upload.send_part(envelope[:30_000])
            await api.uploads_under_way(1)
            refused = await ann.post(PLATFORMS, content=envelope, headers=JSON)
            assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-uploads-at-once")
            assert (await ann.patch(location, content=b"hello", headers=part)).status_code == 429
            assert (await ann.post(PLATFORMS, json={"platforms": platforms(10)})).status_code == 202
            await upload.send_part(envelope[30_000:])
            await upload.send_end()
            assert (await upload.answer())[0] == 202
        assert (await ann.patch(location, content=b"hello", headers=part)).status_code == 204


@pytest.mark.parametrize("kind", ["ndjson", "envelope", "workbook", "single"])
async def test_bodies_buffered_in_memory_or_a_file_occupy_upload_slots(
    database_url: str, tmp_path: Path, kind: str
) -> None:
    path, headers, begin, most = {
        "ndjson": (PLATFORMS, NDJSON, b'{"platformName":"a"}\n' * 5000, 8),
        "envelope": (PLATFORMS, JSON, b'{"platforms":[' + b" " * 100_000, 8),
        "workbook": (PLATFORMS, WORKBOOK, b"PK\3\4" * 30, 1),
        "single": (SINGLE, JSON, b'{"platformName":"' + b"a" * 100_000, 64),
    }[kind]
    limits = {"user_upload_limit": 1, "database_wait_seconds": 0.5, "spool_dir": str(tmp_path)}
    async with (
        served(database_url, **limits) as api,
        api.client() as ann,
        api.client() as bob,
        AsyncExitStack() as stack,
    ):
        bob.headers["x-api-key"] = await make_key(database_url, "bob")
        # On a slow machine, a connection to the database takes longer to open than a request waits for one.
        await asyncio.gather(*(ann.get("/api/imports") for _ in range(most + 1)))
        answers = []
        for _ in range(most + 1):
            begun = await stack.enter_async_context(api.begun(path, headers))
            await begun.send_part(begin)
            answers.append(asyncio.create_task(begun.answer()))
        refused, others = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        # Of single records fewer are taken in at one time than may wait in memory.
        assert {(await answer)[0] for answer in refused} == {429}
        if kind == "workbook":
            assert list(tmp_path.iterdir())
        # Short ones pass by, also of the same user.
        assert (await ann.post(PLATFORMS, json={"platforms": platforms(10)})).status_code == 202
        assert (await bob.post(SINGLE, json={"platformName": "a" * 100})).status_code == 201
        for answer in others:
            answer.cancel()


async def test_long_parts_for_an_object_store_occupy_upload_slots(database_url: str, tmp_path: Path) -> None:
    limits = {"user_upload_limit": 1, "database_wait_seconds": 0.2, "staging": {"url": tmp_path.as_uri()}}
    long, part = b"x" * (PART_BYTES + 1), {**TUS, "upload-offset": "0"}
    async with served(database_url, **limits) as api, api.client() as ann:
        begun = {**TUS, "upload-length": str(2 * len(long))}
        first, second = [(await ann.post("/api/uploads", headers=begun)).headers["location"] for _ in range(2)]
        async with api.begun(first, part, method="PATCH") as upload:
            await upload.send_part(long)
            await api.uploads_under_way(1)
            refused = await ann.patch(second, content=long, headers=part)
            assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-uploads-at-once")
            # What was here by then is kept, and the next request goes on from there.
            arrived = (await ann.head(second, headers=TUS)).headers["upload-offset"]
            assert int(arrived) > PART_BYTES
            assert (await ann.patch(second, content=b"x", headers=part | {"upload-offset": arrived})).status_code == 204
            await upload.send_end()
            assert (await upload.answer())[0] == 204


async def test_unknown_keys_queue_among_themselves_and_delay_nobody_else(database_url: str) -> None:
    async with (
        open_application(database_url, database_wait_seconds=60) as app,
        client_of(app, await make_key(database_url)) as ann,
        client_of(app) as eve,
    ):
        admission: KeyAdmission = app.state.key_admission
        assert (await ann.get("/api/imports")).status_code == 200
        most = 0

        async def guess(number: int) -> int:
            nonlocal most
            key = key_format.generate().text if number % 2 else "no key"
            status = (await eve.get("/api/imports", headers={"x-api-key": key})).status_code
            most = max(most, admission.strangers)
            return status

        guesses = [asyncio.create_task(guess(number)) for number in range(100)]
        await asyncio.sleep(0)
        assert (await ann.get("/api/imports")).status_code == 200
        assert set(await asyncio.gather(*guesses)) == {401}
        assert most <= STRANGERS_AT_ONCE
        # Where their places are taken they are told to come again; whose key is known passes by, until it is revoked.
        admission._strangers._wait_seconds = 0.05
        taken = ["127.0.0.1"] * (STRANGERS_AT_ONCE - 1)
        for address in [*taken, "elsewhere"]:
            await admission._strangers.take(address)
        refused = await eve.get("/api/imports")
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-strangers")
        assert refused.headers["retry-after"] == "1"
        assert (await ann.get("/api/imports")).status_code == 200
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute("UPDATE api_keys SET revoked_at = now()")
        assert [(await ann.get("/api/imports")).status_code for _ in range(2)] == [401, 429]
        for address in taken:
            admission._strangers.give_back(address)
        assert (await ann.get("/api/imports")).status_code == 401


async def test_unauthenticated_requests_are_answered_a_few_at_a_time(database_url: str) -> None:
    async with open_application(database_url, database_wait_seconds=60) as app, client_of(app) as eve:
        admission: KeyAdmission = app.state.key_admission
        for path, most in (("/nothing", STRANGERS_AT_ONCE - 1), ("/health/live", STRANGERS_AT_ONCE)):
            lane = admission.lane(path)
            seen = []
            grant = lane._grant

            def noted(user_id: str, lane=lane, seen=seen, grant=grant) -> None:  # type: ignore[no-untyped-def]
                grant(user_id)
                seen.append(lane.taken)

            lane._grant = noted  # type: ignore[method-assign]
            answers = await asyncio.gather(*(eve.get(path) for _ in range(50)))
            assert {answer.status_code for answer in answers} == {200 if "health" in path else 404}
            assert len(seen) == 50
            assert max(seen) <= most
            assert lane.taken == 0
        # One look at the database tells all who ask at one time.
        looks = 0
        connection = app.state.key_pool.connection

        def counted(**options: float) -> object:
            nonlocal looks
            looks += 1
            return connection(**options)

        app.state.key_pool.connection = counted
        answers = await asyncio.gather(*(eve.get("/health/ready") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert looks < 50


async def test_a_body_during_which_the_disk_fills_up_is_rejected(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(database_url, chunk_bytes=20_000) as api, api.client() as client:
        location = (await client.post("/api/uploads", headers={**TUS, "upload-length": "5"})).headers["location"]
        async with api.begun(PLATFORMS, NDJSON) as upload:
            part = ndjson(platforms(1000))
            for _ in range(3):
                await upload.send_part(part)
            await api.uploads_under_way(1)
            monkeypatch.setattr(admission, "_FRESH_SECONDS", 0.0)
            monkeypatch.setattr(admission.shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
            answer = asyncio.create_task(upload.answer())
            while not answer.done():
                with suppress(ConnectionError):
                    await upload.send_part(part)
                await asyncio.wait([answer], timeout=0.02)
            assert (await answer)[0] == 507
        refused = await client.patch(location, content=b"hello", headers={**TUS, "upload-offset": "0"})
        assert (refused.status_code, refused.json()["type"]) == (507, "/problems/insufficient-storage")
        refused = await client.post("/api/uploads", headers={**TUS, "upload-length": "5"})
        assert refused.status_code == 507
        # So are single records; who makes room is not held up.
        refused = await client.post(SINGLE, json={"platformName": "a"})
        assert (refused.status_code, refused.json()["type"]) == (507, "/problems/insufficient-storage")
        assert (await client.delete(f"{SINGLE}/1")).status_code == 404
        assert (await client.delete(location, headers=TUS)).status_code == 204
