"""A worker worked by hand: it claims jobs and ends their runs when the test says so, and commits later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from bulkport.identifiers import BackgroundJobId


class HandWorker:
    """See the module; the transaction stays open until `commit`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], worker_id: int) -> None:
        self.connection = connection
        self._worker_id = worker_id
        self._runs: dict[int, int] = {}

    async def claim(self, queues: list[str] | None = None, *, commit: bool = True) -> BackgroundJobId | None:
        """Claim the next job and, by default, commit."""
        cursor = await self.connection.execute(
            "SELECT job_id, runs FROM bulkport.claim("
            " %s, (SELECT array_agg(DISTINCT task) FROM bulkport.jobs), '{}', %s, 1, 4) WHERE signal IS NULL",
            (self._worker_id, queues),
        )
        row = await cursor.fetchone()
        if commit:
            await self.commit()
        if row is None or row[0] is None:
            return None
        self._runs[row[0]] = row[1]
        return BackgroundJobId(str(row[0]))

    async def end(self, job_id: BackgroundJobId, outcome: str = "succeeded") -> str:
        """End the run of a job and return the outcome."""
        number = int(job_id)
        cursor = await self.connection.execute(
            "SELECT entered FROM bulkport.finish(%s, 'by hand', json_build_array(json_build_object("
            " 'job_id', %s::bigint, 'runs', %s::integer, 'outcome', %s::text, 'seconds', 0.01, 'delay', 0)))",
            (self._worker_id, number, self._runs[number], outcome),
        )
        row = await cursor.fetchone()
        assert row is not None
        return str(row[0])

    async def commit(self) -> None:
        await self.connection.commit()


@asynccontextmanager
async def hand_worker(url: str) -> AsyncIterator[HandWorker]:
    """A worker by hand, with its lease."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "INSERT INTO bulkport.servers (name, host, process_id, version, tasks, concurrency)"
            " VALUES ('by hand ' || gen_random_uuid(), 'here', 1, '0', '{}', 1) RETURNING worker_id"
        )
        row = await cursor.fetchone()
        assert row is not None
        await connection.commit()
        yield HandWorker(connection, row[0])
