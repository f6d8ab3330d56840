"""The command `bulkport` migrates, checks and controls the application that it is given by name."""

import json
import os
import sys
from pathlib import Path

import psycopg
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from forked_processes import run_python

SHOP = """
import json
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "little_shop.py").write_text(SHOP, encoding="utf-8")
    return tmp_path


def command(folder: Path, url: str, *arguments: str, target: str = "little_shop:bulkport") -> tuple[int, str, str]:
    name, *rest = arguments
    has_group = name in ("jobs", "queues", "tasks", "servers")
    words = [name, rest[0], target, *rest[1:]] if has_group else [name, target, *rest]
    done = run_python("-m", "bulkport", *words, folder=folder, environment={**os.environ, "DATABASE_URL": url})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os\nurl = os.environ['NO_SUCH']", "KeyError: 'NO_SUCH' (broken.py, line 2)"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (broken.py, line 1)"),
        (
            "raise ValueError('at postgresql://u:secret@h/d')",
            "ValueError: at postgresql://u:***@h/d (broken.py, line 1)",
        ),
        ("def", "SyntaxError: invalid syntax (broken.py, line 1)"),
    ],
)
def test_an_application_that_cannot_be_imported_is_reported_in_one_line(
    tmp_path: Path, program: str, message: str
) -> None:
    (tmp_path / "broken.py").write_text(program, encoding="utf-8")
    code, output, error = command(tmp_path, "", "worker", target="broken:bulkport")
    assert (code, output, error) == (1, "", f"broken cannot be imported: {message}\n")


def test_migrate_doctor_and_jobs_commands_work(folder: Path, database_url: str) -> None:
    assert command(folder, database_url, "migrate", "--down")[:2] == (0, "Schema bulkport: version 3 -> 0.\n")
    code, _, error = command(folder, database_url, "doctor")
    assert (code, "Run: bulkport migrate little_shop:bulkport" in error) == (1, True)
    assert "CREATE TABLE bulkport.jobs" in command(folder, database_url, "migrate", "--sql")[1]
    later = command(folder, database_url, "migrate", "--sql", "--from", "2")[1]
    assert "CREATE TABLE bulkport.jobs" not in later
    assert "CREATE TABLE bulkport.dashboard_sessions" in later
    assert command(folder, database_url, "migrate")[:2] == (0, "Schema bulkport: version 0 -> 3.\n")
    code, _, error = command(folder, database_url, "doctor")
    assert (code, "the table books does not exist" in error) == (1, True)
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE books (title text)")
    assert command(folder, database_url, "doctor")[0] == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_isolation = serializable')
        connection.execute(f"ALTER DATABASE \"{name}\" SET DateStyle = 'German'")
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bulkport.jobs_pkey'::regclass")
    code, _, error = command(folder, database_url, "doctor")
    assert code == 1
    assert "wrong: default_transaction_isolation is serializable; jobs are claimed under READ COMMITTED" in error
    assert "wrong: the index bulkport.jobs_pkey is invalid; REINDEX INDEX CONCURRENTLY bulkport.jobs_pkey" in error
    assert "warning: DateStyle is 'German" in error
    assert "warning: fsync is off" in error
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'bulkport.jobs_pkey'::regclass")
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" RESET ALL')
    assert command(folder, database_url, "jobs", "list")[:2] == (0, "")
    assert command(folder, database_url, "jobs", "retry", "12")[:2] == (1, "12: not found\n")


@pytest.mark.parametrize(
    ("target", "url", "words"),
    [
        ("nowhere:bulkport", None, "Module nowhere was not found"),
        (
            "little_shop.py:bulkport",
            None,
            "a module and one of its attributes, such as little_shop:bulkport",
        ),
        ("", None, "'' does not name a module"),
        ("little_shop:nothing", None, "little_shop has no nothing"),
        ("little_shop:books", None, "is a Resource, not a Bulkport"),
        ("little_shop", "", "The database URL is missing"),
        ("little_shop", "postgresql://ada:secret@127.0.0.1:1/db", "cannot be reached"),
    ],
)
def test_a_mistake_is_named_in_one_message_without_the_password(
    folder: Path, database_url: str, target: str, url: str | None, words: str
) -> None:
    code, output, error = command(folder, database_url if url is None else url, "doctor", target=target)
    assert code == 1
    assert words in error
    assert "secret" not in output + error
    assert "Traceback" not in error


def test_queues_and_tasks_can_be_paused_limited_and_resumed(folder: Path, database_url: str) -> None:
    assert command(folder, database_url, "queues", "pause", "mail", "--note", "host down")[:2] == (
        0,
        "Paused mail. Running jobs will finish.\n",
    )
    listed = command(folder, database_url, "queues", "list")[1]
    assert "paused by bulkport command: host down" in listed
    assert command(folder, database_url, "queues", "limit", "mail", "3")[0] == 0
    assert command(folder, database_url, "queues", "resume", "mail")[:2] == (0, "Resumed mail.\n")
    assert "0 of 3 running" in command(folder, database_url, "queues", "list")[1]
    paused = command(folder, database_url, "tasks", "pause", "greet", "--note", "host down")
    assert paused[:2] == (0, "Paused greet. Running jobs will finish.\n")
    assert "paused by bulkport command: host down" in command(folder, database_url, "tasks", "list")[1]
    assert command(folder, database_url, "tasks", "resume", "greet")[:2] == (0, "Resumed greet.\n")
    assert command(folder, database_url, "jobs", "stack", "12")[::2] == (1, "Job 12 is not running.\n")
    assert command(folder, database_url, "servers", "list")[:2] == (0, "")
    code, _, error = command(folder, database_url, "servers", "stop", "worker-a")
    assert (code, error) == (1, "Server worker-a is not running, or is stopping.\n")


def test_monitors_are_notified_of_what_needs_attention(folder: Path, database_url: str) -> None:
    assert command(folder, database_url, "attention")[:2] == (0, "Nothing needs attention.\n")
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT bulkport.enqueue_now('greet', 'mail', 0, '{}')")
    code, told, _ = command(folder, database_url, "attention", "--json")
    assert code == 1
    assert json.loads(told)["code"] == "queue_unserved"


def test_a_test_notice_can_be_sent_at_any_time(folder: Path, database_url: str) -> None:
    code, _, error = command(folder, database_url, "attention", "--test")
    assert (code, error) == (1, "--test needs --webhook or --mail-to\n")
    code, _, error = command(folder, database_url, "attention", "--test", "--mail-to", "ops@example.org")
    assert code == 1
    assert "--smtp must be a URL such as smtp://" in error
    code, _, error = command(folder, database_url, "attention", "--test", "--webhook", "http://127.0.0.1:9/")
    assert code == 1
    assert "the webhook did not take it" in error


async def test_mcp_clients_can_read_failing_tasks_and_single_jobs(folder: Path, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """SELECT bulkport.enqueue_now('greet', 'mail', 0, '{"name": "Ada", "api_key": "s3cret"}')"""
        )
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bulkport", "mcp", "little_shop:bulkport"],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": database_url},
    )
    async with stdio_client(server) as (reading, writing), ClientSession(reading, writing) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        assert {"needs_attention", "failing_tasks", "show_job", "import_errors"} <= {tool.name for tool in tools}
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        told = await session.call_tool("list_jobs", {"state": "enqueued"})
        assert "Ada" in str(told.content)
        assert "s3cret" not in str(told.content)
        assert "queue_unserved" in str((await session.call_tool("needs_attention", {})).content)
        assert (await session.call_tool("show_job", {"job_id": 77})).is_error
