"""The doctor reports each problem of a deployment with its remedy."""

import time
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bulkport import diagnosis as library
from commandapi import migrations
from commandapi.diagnosis import examine
from commandapi.settings import Settings
from fresh_databases import in_database


async def _told(url: str, **settings: Any) -> list[str]:
    return [str(found) for found in await examine(Settings(database_url=url, **settings), migrations.state(url))]


async def test_each_problem_is_reported_with_its_remedy(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {
        "warning: fsync is off; a crash may lose acknowledged data; turn it on",
        (
            "warning: no worker had a heartbeat within the last minute, so imports wait; "
            "start commandapi worker, or serve with --workers"
        ),
    }
    assert {line for line in await _told(database_url) if "connections, and PostgreSQL" not in line} <= usual
    with psycopg.connect(database_url, autocommit=True) as connection:
        database = f'"{connection.info.dbname}"'
        for statement in (
            "DROP ROLE IF EXISTS little",
            "CREATE ROLE little LOGIN",
            "GRANT USAGE ON SCHEMA bulkport TO little",
            "GRANT SELECT ON ALL TABLES IN SCHEMA bulkport, public TO little",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "DROP ROLE IF EXISTS maker",
            "CREATE ROLE maker",
            "CREATE SCHEMA early AUTHORIZATION maker",
            "GRANT USAGE ON SCHEMA early TO little",
            f"ALTER DATABASE {database} SET search_path = early, pg_catalog, public",
            "ALTER TABLE commands RENAME COLUMN how_to TO elsewhere",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bulkport.jobs_pkey'::regclass",
            f"ALTER DATABASE {database} SET default_transaction_isolation = serializable",
            f"ALTER DATABASE {database} SET default_transaction_read_only = on",
            f"ALTER DATABASE {database} SET DateStyle = 'German'",
            f"ALTER DATABASE {database} SET synchronous_commit = off",
        ):
            connection.execute(statement.encode())
    time_of_day = time.time
    monkeypatch.setattr(library.time, "time", lambda: time_of_day() + 60)
    try:
        told = await _told(
            make_conninfo(database_url, user="little"),
            tenancy="isolated",
            api_pool_size=400,
            spool_dir="/no/such/folder",
            dashboard_open=True,
        )
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("DROP OWNED BY little, maker; DROP ROLE little, maker")
    for beginning in (
        "resource 'platforms': the role little may not INSERT into public.platforms; GRANT INSERT ON public.platforms",
        "resource 'commands': the table public.commands has no column how_to",
        "warning: DateStyle is 'German, DMY'; Bulkport writes and reads ISO 8601 whatever it is",
        "warning: one server and one worker process may open",
        "warning: fsync is off; ",
        "warning: synchronous_commit is off; ",
        "wrong: transactions are read-only; name the primary, or end default_transaction_read_only",
        "wrong: default_transaction_isolation is serializable; jobs are claimed under READ COMMITTED",
        "warning: this machine's clock and PostgreSQL's differ by 60 s; ",
        "warning: the role little cannot become bulkport_tenant, so PostgreSQL does not check whose imports a request",
        "wrong: the index bulkport.jobs_pkey is invalid; REINDEX INDEX CONCURRENTLY bulkport.jobs_pkey",
        (
            "warning: every user of the database may create functions in the schema public, which is on the search "
            "path, and have them called in place of PostgreSQL's; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        ),
        "warning: the role maker of the database may create functions in the schema early, which is on the search path",
        "wrong: the search path looks into the schema early before pg_catalog, so functions and operators there take",
        (
            "wrong: row-level security of platforms and commands does not fit COMMANDAPI_TENANCY=isolated; "
            "run commandapi db upgrade"
        ),
        "warning: no worker had a heartbeat within the last minute",
        "wrong: long bodies cannot be stored in /no/such/folder: No such file or directory; set COMMANDAPI_SPOOL",
        "warning: the dashboard is open to everyone who can reach the server; ",
    ):
        assert any(line.startswith(beginning) for line in told), (beginning, told)
    assert all(line.count("; ") >= 1 and "\n" not in line for line in told)


async def test_a_full_disk_a_wrong_encoding_and_newer_migrations_are_reported(server_url: str) -> None:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        try:
            url = in_database(server_url, name)
            migrations.upgrade(url)
            with psycopg.connect(url) as own:
                own.execute("UPDATE alembic_version SET version_num = '9999'")
            told = await _told(url, disk_watermark_bytes=2**60)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    for part in (
        "warning: the database's encoding is LATIN1; rows with characters that it lacks are rejected",
        "bytes free, so uploads are refused (507); make room, or lower COMMANDAPI_DISK_WATERMARK_BYTES",
        "warning: the database is at migration 9999, newer than this program's",
    ):
        assert any(part in line for line in told), (part, told)
