"""Runs in an environment that has nothing but the library's wheel and an extra: an import, a job and the dashboard.

python installed_program.py none|fastapi|dashboard
"""

import asyncio
import os
import sys

import psycopg
from pydantic import BaseModel

from bulkport import Bulkport, JobState, MissingExtra, Resource, migrations


class Book(BaseModel):
    """What is imported."""

    title: str


BOOKS = Resource(name="books", label="Book", label_field="title", model=Book, table="books")
bulkport = Bulkport(os.environ["DATABASE_URL"], resources=[BOOKS])


@bulkport.task
async def add(left: int, right: int) -> int:
    return left + right


def missing(part: str) -> str:
    try:
        if part == "fastapi":
            bulkport.router(user=lambda: "ada")
        else:
            bulkport.dashboard(access=lambda request: "ada")
    except MissingExtra as error:
        return str(error)
    raise AssertionError(f"{part} is there")


async def run(extra: str) -> None:
    stop = asyncio.Event()
    worker = asyncio.create_task(bulkport.run_worker(stop))
    async with bulkport.connect(), asyncio.timeout(60):
        job_id = await bulkport.enqueue(add, 1, right=2)
        while (job := await bulkport.get(job_id)) is None or job.state is not JobState.SUCCEEDED:
            await asyncio.sleep(0.05)
        assert job.result == 3
        if extra != "none":
            await serve(extra)
    stop.set()
    await worker


async def serve(extra: str) -> None:
    from fastapi import FastAPI

    app = FastAPI()
    app.include_router(bulkport.router(user=lambda: "ada"))
    if extra == "dashboard":
        app.mount("/jobs", bulkport.dashboard(access=lambda request: "ada"))
        assert (await ask(app, "GET", "/jobs/"))[0] == 200
    status, _ = await ask(app, "POST", "/books/bulk", b"title\nEmma\n", (b"content-type", b"text/csv"))
    assert status == 202
    _, body = await ask(app, "GET", "/imports/1", query=b"wait=30")
    assert b'"Completed"' in body, body


async def ask(app, method, path, body=b"", *headers, query=b""):
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path}
    scope |= {
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
    }
    scope |= {"client": ("127.0.0.1", 1)}
    scope |= {"server": ("shop.example", 80), "headers": [(b"host", b"shop.example"), *headers]}
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


if __name__ == "__main__":
    chosen = sys.argv[1]
    if chosen == "none":
        assert missing("fastapi").endswith("pip install 'bulkport[fastapi]'")
    if chosen != "dashboard":
        assert missing("dashboard").endswith("pip install 'bulkport[dashboard]'")
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        migrations.upgrade(connection)
        connection.execute("CREATE TABLE books (title text NOT NULL)")
    asyncio.run(run(chosen))
