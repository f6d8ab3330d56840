"""The guide to background jobs is a working program."""

import ast
import asyncio
import inspect
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from bulkport import BackgroundJob, Bulkport, JobState
from bulkport.identifiers import BackgroundJobId

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "background-jobs.md"
DEADLINE_SECONDS = 60.0
DECLARING = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
NAMES = {
    each.__name__: each
    for each in (
        *(
            AsyncIterator,
            AsyncSession,
            Decimal,
            UUID,
        ),
        *(asyncio, asynccontextmanager, date, datetime, psycopg, text, time, timedelta),
    )
} | {"UTC": UTC}
"""What the guide uses without showing its import."""


@pytest.fixture
def empty_database(server_url: str) -> Iterator[str]:
    name = f"guide_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def test_the_guides_code_runs_as_one_program(empty_database: str) -> None:
    database_url = empty_database
    alchemy = create_async_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    program: dict[str, Any] = NAMES | {
        "__name__": "guide",
        "DATABASE_URL": database_url,
        "alchemy_engine": alchemy,
        "outbox": [],
        "eventually": eventually,
    }
    # A worker knows the tasks that are declared when it starts.
    declarations, actions = statements()
    await run(declarations, program)
    program["create_tables"]()
    jobs: Bulkport = program["bulkport"]
    program |= {"finished": partial(finished, jobs), "started": partial(started, jobs)}
    stop = asyncio.Event()
    async with jobs.connect():
        worker = asyncio.create_task(jobs.run_worker(stop))
        try:
            await run(actions, program)
        finally:
            stop.set()
            await worker
            await alchemy.dispose()


def statements() -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The statements of the guide: those that declare something, and the others; each at its line of the guide."""
    guide = GUIDE.read_text(encoding="utf-8")
    declarations: list[ast.stmt] = []
    actions: list[ast.stmt] = []
    for block in re.finditer(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL):
        parsed = ast.parse(block[1])
        ast.increment_lineno(parsed, guide.count("\n", 0, block.start(1)))
        for statement in parsed.body:
            is_jobs = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "bulkport"
            (declarations if is_jobs or isinstance(statement, DECLARING) else actions).append(statement)
    assert declarations
    assert actions
    return declarations, actions


async def run(program: list[ast.stmt], names: dict[str, Any]) -> None:
    module = ast.Module(program, type_ignores=[])
    code = compile(module, str(GUIDE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, names)
    if inspect.isawaitable(result):
        await result


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await check():
            await asyncio.sleep(0.02)


async def finished(jobs: Bulkport, job_id: BackgroundJobId) -> BackgroundJob | None:
    async def has() -> bool:
        job = await jobs.get(job_id)
        return job is not None and job.state.is_final

    await eventually(has)
    return await jobs.get(job_id)


async def started(jobs: Bulkport, job_id: BackgroundJobId) -> None:
    async def has() -> bool:
        job = await jobs.get(job_id)
        return job is not None and job.state is JobState.PROCESSING

    await eventually(has)
