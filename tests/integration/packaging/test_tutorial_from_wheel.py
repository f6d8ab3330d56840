"""The tutorial's existing application runs from the wheel in an empty environment, as a new user would do it."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from wheel_environment import ROOT, UV, environment, run

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
DEADLINE_SECONDS = 60.0
TABLES = """
CREATE TABLE tenants (id serial PRIMARY KEY, name varchar(100) NOT NULL UNIQUE);
CREATE TABLE products (
    id serial PRIMARY KEY, tenant_id int NOT NULL REFERENCES tenants, sku varchar(40) NOT NULL,
    name varchar(200) NOT NULL, UNIQUE (tenant_id, sku));
"""

pytestmark = pytest.mark.skipif(not UV.exists(), reason="uv is not installed in .uv")


@contextmanager
def process(python: Path, program: str, *arguments: str, folder: Path, url: str) -> Iterator["subprocess.Popen[str]"]:
    started = subprocess.Popen(
        [str(python.with_name(program)), *arguments],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": url, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield started
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=DEADLINE_SECONDS)
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def address_of(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if found := re.search(r"running on (http://\S+)", line):
            return found[1]
    raise AssertionError("".join(lines))


def test_an_existing_application_gains_imports_jobs_and_the_dashboard(
    wheel: Path, tmp_path: Path, empty_database: str
) -> None:
    extras = re.search(r"pip install 'bulkport\[([a-z,]+)\]'", TUTORIAL)
    assert extras is not None
    own = ("sqlalchemy[asyncio]", "asyncpg", "alembic", "uvicorn")
    python = environment(tmp_path, f"bulkport[{extras[1]}] @ {wheel.as_uri()}", *own)
    url = empty_database.replace("postgresql://", "postgresql+asyncpg://")
    shutil.copy(ROOT / "examples" / "shop.py", tmp_path)
    migrate(python, tmp_path, url)
    assert "No problems found" in run(python, "bulkport", "doctor", "shop:bulkport", folder=tmp_path, DATABASE_URL=url)
    with (
        process(python, "bulkport", "worker", "shop:bulkport", folder=tmp_path, url=url),
        process(python, "uvicorn", "shop:app", "--port", "0", folder=tmp_path, url=url) as server,
        httpx.Client(base_url=address_of(server), trust_env=False, timeout=DEADLINE_SECONDS) as browser,
    ):
        assert browser.post("/tenants", params={"name": "Acme"}).json() == {"id": 1}
        body, tenant = b"sku,name\nA1,Anvil\nA1,Again\nB2,Bell\n", {"x-tenant": "1"}
        sent = browser.post("/products/bulk", content=body, headers={**tenant, "content-type": "text/csv"})
        assert sent.status_code == 202, sent.text
        status = browser.get(sent.headers["location"], params={"wait": 30}, headers=tenant).json()
        assert (status["status"], status["successCount"], status["failureCount"]) == ("PartialSuccess", 2, 1)
        assert browser.get("/jobs/").status_code == 404
        for page, shown in (("", "Shop"), ("jobs", "welcome"), ("imports", "products")):
            answer = browser.get(f"/jobs/{page}", headers={"x-operator": "ada"})
            assert answer.status_code == 200
            assert shown in answer.text or page == ""
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute("SELECT tenant_id, sku, name FROM products ORDER BY sku").fetchall()
        assert rows == [(1, "A1", "Anvil"), (1, "B2", "Bell")]
        finished = "SELECT task, state::text, result FROM bulkport.finished_jobs WHERE queue = 'mail'"
        assert connection.execute(finished).fetchall() == [("shop.welcome", "succeeded", "Welcome, Acme")]


def migrate(python: Path, folder: Path, url: str) -> None:
    """As an application does that has its tables by Alembic on an async engine."""
    run(python, "alembic", "init", "-t", "async", "alembic", folder=folder)
    settings = folder / "alembic.ini"
    text = re.sub(r"(?m)^sqlalchemy\.url = .*$", f"sqlalchemy.url = {url.replace('%', '%%')}", settings.read_text())
    settings.write_text(text)
    shown = re.search(r"^```python\ndef upgrade.*?^```", TUTORIAL, re.MULTILINE | re.DOTALL)
    assert shown is not None
    (call,) = re.findall(r"^    (migrations\.upgrade\(.*\))$", shown[0], re.MULTILINE)
    statements = "\n".join(f"    op.execute('''{part.strip()}''')" for part in TABLES.split(";") if part.strip())
    (folder / "alembic" / "versions" / "0001_tables.py").write_text(
        "from alembic import op\nfrom bulkport import migrations\n\nrevision = '0001'\ndown_revision = None\n\n\n"
        f"def upgrade():\n{statements}\n    {call}\n\n\ndef downgrade():\n    migrations.downgrade(op.get_bind())\n"
    )
    run(python, "alembic", "upgrade", "head", folder=folder)
