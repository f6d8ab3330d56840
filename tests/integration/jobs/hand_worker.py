"""A worker worked by hand: it claims jobs and ends their runs when the test says so, and commits later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from bulkport.identifiers import BackgroundJobId


class HandWorker:
    """See the module; what it does stays open until `commit`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], worker_id: int) -> None:
        self.connection = connection
        self._worker_id = worker_id
        self._attempts: dict[int, int] = {}

    async def claim(self, queues: list[str] | None = None, *, commit: bool = True) -> BackgroundJobId | None:
        """Claim the next job, and commit unless told otherwise."""
        cursor = await self.connection.execute(
            "SELECT id, attempts FROM background_claim_v1(%s, %s)", (queues, self._worker_id)
        )
        row = await cursor.fetchone()
        if commit:
            await self.commit()
        if row is None or row[0] is None:
            return None
        self._attempts[row[0]] = row[1]
        return BackgroundJobId(str(row[0]))

    async def end(self, job_id: BackgroundJobId, outcome: str = "succeeded") -> None:
        """End the run of a job."""
        number = int(job_id)
        await self.connection.execute(
            "SELECT background_end_run_v1(%s, %s, %s, %s, 'by hand', 0.01)",
            (number, self._worker_id, self._attempts.pop(number), outcome),
        )

    async def commit(self) -> None:
        await self.connection.commit()


@asynccontextmanager
async def hand_worker(url: str) -> AsyncIterator[HandWorker]:
    """A worker by hand, with its lease."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "INSERT INTO background_servers (worker_id, name, host, process_id, version, concurrency)"
            " SELECT worker_id, 'by hand ' || worker_id, 'here', 1, '0', 1 FROM procrastinate_register_worker_v1()"
            " RETURNING worker_id"
        )
        row = await cursor.fetchone()
        assert row is not None
        await connection.commit()
        yield HandWorker(connection, row[0])
