"""What an import may leave behind, and what is left of a user who is forgotten."""

from typing import Any

import pytest

from application_client import client_of, make_key
from command_site import open_command_site, until
from import_steps import NDJSON, fetch

_TABLES = (
    "bulk_import_jobs",
    "import_chunks",
    "import_row_errors",
    "import_unreported_errors",
    "idempotency_keys",
    "webhooks",
    "uploads",
)


@pytest.mark.parametrize("chunk_bytes", [1_000, 640_000])
async def test_bad_rows_beyond_the_limit_are_counted_by_message(database_url: str, chunk_bytes: int) -> None:
    settings: dict[str, Any] = {"max_reported_rows": 50, "chunk_bytes": chunk_bytes}
    async with open_command_site(database_url, **settings) as site, site.worker():
        body = b"1\n" * 2000
        sent = await site.api.post("/api/platforms/bulk", content=body, headers=NDJSON)
        import_id = sent.json()["id"]

        async def has_ended() -> bool:
            return bool((await site.status_of(import_id))["completedAt"])

        await until(has_ended, "the import ends")
        told = await site.status_of(import_id)
        assert (told["status"], told["failureCount"]) == ("Failed", 2000)
        reported = (await fetch(database_url, "SELECT count(*) FROM bulkport.import_row_errors"))[0][0]
        # Lanes work at the same time: each may add a chunk's rows beyond the limit.
        assert 50 <= reported <= 1050
        counted = (await fetch(database_url, "SELECT sum(rows)::int FROM bulkport.import_unreported_errors"))[0][0]
        assert counted == 2000 - reported
        assert any(f"{counted:,} more rejected rows are not in the report" in warning for warning in told["warnings"])


async def test_a_small_import_reports_no_more_rows_than_a_large_one(database_url: str) -> None:
    async with open_command_site(database_url, max_reported_rows=3) as site, site.worker():
        for bad, reported in ((3, 3), (20, 3)):
            sent = await site.api.post("/api/platforms/bulk", content=b"1\n" * bad, headers=NDJSON)
            import_id = sent.json()["id"]

            async def has_ended(import_id: int = import_id) -> bool:
                return bool((await site.status_of(import_id))["completedAt"])

            await until(has_ended, "the import ends")
            query = f"SELECT count(*) FROM bulkport.import_row_errors WHERE job_id = {import_id}"
            assert (await fetch(database_url, query))[0][0] == reported
            stored = f"SELECT report_bytes FROM bulkport.bulk_import_jobs WHERE id = {import_id}"
            assert (await fetch(database_url, stored))[0][0] > 0


async def test_nothing_is_left_of_an_erased_user(database_url: str) -> None:
    async with (
        open_command_site(database_url) as site,
        site.worker(),
        client_of(site.app, await make_key(database_url, "bob")) as bob,
    ):
        for client in (site.api, bob):
            sent = await client.post(
                "/api/platforms/bulk",
                content=b'{"platformName":"kept"}\n1\n',
                headers={**NDJSON, "idempotency-key": "once"},
            )
            import_id = sent.json()["id"]

            async def has_ended(client: Any = client, import_id: int = import_id) -> bool:
                return bool((await client.get(f"/api/imports/{import_id}")).json()["completedAt"])

            await until(has_ended, "the import ends")
        assert await site.app.state.bulkport.erase("ann") == 1
        for table in _TABLES:
            mine = f"SELECT count(*) FROM bulkport.{table} t WHERE t::text LIKE '%ann%'"
            assert (await fetch(database_url, mine))[0][0] == 0
        assert (await site.api.get("/api/imports")).json()["items"] == []
        assert len((await bob.get("/api/imports")).json()["items"]) == 1
        assert len((await bob.get(f"/api/imports/{import_id}/errors")).json()["items"]) == 1
        assert (await fetch(database_url, "SELECT count(*) FROM platforms"))[0][0] == 2
