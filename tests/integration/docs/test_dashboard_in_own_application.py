"""The application in the dashboard guide mounts the dashboard and controls access."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel

from bulkport import Bulkport, Resource

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "dashboard.md"
MOUNTED = "/internal/jobs"
PAGES = ("", "jobs", "imports", "retries", "recurring", "servers", "queues", "tasks", "audit")


class Book(BaseModel):
    """What the document's application imports."""

    title: str


BOOKS = Resource(name="books", label="Book", label_field="title", model=Book, table="books")


def user_of(request: Request) -> str:
    return request.headers.get("x-user", "")


@asynccontextmanager
async def browser_of_the_document_s_application(url: str) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, Any]]]:
    """A browser and the parts of the application."""
    found = re.search(r"^```python\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    program: dict[str, Any] = {"__name__": "document", "DATABASE_URL": url, "BOOKS": BOOKS, "user_of": user_of}
    exec(compile(found[1], str(DOCUMENT), "exec", dont_inherit=True), program)
    app: FastAPI = program["app"]
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as browser,
    ):
        yield browser, program


async def test_staff_see_every_page_and_others_see_none(database_url: str) -> None:
    async with browser_of_the_document_s_application(database_url) as (browser, _):
        for page in PAGES:
            address = f"{MOUNTED}/{page}"
            assert (await browser.get(address, headers={"x-user": "bob"})).status_code == 200, address
            assert (await browser.get(address, headers={"x-user": "eve"})).status_code == 404, address
            assert (await browser.get(address)).status_code == 404, address


@pytest.mark.parametrize(("user", "status", "is_paused"), [("ada", 303, True), ("bob", 403, False)])
async def test_operators_act_and_readers_do_not(database_url: str, user: str, status: int, is_paused: bool) -> None:
    async with browser_of_the_document_s_application(database_url) as (browser, program):
        browser.headers["x-user"] = user
        page = (await browser.get(f"{MOUNTED}/queues")).text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        form = {"csrf": token[1], "queue": "mail", "confirmed": "yes"}
        answer = await browser.post(f"{MOUNTED}/do/queues/pause", data=form)
        assert answer.status_code == status, answer.text
        queues = await program["bulkport"].queues()
        assert any(queue.name == "mail" and queue.paused_at is not None for queue in queues) is is_paused


async def test_the_additional_name_in_the_document_is_masked(database_url: str) -> None:
    async with browser_of_the_document_s_application(database_url) as (browser, program):
        jobs: Bulkport = program["bulkport"]

        @jobs.task(name="pay")
        async def pay(iban: str, password: str, amount: int) -> None: ...

        job_id = await jobs.enqueue(pay, "DE02120300000000202051", "hunter2", 12)
        page = (await browser.get(f"{MOUNTED}/jobs/{job_id}", headers={"x-user": "bob"})).text
        assert "pay" in page
        assert "DE02120300000000202051" not in page
        assert "hunter2" not in page


def test_every_picture_and_link_in_the_document_exists() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    files = set(re.findall(r'(?:src|srcset)="([^"]+)"|\]\(([^)#]+)', text))
    missing = [name for pair in files for name in pair if name and not (DOCUMENT.parent / name).exists()]
    assert not missing
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    headings = {re.sub(r"[^a-z-]", "", heading) for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
