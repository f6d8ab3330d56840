"""The guide's example application works as described."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from forked_processes import ForkedProcess

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "books.py"
GUIDE = ROOT / "docs" / "guides" / "own-resource.md"
DEADLINE_SECONDS = 60.0
KEY = {"x-api-key": "key-of-ada"}


def run_example(url: str, *arguments: str) -> ForkedProcess:
    return ForkedProcess([str(EXAMPLE), *arguments], environment={**os.environ, "DATABASE_URL": url})


@pytest.fixture
def empty_database(database_url: str) -> str:
    """A database of the test's own without any table."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public, bulkport CASCADE")
        connection.execute("CREATE SCHEMA public")
    return database_url


@pytest.fixture
def books(empty_database: str) -> Iterator[httpx.Client]:
    """A client of the running example with a worker."""
    assert run_example(empty_database, "create-tables").wait(DEADLINE_SECONDS) == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [run_example(empty_database, "serve", str(port)), run_example(empty_database, "worker")]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=KEY, trust_env=False) as client:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while True:
                try:
                    client.get("/api/imports").raise_for_status()
                    break
                except httpx.HTTPError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield client
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(DEADLINE_SECONDS)
            process.close()
        assert processes[1].returncode == 0


def settle(client: httpx.Client, accepted: httpx.Response) -> dict[str, object]:
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        status: dict[str, object] = client.get(accepted.headers["location"]).json()
        if status["completedAt"] is not None:
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.02)


def test_the_guides_requests_get_the_documented_responses(books: httpx.Client, empty_database: str) -> None:
    body = fenced("csv")
    status = settle(books, books.post("/api/books/bulk", content=body, headers={"content-type": "text/csv"}))
    report = books.get(f"/api/imports/{status['id']}/errors", headers={"accept": "text/csv"})
    assert (status["status"], status["successCount"], status["failureCount"]) == ("PartialSuccess", 2, 3)
    assert report.text.replace("\r\n", "\n") == fenced("text")
    assert status["errorSummary"] in GUIDE.read_text(encoding="utf-8")
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute(
            "SELECT isbn, title, price::text, published::text FROM books ORDER BY isbn"
        ).fetchall()
    assert rows == [
        ("9780131103627", "The C Programming Language", "59.99", "1988-03-22"),
        ("9780262033848", "Introduction to Algorithms", "89.90", None),
    ]


def test_importing_the_same_key_again_updates_the_book(books: httpx.Client, empty_database: str) -> None:
    for price in ("10", "12.50"):
        record = {"isbn": "9780131103627", "title": "The C Programming Language", "price": price}
        assert settle(books, books.post("/api/books/bulk", json={"books": [record]}))["status"] == "Completed"
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT price::text FROM books").fetchall() == [("12.50",)]


def test_the_guide_shows_the_example_unchanged() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown
    for block in shown:
        assert block in source, f"the guide shows what the example does not have:\n{block}"


def fenced(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]
