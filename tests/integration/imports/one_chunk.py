"""Imports of one small chunk, and the two ways that a worker may take them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
import pytest
from pydantic import BaseModel, Field

from bulkport import NotBlank, Reference, Resource
from bulkport.identifiers import ImportId, UserId
from bulkport.imports.body.upload import Upload
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.ingest import Intake
from bulkport.imports.resource import Resources
from bulkport.imports.worker import chunk_worker
from bulkport.imports.worker.attempt import Attempt, begin_attempt
from bulkport.imports.worker.fair_queue import FairQueue
from bulkport.imports.worker.single_statement import fits_single_statement, run_single_statement
from bulkport.imports.writing.table import TableCatalogue
from bulkport.jobs.port import BackgroundJobId, JobContext
from bulkport.jobs.postgres import PostgresEngine
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool, open_pool

TABLES = """
    CREATE TABLE rooms (id bigint PRIMARY KEY, room_name text NOT NULL);
    CREATE TABLE gauges (
        code text PRIMARY KEY,
        level integer CONSTRAINT level_is_safe CHECK (level < 100),
        room_id bigint NOT NULL REFERENCES rooms (id)
    );
    INSERT INTO rooms VALUES (1, 'cellar'), (2, 'attic');
"""


class Gauge(BaseModel):
    code: Annotated[str, NotBlank, Field(max_length=20)]
    level: int | None = None
    room_id: int


GAUGES = Resource(
    name="gauges",
    label="Gauge",
    label_field="code",
    model=Gauge,
    table="gauges",
    references=(Reference("room_id", table="rooms", label="Room", lookup_field="room", lookup_column="room_name"),),
)


@dataclass(frozen=True)
class OneChunk:
    """A database with a table of gauges, and a worker's connections to it."""

    url: str
    pool: AsyncPool
    intake: Intake

    async def accept(self, body: bytes, form: BodyFormat = BodyFormat.NDJSON) -> ImportId:
        """Take a body in."""

        async def parts() -> AsyncIterator[bytes]:
            yield body

        upload = Upload(
            resource=GAUGES,
            user_id=UserId("ada"),
            format=form,
            content_encoding=None,
            handling=Handling.LENIENT,
            body=parts(),
        )
        return (await self.intake.accept(upload)).id

    async def begin(self, job_id: ImportId) -> Attempt | None:
        """Begin an attempt at the import, as its background job does."""
        async with self.pool.connection() as connection:
            return await begin_attempt(connection, Resources([GAUGES]), TableCatalogue(), job_id, joins=False)

    async def run_single_statement(self, attempt: Attempt) -> bool:
        """Go the short way."""
        assert attempt.sole_chunk is not None
        assert fits_single_statement(attempt, attempt.sole_chunk)
        async with self.pool.connection() as connection:
            return await run_single_statement(connection, attempt, attempt.sole_chunk)

    async def work(self, attempt: Attempt) -> None:
        """Run the background job: the single statement, and the general path if it does not apply."""
        context = JobContext(
            job_id=BackgroundJobId("1"),
            task="",
            args={},
            priority=0,
            attempt=1,
            max_attempts=1,
            asks_cancel=lambda: False,
            asks_stop=lambda: False,
        )
        await chunk_worker.ChunkWorker(self.pool, FairQueue(2), FairQueue(1), attempt, context).work(
            others_wait=lambda: False
        )

    async def state(self, job_id: ImportId) -> dict[str, list[tuple[Any, ...]]]:
        """All that processing an import writes, but for times."""
        queries = {
            "gauges": "SELECT code, level, room_id FROM gauges ORDER BY code",
            "job": "SELECT status, processed_count, success_count, failure_count, error_summary, warnings, attempts, "
            "completed_at > started_at FROM bulkport.bulk_import_jobs WHERE id = %(id)s",
            "chunk": "SELECT state, success_count, failure_count, unknown_fields, payload IS NULL, "
            "finished_at IS NULL FROM bulkport.import_chunks WHERE job_id = %(id)s",
            "errors": "SELECT row_number, errors, record::text FROM bulkport.import_row_errors WHERE job_id = %(id)s "
            "ORDER BY row_number",
        }
        async with self.pool.connection() as connection:
            return {
                name: await (await connection.execute(query, {"id": job_id})).fetchall()
                for name, query in queries.items()
            }


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[OneChunk]:
    """The tables of gauges in the database at `url`."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(TABLES)
    async with open_pool(url, name="test", most=5) as pool:
        yield OneChunk(url, pool, Intake(PostgresEngine(), pool, pool, ImportLimits(), chunk_workers=2))


def no_express(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the usual way alone open."""
    monkeypatch.setattr(chunk_worker, "fits_single_statement", lambda attempt, chunk: False)
