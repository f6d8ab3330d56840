"""`bulkport worker` as a process: it runs imports and jobs, ends on a signal, and names what keeps it from starting."""

import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from pydantic import BaseModel

from bulkport import Bulkport, JobState, Resource
from forked_processes import ForkedProcess
from running_server import until

SHOP = """
import os
from bulkport import Bulkport, Resource
from pydantic import BaseModel

class Book(BaseModel):
    title: str

books = Resource(name="books", label="Book", label_field="title", model=Book, table="books")
bulkport = Bulkport(os.environ["DATABASE_URL"], resources=[books])

@bulkport.task
def greet(name: str) -> str:
    return f"Hello, {name}"
"""
DEADLINE_SECONDS = 60.0


class Book(BaseModel):
    title: str


BOOKS = Resource(name="books", label="Book", label_field="title", model=Book, table="books")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corner_shop.py").write_text(SHOP, encoding="utf-8")
    return tmp_path


@contextmanager
def worker(folder: Path, url: str, *options: str, command: str = "worker") -> Iterator[ForkedProcess]:
    process = ForkedProcess(
        ["-m", "bulkport", command, "corner_shop:bulkport", *options],
        folder=folder,
        environment={**os.environ, "DATABASE_URL": url},
        log=folder / f"{uuid.uuid4().hex}.log",
    )
    try:
        yield process
    finally:
        process.close()


def says(process: ForkedProcess, words: str) -> None:
    """Wait until the worker has said it."""
    until(lambda: words in process.stdout or process.poll() is not None, f"the worker to say {words}")
    assert words in process.stdout, process.stdout


def refused(folder: Path, url: str) -> str:
    """What a worker says that does not start."""
    with worker(folder, url) as process:
        assert process.wait(DEADLINE_SECONDS) == 1, process.stdout
        assert "Traceback" not in process.stdout
        return process.stdout


def test_one_process_runs_imports_and_jobs_until_it_is_stopped(folder: Path, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE books (title text NOT NULL)")
    here = Bulkport(database_url, resources=[BOOKS])

    @here.task(name="corner_shop.greet")
    def greet(name: str) -> str:
        raise AssertionError("the worker runs its own function of that name")

    alchemy = database_url.replace("postgresql://", "postgresql+asyncpg://")
    with worker(folder, alchemy, "--concurrency", "3") as process, here.sync.connect() as sync:
        job_id = sync.enqueue(greet, "Ada")
        import_id = sync.import_file(BOOKS, b"title\nEmma\n", user="ada")
        assert sync.wait_for_import(import_id).status == "Completed"
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (job := sync.get(job_id)) is None or job.state is not JobState.SUCCEEDED:
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        assert job.result == "Hello, Ada"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0, process.stdout


def test_a_missing_migration_is_reported_with_the_command_to_run(folder: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA bulkport CASCADE")
    assert "Run: bulkport migrate" in refused(folder, database_url)


def test_a_sql_ascii_database_is_reported(folder: Path, server_url: str) -> None:
    name = f"bytes_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0").format(
                sql.Identifier(name)
            )
        )
        try:
            output = refused(folder, urlunsplit(urlsplit(server_url)._replace(path=f"/{name}")))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    assert "encoding is SQL_ASCII" in output


def test_a_worker_waits_for_an_unavailable_database_and_logs_no_password(folder: Path) -> None:
    with worker(folder, "postgresql://ada:secret@127.0.0.1:1/shop") as process:
        says(process, "cannot be reached")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert "secret" not in process.stdout


def test_a_faulty_declaration_is_logged_at_startup(folder: Path, database_url: str) -> None:
    with worker(folder, database_url) as process:
        says(process, "the table books does not exist")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0


async def test_a_forgotten_lifespan_is_reported(database_url: str) -> None:
    bulkport = Bulkport(database_url, resources=[BOOKS])
    app = FastAPI()
    app.include_router(bulkport.router(user=lambda: "ada"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
        answer = await client.post("/books/bulk", content=b"title\nEmma\n", headers={"content-type": "text/csv"})
    assert answer.status_code == 503
    assert "FastAPI(lifespan=bulkport.lifespan)" in answer.json()["detail"]


@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["operator", "read only"])
def test_the_standalone_dashboard_signs_one_browser_in_by_its_link(
    folder: Path, database_url: str, options: tuple[str, ...]
) -> None:
    with worker(folder, database_url, "--port", "0", *options, command="dashboard") as process:
        says(process, "Dashboard: ")
        link = process.stdout.split("Dashboard: ")[1].split()[0]
        with httpx.Client(follow_redirects=True, headers={"accept": "text/html"}) as browser:
            page = browser.get(link)
            assert (page.status_code, page.url.path) == (200, "/jobs/")
            assert ("(operator)" in page.text, "(read-only)" in page.text) == (not options, bool(options))
            assert browser.get(page.url.join("queues")).status_code == 200
        with httpx.Client(follow_redirects=True, headers={"accept": "text/html"}) as another:
            assert another.get(link).status_code in {401, 403}, "the link signs in once"
            assert another.get(page.url).status_code in {401, 403}
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) in {0, 130}, process.stdout
        assert "Traceback" not in process.stdout
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with worker(folder, database_url, "--port", port, command="dashboard") as process:
            assert process.wait(DEADLINE_SECONDS) == 1
            assert "Choose another --port" in process.stdout
