"""Rounds of Schemathesis against a running server, until enough requests were sent."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from chaos.fleet import open_fleet
from chaos.nursery import open_nursery

from bulkport import embedded
from commandapi import migrations
from commandapi.auth.keys import create_key
from inputs.issuer import AUDIENCE, open_issuer

PROJECT: Final = Path(__file__).resolve().parents[1]
CHECKS: Final = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "unsupported_method", "allow_header_conformance", "deleted_is_gone"),
    *("ensure_resource_availability", "ignored_auth"),
    *("valid_is_accepted", "invalid_is_refused", "required_headers_are_required"),
)
_USER: Final = "inputs"
# A stream of events ends when its import does.
_STREAMS: Final = ("/api/imports/{job_id}/events",)


@dataclass(slots=True)
class Figures:
    """What was sent and found."""

    requests: int = 0
    operations: int = 0
    rounds: int = 0
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    """By kind and operation."""
    errors: Counter[str] = field(default_factory=Counter)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str, str]]:
    """The server's address, an API key and a Bearer token."""
    with (
        embedded.open_server(folder / "data", database="inputs") as database,
        open_issuer(_USER) as (issuer, token),
        open_nursery() as nursery,
    ):
        migrations.upgrade(database.url)
        environment = {
            "COMMANDAPI_DATABASE_URL": database.url,
            "COMMANDAPI_ENVIRONMENT": "development",
            "COMMANDAPI_DOCS_ENABLED": "true",
            "COMMANDAPI_LOG_LEVEL": "ERROR",
            "COMMANDAPI_OIDC_ISSUER": issuer,
            "COMMANDAPI_OIDC_AUDIENCE": AUDIENCE,
            "COMMANDAPI_REQUESTS_PER_MINUTE": "100000000",
            "COMMANDAPI_MAX_API_KEYS": "1000000",
        }
        key = asyncio.run(_prepare(database.url))
        logs = folder / "logs"
        logs.mkdir()
        with open_fleet(nursery, logs, environment) as fleet:
            fleet.start_worker()
            api = asyncio.run(fleet.start_api())
            if not fleet.api_port:
                raise RuntimeError(api.log.read_text())
            yield f"http://127.0.0.1:{fleet.api_port}", key, token


async def _prepare(url: str) -> str:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("INSERT INTO platforms (platform_name) VALUES ('Docker'), ('Git')")
        await connection.execute("INSERT INTO commands (how_to, command_line, platform_id) VALUES ('list', 'ls', 1)")
        return await create_key(connection, _USER)


def run(requests: int, seed: int, examples: int, *, details: Path | None = None) -> Figures:
    """Send at least so many requests; every round has another seed."""
    figures, started = Figures(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="commandapi-inputs-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with serving(folder) as (url, key, token):
            while figures.requests < requests:
                report, log = _round(folder, url, key, token, seed + figures.rounds, examples)
                figures.rounds += 1
                figures.requests += report["test_cases"]["generated"]
                figures.operations = report["operations"]["tested"]
                for failure in report["failures"]:
                    for operation in failure["operations"]:
                        figures.failures[f"{failure['title']}: {_name_of(operation)}"] += 1
                for error in report["errors"]:
                    figures.errors[error["title"]] += error["count"]
                if details is not None:
                    with details.open("a", encoding="utf-8") as file:
                        file.write(log)
    figures.seconds = time.monotonic() - started
    return figures


def _name_of(operation: Any) -> str:
    return str(operation.get("label", operation)) if isinstance(operation, dict) else str(operation)


def _round(  # noqa: PLR0917
    folder: Path, url: str, key: str, token: str, seed: int, examples: int
) -> tuple[dict[str, Any], str]:
    report = folder / f"{seed}.json"
    command = [
        str(Path(sys.executable).with_name("st")),
        *("--no-color", "run", f"{url}/openapi.json"),
        *("-H", f"x-api-key: {key}", "-H", f"Authorization: Bearer {token}"),
        *("--phases", "coverage,fuzzing,stateful", "--checks", ",".join(CHECKS), "--continue-on-failure"),
        *("-n", str(examples), "--seed", str(seed), "--no-shrink", "--generation-database", "none"),
        *("--request-timeout", "30", "--report", "json", "--report-json-path", str(report), "--warnings", "off"),
        *(part for path in _STREAMS for part in ("--exclude-path", path)),
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "inputs.hooks", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
    return json.loads(report.read_text()), done.stdout
