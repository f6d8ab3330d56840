"""Key rotation and scopes, and limits on users."""

import psycopg

from application_client import assert_problem, client_of, make_key, open_application
from commandapi.auth.keys import issue_key, rotate_key, verify_key


async def test_a_rotated_key_keeps_working_for_a_while(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        old = await issue_key(connection, "ann", "mine", scopes=["read"])
        new = await rotate_key(connection, "ann", old.record.id, overlap_seconds=60)
        assert new is not None
        assert (new.record.description, new.record.scopes) == ("mine", ["read"])
        assert await verify_key(connection, old.text) is not None
        assert await verify_key(connection, new.text) is not None
        assert await rotate_key(connection, "bob", new.record.id, overlap_seconds=60) is None
        await rotate_key(connection, "ann", new.record.id, overlap_seconds=0)
        assert await verify_key(connection, new.text) is None


async def test_a_user_over_the_rate_limit_learns_when_to_retry(database_url: str) -> None:
    async with open_application(database_url, requests_per_minute=3) as app:
        async with client_of(app, await make_key(database_url)) as ann:
            first = await ann.get("/api/platforms")
            assert first.headers["ratelimit-policy"] == '"user";q=3;w=60'
            assert first.headers["ratelimit"] == '"user";r=2;t=0'
            await ann.get("/api/platforms")
            await ann.get("/api/platforms")
            refused = await ann.get("/api/platforms")
            assert_problem(refused, 429)
            assert 1 <= int(refused.headers["retry-after"]) <= 20
        async with client_of(app, await make_key(database_url, "bob")) as bob:
            assert (await bob.get("/api/platforms")).status_code == 200


async def test_a_users_waiting_imports_are_limited(database_url: str) -> None:
    body = {"platforms": [{"platformName": "a"}] * 10}
    for limit in ({"max_user_queued_imports": 1}, {"max_user_queued_rows": 10}, {"max_user_queued_bytes": 10}):
        async with open_application(database_url, **limit) as app, client_of(app, await make_key(database_url)) as ann:
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute("TRUNCATE bulkport.bulk_import_jobs CASCADE")
            assert (await ann.post("/api/platforms/bulk", json=body)).status_code == 202
        async with open_application(database_url, **limit) as app:
            async with client_of(app, await make_key(database_url)) as ann:
                refused = await ann.post("/api/platforms/bulk", json=body)
                assert assert_problem(refused, 429)["type"] == "/problems/too-many-queued"
            async with client_of(app, await make_key(database_url, "bob")) as bob:
                assert (await bob.post("/api/platforms/bulk", json=body)).status_code == 202


async def test_a_users_stored_data_is_limited(database_url: str) -> None:
    body = {"platforms": [{"platformName": "a"}]}
    async with (
        open_application(database_url, max_user_stored_bytes=1000) as app,
        client_of(app, await make_key(database_url)) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
    ):
        import_id = (await ann.post("/api/platforms/bulk", json=body)).json()["id"]
        # The report of an import that has ended counts as well.
        await connection.execute(
            "UPDATE bulkport.bulk_import_jobs SET status = 'Failed', completed_at = now(), report_bytes = 1000 "
            "WHERE id = %s",
            (import_id,),
        )
        app.state.bulkport._runtime().intake.admission._seen.clear()
        refused = assert_problem(await ann.post("/api/platforms/bulk", json=body), 507)
        assert refused["type"] == "/problems/quota-exceeded"
        assert (await bob.post("/api/platforms/bulk", json=body)).status_code == 202


async def test_uploads_are_rejected_while_the_disk_is_nearly_full(database_url: str) -> None:
    async with (
        open_application(database_url, disk_watermark_bytes=2**62) as app,
        client_of(app, await make_key(database_url)) as ann,
    ):
        refused = await ann.post("/api/platforms/bulk", json={"platforms": [{"platformName": "a"}]})
        assert_problem(refused, 507)
        assert refused.headers["retry-after"] == "60"
        assert (await ann.get("/api/platforms")).status_code == 200
