"""Servers, workers and the dashboard run with no more rights than the guide grants, in a schema of any name."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from pydantic import BaseModel

from bulkport import Bulkport, JobState, Resource, migrations

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "migrations.md"
PAGES = ("", "jobs", "imports", "queues", "servers", "recurring", "tasks", "failures", "audit")


class Book(BaseModel):
    title: str


BOOKS = Resource(name="books", label="Book", label_field="title", model=Book, table="books")


@pytest.fixture(params=["bulkport", "etl"])
def schema(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def restricted_url(database_url: str, schema: str) -> Iterator[str]:
    """The database for a role with exactly the privileges from the guide."""
    role = f"app_{uuid.uuid4().hex[:12]}"
    granted = re.search(r"^```sql\n(GRANT USAGE.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert granted is not None
    grants = granted[1].replace("SCHEMA bulkport", f"SCHEMA {schema}").replace("TO app", f"TO {role}")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA bulkport CASCADE")
        migrations.upgrade(connection, schema=schema)
        connection.execute("CREATE TABLE books (id bigint GENERATED ALWAYS AS IDENTITY, title text NOT NULL)")
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(role)))
        connection.execute(grants.encode())
        connection.execute(f"GRANT INSERT ON books TO {role}".encode())
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    parts = urlsplit(database_url)
    yield urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@asynccontextmanager
async def serving(bulkport: Bulkport) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(lifespan=bulkport.lifespan)
    app.include_router(bulkport.router(user=lambda: "ada"), prefix="/api")
    app.mount("/jobs", bulkport.dashboard(access=lambda request: "ada"))
    stop = asyncio.Event()
    worker = asyncio.create_task(bulkport.run_worker(stop))
    transport = httpx.ASGITransport(app)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client,
        ):
            yield client
    finally:
        stop.set()
        await worker


async def test_an_import_a_job_and_the_dashboard_work_with_least_privileges(restricted_url: str, schema: str) -> None:
    bulkport = Bulkport(restricted_url, resources=[BOOKS], schema=schema)

    @bulkport.task(name="add")
    async def add(left: int, right: int) -> int:
        return left + right

    @bulkport.recurring("hourly", cron="0 * * * *")
    @bulkport.task(name="tick")
    async def tick() -> None: ...

    assert await bulkport.check() == []
    async with serving(bulkport) as client:
        sent = await client.post("/api/books/bulk", content=b"title\nEmma\n\n", headers={"content-type": "text/csv"})
        assert sent.status_code == 202, sent.text
        assert sent.headers["location"].startswith("/api/books/bulk/")
        status = (await client.get(sent.headers["location"], params={"wait": 30})).json()
        assert status["status"] == "Completed", status
        async with bulkport.batch("sums") as batch:
            batch.add(add, 1, 2)
        job_id = await bulkport.enqueue(add, 1, right=2)
        async with asyncio.timeout(60):
            while (job := await bulkport.get(job_id)) is None or job.state is not JobState.SUCCEEDED:
                await asyncio.sleep(0.02)
        await bulkport.pause_queue("mail", actor="ada")
        for page in PAGES:
            answer = await client.get(f"/jobs/{page}")
            assert answer.status_code == 200, (page, answer.text)
        assert "add" in (await client.get("/jobs/jobs")).text
        assert "books" in (await client.get("/jobs/imports")).text
        undone = await client.post(f"/api/imports/{status['id']}/undo")
        assert (undone.status_code, "role lacks a privilege" in undone.text) == (503, True), undone.text
