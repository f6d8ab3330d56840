"""Steps that tests of whole imports have in common, whatever application they go through."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg

from bulkport import Bulkport, WorkerSettings
from table_sizes import IS_LONG

WAIT_SECONDS = 1200.0 if IS_LONG else 60.0
FINAL = {"Completed", "PartialSuccess", "Failed", "Cancelled"}

NDJSON = {"content-type": "application/x-ndjson"}
CSV = {"content-type": "text/csv"}
XLSX = {"content-type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
STRICT = {"prefer": "handling=strict"}
LENIENT = {"prefer": "handling=lenient"}


@asynccontextmanager
async def running_worker(bulkport: Bulkport, database_url: str, **settings: Any) -> AsyncIterator[None]:
    """A worker server in this process."""
    stop = asyncio.Event()
    bulkport.database_url = database_url
    worker = asyncio.create_task(bulkport.run_worker(stop, settings=WorkerSettings(**settings)))
    try:
        yield
    finally:
        stop.set()
        await worker


def ndjson(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


async def accepted(api: httpx.AsyncClient, path: str, **request: Any) -> int:
    """POST an import that is accepted; its id."""
    answer = await api.post(path, **request)
    assert answer.status_code == 202, answer.text
    job_id: int = answer.json()["id"]
    return job_id


async def settled(api: httpx.AsyncClient, job_id: int) -> dict[str, Any]:
    """The import in full, once its status is final."""
    deadline, pause = time.monotonic() + WAIT_SECONDS, 0.01
    while True:
        answer = await api.get(f"/api/imports/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        if job["status"] in FINAL:
            return job
        assert time.monotonic() < deadline, job
        await asyncio.sleep(pause)
        pause = min(0.1, 1.5 * pause)


async def imported(api: httpx.AsyncClient, path: str, **request: Any) -> dict[str, Any]:
    """POST an import and wait until it has settled."""
    return await settled(api, await accepted(api, path, **request))


async def bad_rows(api: httpx.AsyncClient, job_id: int) -> list[dict[str, Any]]:
    """The whole error report."""
    answer = await api.get(f"/api/imports/{job_id}/errors", headers={"accept": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


async def messages(api: httpx.AsyncClient, job_id: int) -> dict[int, list[tuple[str, str]]]:
    """What is wrong with each bad row: (field, message) by row number."""
    return {
        entry["row"]: [(error["field"], error["message"]) for error in entry["errors"]]
        for entry in await bad_rows(api, job_id)
    }


async def fetch(database_url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        return await (await connection.execute(statement, parameters or None)).fetchall()


async def execute(database_url: str, statement: str) -> None:
    """Run statements that return nothing."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(statement)


async def kept(database_url: str) -> dict[str, int]:
    """Row counts of every table that accepting an import writes to."""
    tables = (
        "bulkport.bulk_import_jobs",
        "bulkport.import_chunks",
        "bulkport.import_row_errors",
        "bulkport.all_jobs",
    )
    return {table: (await fetch(database_url, f"SELECT count(*) FROM {table}"))[0][0] for table in tables}


NOTHING = {
    "bulkport.bulk_import_jobs": 0,
    "bulkport.import_chunks": 0,
    "bulkport.import_row_errors": 0,
    "bulkport.all_jobs": 0,
}
