"""PostgreSQL keeps users' imports apart on its own, should the application forget to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from application_client import client_of, make_key, open_application
from bulkport.database.row_security import TENANT_ROLE, RowSecurity
from bulkport.errors import NotFound
from bulkport.fastapi import import_errors, import_results, imports, retry, undo
from bulkport.identifiers import ImportId, UserId
from bulkport.imports import admission, ingest_queries, queries, read
from bulkport.imports.body import staged
from bulkport.pools import open_pool
from bulkport.pulls import recurring
from bulkport.webhooks import store
from pooler import pooled

TABLES: dict[str, LiteralString] = {
    "bulk_import_jobs": "SELECT count(*) FROM bulkport.bulk_import_jobs",
    "import_chunks": "SELECT count(*) FROM bulkport.import_chunks",
    "import_row_errors": "SELECT count(*) FROM bulkport.import_row_errors",
    "import_unreported_errors": "SELECT count(*) FROM bulkport.import_unreported_errors",
    "import_row_results": "SELECT count(*) FROM bulkport.import_row_results",
    "idempotency_keys": "SELECT count(*) FROM bulkport.idempotency_keys",
    "webhooks": "SELECT count(*) FROM bulkport.webhooks",
    "webhook_deliveries": "SELECT count(*) FROM bulkport.webhook_deliveries",
    "uploads": "SELECT count(*) FROM bulkport.uploads",
    "upload_parts": "SELECT count(*) FROM bulkport.upload_parts",
    "recurring_pulls": "SELECT count(*) FROM bulkport.recurring_pulls",
}


@dataclass(frozen=True)
class Site:
    ann: httpx.AsyncClient
    bob: httpx.AsyncClient
    import_id: int
    upload: str
    webhook: int
    pull: int


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with open_application(database_url) as app:
        yield app


@pytest.fixture
async def site(app: FastAPI, database_url: str) -> AsyncIterator[Site]:
    async with (
        client_of(app, await make_key(database_url)) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
    ):
        sent = await ann.post(
            "/api/platforms/bulk?results=ids",
            json={"platforms": [{"platformName": "a"}]},
            headers={"Idempotency-Key": "once"},
        )
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "4", "Content-Type": "application/offset+octet-stream"}
        upload = await ann.post("/api/uploads", content=b"ab", headers=tus)
        hook = {"url": "https://hooks.example/", "events": ["import.completed"]}
        webhook = (await ann.post("/api/webhooks", json=hook)).json()["id"]
        assert (await ann.post(f"/api/webhooks/{webhook}/ping")).status_code == 202
        import_id = sent.json()["id"]
        pull = {"source": {"url": "https://files.example/rows.csv"}, "cron": "0 3 * * *"}
        pulled = await ann.post("/api/platforms/pulls", json=pull)
        assert pulled.status_code == 201, pulled.text
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute(
                "INSERT INTO bulkport.import_row_errors (job_id, row_number, errors, record) "
                "VALUES (%s, 1, '[]', '{}')",
                (import_id,),
            )
            await connection.execute(
                "INSERT INTO bulkport.import_row_results VALUES (%s, 1, 'created', '1')", (import_id,)
            )
            await connection.execute(
                "INSERT INTO bulkport.import_unreported_errors VALUES (%s, 'a', 'b', 1)", (import_id,)
            )
        yield Site(ann, bob, import_id, upload.headers["location"], webhook, pulled.json()["id"])


async def test_a_users_connection_sees_only_their_rows(site: Site, database_url: str) -> None:
    async with open_pool(database_url, name="a", most=1) as pool:
        security = RowSecurity(pool)
        for user, expected in (("ann", 1), ("bob", 0), ("", 0), ("ann' OR '1' = '1", 0)):
            async with security.connection(user) as connection:
                for table, count in TABLES.items():
                    row = await (await connection.execute(count)).fetchone()
                    assert row == (expected,), (user, table)
        assert security.is_there
        # Nothing of it is left on the connection.
        async with pool.connection() as connection:
            row = await (await connection.execute("SELECT current_user, count(*) FROM bulkport.webhooks")).fetchone()
            assert row is not None
            assert row[0] != TENANT_ROLE
            assert row[1] == 1


async def test_every_table_with_user_data_has_policies(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        # What a request may touch as the user's role, and what has a user or belongs to an import.
        cursor = await connection.execute(
            """
            SELECT c.relname, c.relrowsecurity FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'bulkport'::regnamespace AND c.relkind = 'r'
              AND a.attname IN ('user_id', 'job_id', 'webhook_id', 'upload_id')
              AND has_table_privilege('bulkport_tenant', c.oid, 'SELECT')
            """
        )
        found = dict(await cursor.fetchall())
        roles = await (
            await connection.execute(
                "SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'bulkport_tenant'"
            )
        ).fetchone()
    assert roles == (False, False, False)
    assert {name for name, has_policies in found.items() if not has_policies} <= {"import_cancellations"}
    assert found.keys() >= TABLES.keys()


async def test_postgresql_enforces_what_the_application_forgets_to_check(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application's own check is disabled everywhere; nothing changes for the other user."""
    monkeypatch.setattr(queries, "SELECT_JOBS", queries.SELECT_JOBS.replace("user_id = %(user_id)s", "true"))

    async def any_job(
        connection: psycopg.AsyncConnection, job_id: int, user_id: UserId, resource: object = None
    ) -> object:
        job = (await read.read_jobs(connection, [job_id])).get(job_id)  # type: ignore[list-item]
        if job is None:
            raise read.JobNotFound
        return job

    for module in (imports, import_errors, import_results, retry, undo):
        monkeypatch.setattr(module, "get_job", any_job)
    monkeypatch.setattr(staged, "_SELECT", staged._SELECT.replace("user_id = %s", "%s::text IS NOT NULL"))
    monkeypatch.setattr(staged, "_DELETE", staged._DELETE.replace("user_id = %s", "%s::text IS NOT NULL"))
    for name in ("_SELECT_ALL", "_SELECT_ONE", "_DELETE"):
        monkeypatch.setattr(store, name, getattr(store, name).replace("user_id = %s", "%s::text IS NOT NULL"))
    monkeypatch.setattr(recurring, "_SELECT_ALL", recurring._SELECT_ALL.replace("user_id = %s", "%s::text IS NOT NULL"))

    async def any_pull(connection: psycopg.AsyncConnection, pull_id: int, user_id: UserId) -> recurring.RecurringPull:
        found = await recurring.find_pull(connection, pull_id)
        if found is None:
            raise NotFound("There is no such pull.")
        return found

    monkeypatch.setattr(recurring, "get_pull", any_pull)
    tus = {"Tus-Resumable": "1.0.0"}
    for client, expected in ((site.bob, (0, 404)), (site.ann, (1, 200))):
        count, status = expected
        assert len((await client.get("/api/imports")).json()["items"]) == count
        assert len((await client.get("/api/webhooks")).json()["items"]) == count
        assert len((await client.get("/api/pulls")).json()["items"]) == count
        for address in (
            f"/api/pulls/{site.pull}",
            f"/api/imports/{site.import_id}",
            f"/api/imports/{site.import_id}/errors",
            f"/api/imports/{site.import_id}/results",
            f"/api/webhooks/{site.webhook}",
            f"/api/webhooks/{site.webhook}/deliveries",
            site.upload,
        ):
            answer = await client.get(address, headers=tus)
            assert answer.status_code == status, (address, answer.text)
    for method, address in (
        ("POST", f"/api/imports/{site.import_id}/cancel"),
        ("POST", f"/api/imports/{site.import_id}/undo"),
        ("POST", f"/api/imports/{site.import_id}/retry"),
        ("DELETE", f"/api/imports/{site.import_id}"),
        ("DELETE", f"/api/webhooks/{site.webhook}"),
        ("DELETE", site.upload),
        ("POST", f"/api/pulls/{site.pull}/run"),
        ("DELETE", f"/api/pulls/{site.pull}"),
    ):
        answer = await site.bob.request(method, address, headers=tus)
        assert answer.status_code == 404, (method, address, answer.text)
    more = tus | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "2"}
    assert (await site.bob.patch(site.upload, content=b"cd", headers=more)).status_code == 404
    named = await site.bob.post("/api/platforms/bulk", json={"upload": site.upload.rpartition("/")[2]})
    assert named.status_code == 404, named.text
    assert (await site.ann.get(f"/api/imports/{site.import_id}")).json()["status"] == "Pending"
    assert (await site.ann.patch(site.upload, content=b"cd", headers=more)).status_code == 204


async def test_row_security_checks_every_change(site: Site, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the application has found before, it changes nothing of another user's."""
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "2", "Content-Type": "application/offset+octet-stream"}
    tus["Upload-Metadata"] = "filetype YXBwbGljYXRpb24vanNvbg=="
    upload = UUID((await site.ann.post("/api/uploads", content=b"ab", headers=tus)).headers["location"][-36:])

    async def any_job(_: psycopg.AsyncConnection, job_id: ImportId, *__: object) -> object:
        async with await psycopg.AsyncConnection.connect(database_url) as owner:
            return (await read.read_jobs(owner, [job_id]))[job_id]

    async def any_upload(_: psycopg.AsyncConnection, upload_id: UUID, __: UserId) -> staged.StagedUpload:
        async with await psycopg.AsyncConnection.connect(database_url) as owner:
            return await get_upload(owner, upload_id, UserId("ann"))

    async def any_bytes(*_: object) -> AsyncIterator[bytes]:
        yield b'{"platforms": [{"platformName": "b"}]}'

    get_upload = staged.get_upload
    for module in (imports, retry, undo):
        monkeypatch.setattr(module, "get_job", any_job)
    monkeypatch.setattr(staged, "get_upload", any_upload)
    monkeypatch.setattr(staged, "read_upload", any_bytes)
    address = f"/api/imports/{site.import_id}"
    named = await site.bob.post("/api/platforms/bulk", json={"upload": str(upload)})
    assert named.status_code == 404, named.text
    for path in (f"{address}/cancel", f"{address}/cancel?rollback=true"):
        assert (await site.bob.post(path)).status_code == 404, path
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("UPDATE bulkport.bulk_import_jobs SET status = 'Completed', completed_at = now()")
        for path, body, status in (("undo", None, 404), ("retry", None, 409), ("retry", {"platforms": [{}]}, 404)):
            answer = await site.bob.post(f"{address}/{path}", json=body)
            assert answer.status_code == status, (path, answer.text)
        left = await owner.execute(
            """
            SELECT count(*), count(undone), count(retry_of), (SELECT count(*) FROM bulkport.import_cancellations),
                (SELECT count(*) FROM bulkport.uploads), (SELECT count(retried_by) FROM bulkport.import_row_errors)
            FROM bulkport.bulk_import_jobs
            """
        )
        assert await left.fetchone() == (1, 0, 0, 0, 2, 0)
    assert (await site.ann.post(f"{address}/retry", json={"platforms": [{"platformName": "c"}]})).status_code == 202
    assert (await site.ann.post(f"{address}/undo")).status_code == 200
    assert (await site.ann.post("/api/platforms/bulk", json={"upload": str(upload)})).status_code == 202


async def test_an_accepted_import_is_counted_and_found_as_its_user(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = "%s::text IS NOT NULL"
    monkeypatch.setattr(staged, "_INSERT", staged._INSERT.replace("user_id = %(user_id)s", "true"))
    for name in ("QUEUED_OF_USER", "SELECT_BY_CLIENT_ID"):
        forgetful = getattr(ingest_queries, name).replace("user_id = %(user_id)s", "true")
        monkeypatch.setattr(ingest_queries, name, forgetful.replace("user_id = %s", everybody))
    monkeypatch.setattr(admission, "_FRESH_SECONDS", 3600.0)
    limits = {"max_user_queued_imports": 1, "max_staged_uploads": 1}
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "4"}
    rows = {"platforms": [{"platformName": "a"}]}
    async with (
        open_application(database_url, **limits) as app,
        client_of(app, await make_key(database_url)) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
    ):
        ids = []
        for client in (ann, bob):
            sent = await client.post("/api/platforms/bulk?clientId=once", json=rows)
            assert sent.status_code == 202, sent.text
            ids.append(sent.json()["id"])
            assert (await client.post("/api/uploads", headers=tus)).status_code == 201
            assert (await client.post("/api/uploads", headers=tus)).status_code == 409
        again = await bob.post("/api/platforms/bulk?clientId=once", json=rows)
        assert again.status_code == 409
        assert f"Your import {ids[1]} has" in again.json()["detail"]


async def test_other_users_imports_remain_forbidden_rather_than_unknown(site: Site) -> None:
    for address, status in (
        (f"/api/imports/{site.import_id}", 403),
        (f"/api/platforms/bulk/{site.import_id}/status", 403),
        (f"/api/commands/bulk/{site.import_id}/status", 404),
        ("/api/imports/999999", 404),
    ):
        assert (await site.bob.get(address)).status_code == status, address


async def test_row_security_works_behind_a_pooler(site: Site, database_url: str) -> None:
    with pooled(database_url) as url:
        async with open_pool(url, name="a", most=3) as pool:
            security = RowSecurity(pool)

            async def seen_by(user: str) -> object:
                async with security.connection(user) as connection:
                    return await (await connection.execute(TABLES["import_row_errors"])).fetchone()

            users = ["ann", "bob"] * 20
            found = await asyncio.gather(*map(seen_by, users))
            assert found == [(int(user == "ann"),) for user in users]


async def test_without_the_role_everything_works_and_a_warning_is_logged(
    database_url: str, library_log: pytest.LogCaptureFixture
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("DROP ROLE IF EXISTS stranger")
        await connection.execute("CREATE ROLE stranger LOGIN")
    try:
        url = psycopg.conninfo.make_conninfo(database_url, user="stranger")
        async with open_pool(url, name="a", most=1) as pool:
            security = RowSecurity(pool)
            for _ in range(2):
                async with security.connection("ann") as connection:
                    row = await (await connection.execute("SELECT current_user")).fetchone()
                    assert row == ("stranger",)
            assert not security.is_there
        assert len([record for record in library_log.records if "row-level security is off" in record.message]) == 1
    finally:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute("DROP ROLE stranger")
