"""Runs in an environment that has nothing but the library's wheel and an extra.

python installed_program.py none|fastapi|dashboard|client|cli|embedded|otel|testing|all
"""

import asyncio
import importlib
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg
from pydantic import BaseModel

from bulkport import Bulkport, JobState, MissingExtra, Resource, migrations

PARTS = {
    "fastapi": {"fastapi", "dashboard", "all"},
    "dashboard": {"dashboard", "all"},
    "client": {"client", "cli", "all"},
    "cli": {"cli", "all"},
    "embedded": {"embedded", "testing"},
    "testing": {"testing"},
}
"""Which extras bring which part."""


class Book(BaseModel):
    """What is imported."""

    title: str


BOOKS = Resource(name="books", label="Book", label_field="title", model=Book, table="books")
bulkport = Bulkport(os.environ["DATABASE_URL"], resources=[BOOKS])


@bulkport.task(name="add")
async def add(left: int, right: int) -> int:
    return left + right


def use(part: str) -> None:
    """Use a part of the library."""
    match part:
        case "fastapi":
            bulkport.router(user=lambda: "ada")
        case "dashboard":
            bulkport.dashboard(access=lambda request: "ada")
        case "client":
            importlib.import_module("bulkport.client")
        case "cli":
            from bulkport.__main__ import main

            sys.argv = ["bulkport", "--version"]
            try:
                main()
            except SystemExit as end:
                if isinstance(end.code, str):
                    raise MissingExtra(end.code) from None
        case "embedded":
            from bulkport import embedded

            with tempfile.TemporaryDirectory() as folder:
                try:
                    with embedded.open_server(Path(folder)) as server:
                        prepare(server.url)
                except embedded.UnsupportedPlatform as error:
                    raise MissingExtra(str(error)) from None
        case "testing":
            importlib.import_module("bulkport.testing.plugin")


def prepare(url: str) -> None:
    with psycopg.connect(url) as connection:
        migrations.upgrade(connection)
        connection.execute("CREATE TABLE books (title text NOT NULL)")


@contextmanager
def missing(part: str):
    try:
        yield
    except MissingExtra as error:
        named = f"pip install 'bulkport[{part}]'" in str(error)
        if not named:
            raise
    else:
        raise AssertionError(f"{part} is there")


async def run(extra: str) -> None:
    stop = asyncio.Event()
    worker = asyncio.create_task(bulkport.run_worker(stop))
    async with bulkport.connect(), asyncio.timeout(60):
        job_id = await bulkport.enqueue(add, 1, right=2)
        while (job := await bulkport.get(job_id)) is None or job.state is not JobState.SUCCEEDED:
            await asyncio.sleep(0.05)
        assert job.result == 3
        import_id = await bulkport.import_file(BOOKS, b"title\nEmma\n", user="ada")
        assert (await bulkport.wait_for_import(import_id)).status == "Completed"
        if extra in PARTS["fastapi"]:
            await serve(extra)
    stop.set()
    await worker


async def serve(extra: str) -> None:
    from fastapi import FastAPI

    app = FastAPI()
    app.include_router(bulkport.router(user=lambda: "ada"), prefix="/api")
    if extra in PARTS["dashboard"]:
        app.mount("/jobs", bulkport.dashboard(access=lambda request: "ada"))
        for page in ("/jobs/", "/jobs/jobs", "/jobs/imports"):
            assert (await ask(app, "GET", page))[0] == 200
    status, _ = await ask(app, "POST", "/api/books/bulk", b"title\nEmma\n", (b"content-type", b"text/csv"))
    assert status == 202
    _, body = await ask(app, "GET", "/api/imports/2", query=b"wait=30")
    assert b'"Completed"' in body, body
    if extra in PARTS["client"]:
        import httpx

        from bulkport.client import AsyncClient

        async with AsyncClient("http://shop.example", api_key="k", transport=httpx.ASGITransport(app)) as client:
            sent = await client.imports.create("books", [{"title": "Persuasion"}])
            assert (await sent.wait()).success_count == 1


async def ask(app, method, path, body=b"", *headers, query=b""):
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path}
    scope |= {"raw_path": path.encode(), "query_string": query, "root_path": "", "scheme": "http"}
    scope |= {"client": ("127.0.0.1", 1), "server": ("shop.example", 80)}
    scope |= {"headers": [(b"host", b"shop.example"), *headers]}
    sent, answered = [], asyncio.Event()
    bodies = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if bodies:
            return bodies.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answered.set()
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def command(*words: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("bulkport"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TESTS = """
from bulkport.testing import import_file, inline
from installed_program import BOOKS, add, bulkport


def test_inline_and_drained(bulkport_database_url):
    import asyncio, psycopg

    with psycopg.connect(bulkport_database_url) as connection:
        connection.execute("CREATE TABLE books (title text NOT NULL)")
    bulkport.database_url = bulkport_database_url

    async def run():
        with inline(bulkport) as jobs:
            await bulkport.enqueue(add, 1, 2)
            assert jobs.jobs[0].result == 3
        assert (await import_file(bulkport, BOOKS, b"title\\nEmma\\n")).succeeded == 1

    asyncio.run(run())
"""


def check_extra(extra: str) -> None:
    """What only this extra gives."""
    if extra in PARTS["cli"]:
        assert "No problems found" in command("doctor", "installed_program:bulkport")
        assert "add" in command("jobs", "list", "installed_program:bulkport")
    if extra == "otel":
        importlib.import_module("opentelemetry.trace")
    if extra == "testing":
        Path("test_installed.py").write_text(TESTS)
        done = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    chosen = sys.argv[1]
    for name, extras in PARTS.items():
        if chosen in extras:
            use(name)
        else:
            with missing(name):
                use(name)
    prepare(os.environ["DATABASE_URL"])
    asyncio.run(run(chosen))
    check_extra(chosen)
