"""A database with jobs in it that were never run, and a reader of them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from bulkport.jobs.job import JobState
from bulkport.jobs.port.query import JobQuery
from bulkport.jobs.port.queueing import NewJob
from bulkport.jobs.postgres import PostgresEngine
from bulkport.jobs.postgres.reading import PostgresJobReader
from bulkport.pools import AsyncPool

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ReadingSite:
    """The database of a test and its reader."""

    def __init__(self, url: str, connection: psycopg.AsyncConnection[Any], pool: AsyncPool) -> None:
        self.url = url
        self.connection = connection
        self.pool = pool
        self.reader = PostgresJobReader(pool, most_seconds=30)
        self.engine = PostgresEngine()

    async def put(self, job_id: int, state: str = "succeeded", **columns: object) -> None:
        """A job as it would be after it came to this state; a finished one ran for a second by default."""
        is_final = JobState(state).is_final
        row: dict[str, object] = {
            "job_id": job_id,
            "task": "report",
            "queue": "default",
            "priority": 0,
            "state": state,
            "args": {"number": job_id},
            "created_at": NOON + timedelta(seconds=job_id),
            "started_at": NOON + timedelta(seconds=job_id + 1) if is_final else None,
            "finished_at": NOON + timedelta(seconds=job_id + 2) if is_final else None,
        } | columns
        row.setdefault("ready_at", row["created_at"])
        if is_final:
            row |= {name: row.get(name, 0) for name in ("runs", "failures")}
            row.pop("due_at", None)
        row["args"] = Jsonb(row["args"])
        row.setdefault("error_type", None)
        row.setdefault("error", None)
        text = sql.SQL("bulkport.search_text(%(args)s, %(error_type)s::text, %(error)s::text)")
        if not is_final:
            del row["finished_at"]
            row.pop("result", None)
        if state == "processing":
            row.setdefault("worker_id", 0)
        await self.connection.execute(
            sql.SQL("INSERT INTO {} ({} {}) VALUES ({} {})").format(
                sql.SQL("bulkport.finished_jobs" if is_final else "bulkport.jobs"),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", search_text" if is_final else ""),
                sql.SQL(", ").join(map(sql.Placeholder, row)),
                sql.SQL(", {}").format(text) if is_final else sql.SQL(""),
            ),
            row,
        )

    async def put_all(self, jobs: Iterable[dict[str, Any]]) -> None:
        """Several jobs, as `put` does."""
        async with self.connection.pipeline(), self.connection.transaction():
            for job in jobs:
                await self.put(**job)

    async def enqueue(self, task: str = "report", queue: str = "default", **args: Any) -> int:
        return int(await self.engine.enqueue(self.connection, NewJob(task, args, queue=queue)))

    async def serve(self, name: str = "server-1", queues: list[str] | None = None) -> int:
        """A server, as far as the database knows; gives its worker id."""
        return int(
            await self.value(
                "INSERT INTO bulkport.servers (name, host, process_id, version, queues, tasks, concurrency)"
                " VALUES (%s, 'here', 7, '1.2.3', %s, '{report,mail}', 20) RETURNING worker_id",
                name,
                queues,
            )
        )

    async def claim(self, worker_id: int, queues: list[str] | None = None) -> int:
        """The next job in one of the queues runs."""
        tasks = await self.value("SELECT array_agg(DISTINCT task) FROM bulkport.jobs")
        return int(
            await self.value("SELECT job_id FROM bulkport.claim(%s, %s, '{}', %s, 1, 4)", worker_id, tasks, queues)
        )

    async def value(self, query: str, *arguments: object) -> Any:
        row = await (await self.connection.execute(query, arguments)).fetchone()
        return None if row is None else row[0]

    async def found(self, query: JobQuery, limit: int = 500) -> list[int]:
        """All jobs of a query, in its order, page by page."""
        numbers: list[int] = []
        cursor = None
        while True:
            page = await self.reader.search(query, cursor=cursor, limit=limit)
            assert len(page.items) <= limit
            numbers += [int(job.id) for job in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return numbers
