"""A worker waits for missing tables and logs in one line what it waits for."""

import asyncio
import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg
from public_site import PublicSite
from structlog.testing import capture_logs
from structlog.typing import EventDict

from background_jobs import BackgroundJobs
from bulkport import migrations
from bulkport.jobs import JobState


async def test_a_worker_waits_for_the_tables(server_url: str) -> None:
    name = f"empty_{uuid.uuid4().hex}"
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    jobs = BackgroundJobs()

    @jobs.task(name="add")
    async def add(one: int, other: int) -> int:
        return one + other

    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as server:
        await server.execute(f'CREATE DATABASE "{name}"')
        try:
            async with jobs.connect(url):
                site = PublicSite(url, jobs)
                with capture_logs() as logs:
                    async with site.worker(), asyncio.timeout(60):
                        while not warnings(logs):
                            await asyncio.sleep(0.02)
                        async with await psycopg.AsyncConnection.connect(url) as connection:
                            await migrations.upgrade(connection)
                        job_id = await jobs.enqueue(add, 1, 2)
                        assert (await site.reaches(job_id, JobState.SUCCEEDED)).result == 3
        finally:
            await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    for log in warnings(logs):
        assert log["event"] == "worker cannot run: the database lacks this version's tables"
        assert "does not exist" in log["error"]
        assert "exc_info" not in log


def warnings(logs: list[EventDict]) -> list[dict[str, str]]:
    return [{key: str(value) for key, value in log.items()} for log in logs if log["log_level"] != "info"]
