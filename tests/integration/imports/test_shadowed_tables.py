"""A schema that a user of the database puts before the others redirects no import and no key."""

import psycopg
import pytest

from application_client import client_of, make_key, open_application
from command_site import open_command_site, until
from commandapi import migrations
from import_steps import NDJSON, fetch

_OURS = (
    "bulk_import_jobs",
    "import_chunks",
    "import_row_errors",
    "webhooks",
    "jobs",
    "audit",
    "platforms",
    "commands",
    "api_keys",
    "request_allowances",
    "alembic_version",
)


# Of the same parameters as PostgreSQL's: whoever calls one of them in place of PostgreSQL's own fails.
_THEIRS = (
    "now() RETURNS timestamptz",
    "clock_timestamp() RETURNS timestamptz",
    "current_setting(text, boolean) RETURNS text",
    "cardinality(anyarray) RETURNS integer",
    "lower(text) RETURNS text",
)


@pytest.fixture
async def shadowed_url(database_url: str) -> str:
    """The test's database, where sessions look into a schema first that has empty tables of the same names."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("CREATE SCHEMA shadow")
        for table in _OURS:
            await connection.execute(
                psycopg.sql.SQL("CREATE TABLE shadow.{} (id bigint)").format(psycopg.sql.Identifier(table))
            )
        for function in _THEIRS:
            await connection.execute(
                f"CREATE FUNCTION shadow.{function} LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'this one is not PostgreSQL''s'; END $$".encode()
            )
        await connection.execute(
            """
            CREATE FUNCTION shadow.same(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'this one is not PostgreSQL''s'; END $$;
            CREATE OPERATOR shadow.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = shadow.same)
            """
        )
        row = await (await connection.execute("SELECT current_database()")).fetchone()
        assert row is not None
        await connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET search_path = shadow, public").format(psycopg.sql.Identifier(row[0]))
        )
    return database_url


async def test_imports_and_audit_find_their_own_tables(shadowed_url: str) -> None:
    async with open_command_site(shadowed_url) as site, site.worker():
        sent = await site.api.post("/api/platforms/bulk", content=b'{"platformName":"a"}\n1\n', headers=NDJSON)
        import_id = sent.json()["id"]

        async def has_ended() -> bool:
            return bool((await site.status_of(import_id))["completedAt"])

        await until(has_ended, "the import ends")
        told = await site.status_of(import_id)
        assert (told["successCount"], told["failureCount"]) == (1, 1)
    async with open_application(shadowed_url) as app, client_of(app, await make_key(shadowed_url)) as client:
        assert (await client.post("/api/platforms", json={"platformName": "b"})).status_code == 201
        assert (await client.get("/api/platforms")).json()["totalCount"] == 2
        assert (await client.get("/api/platforms/export?format=ndjson")).text.count("\n") == 2
        assert (await client.get("/health/ready")).status_code == 200
        assert migrations.upgrade(shadowed_url).is_current
    for table in _OURS:
        assert (await fetch(shadowed_url, f"SELECT count(*) FROM shadow.{table}"))[0][0] == 0
    assert (await fetch(shadowed_url, "SELECT count(*) FROM bulkport.audit"))[0][0] == 1


async def test_functions_that_run_with_other_privileges_set_their_search_path(database_url: str) -> None:
    """Triggers run as whoever changes the row, and `SECURITY DEFINER` as the owner."""
    found = await fetch(
        database_url,
        """
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace IN ('bulkport'::regnamespace, 'public'::regnamespace)
          AND (prosecdef OR prorettype = 'trigger'::regtype)
          AND NOT coalesce(array_to_string(proconfig, ','), '') LIKE '%search_path=pg_catalog, pg_temp%'
        """,
    )
    assert found == []
