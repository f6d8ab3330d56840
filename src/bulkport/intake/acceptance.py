"""Accepting an import: its job, all its chunks and its background job, in one transaction.

When the transaction commits, the import is durable and queued as a whole, and the client gets its 202. Whatever ends
the upload before (a broken connection, a corrupt body, a killed server) leaves nothing.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bulkport.background.port import JobEngine
from bulkport.errors import ServiceUnavailable, ValidationFailed
from bulkport.formats import (
    BodyFormat,
    CsvColumns,
    CsvDialect,
    CsvSplitter,
    Handling,
    Piece,
    match_header,
    parse_envelope,
)
from bulkport.identifiers import BackgroundJobId, ImportId
from bulkport.intake import queries
from bulkport.intake.upload import BodyReader, PieceReader, Upload, no_records, read_whole
from bulkport.limits import ImportLimits
from bulkport.processing.chunk import compress
from bulkport.processing.importer import ASSIST_IMPORT, IMPORT_QUEUE, PROCESS_IMPORT
from bulkport.resources import ConflictPolicy
from bulkport.validation import validate_envelope


@dataclass(frozen=True, slots=True)
class AcceptedImport:
    """What the client is told with its 202."""

    id: ImportId
    background_job_id: BackgroundJobId
    total_records: int
    handling: Handling


class Intake:
    """Accepts imports.

    Parameters
    ----------
    engine:
        Where the background jobs go, in the same transaction.
    pool:
        Autocommit connections for bodies that have arrived whole.
    upload_pool:
        Autocommit connections for streams; each is held for as long as its client sends. Apart from `pool`, so that
        slow clients never keep other requests waiting.
    lanes:
        Background jobs that may work on one import of several chunks.
    """

    def __init__(
        self,
        engine: JobEngine,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        upload_pool: AsyncConnectionPool[AsyncConnection[Any]],
        limits: ImportLimits,
        lanes: int,
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._upload_pool = upload_pool
        self._limits = limits
        self._lanes = lanes
        self._uploads = 0

    async def accept(self, upload: Upload) -> AcceptedImport:
        """Take in a body and queue its import.

        Raises
        ------
        BulkportError
            If the body is refused; nothing of it is kept.
        """
        if upload.format is BodyFormat.JSON:
            return await self._accept_envelope(upload)
        return await self._accept_stream(upload)

    async def _accept_envelope(self, upload: Upload) -> AcceptedImport:
        limits = self._limits
        reader = BodyReader(upload, limits, limits.max_envelope_bytes)
        records = parse_envelope(await read_whole(reader), upload.resource, limits)
        if upload.handling is not Handling.LENIENT and (errors := validate_envelope(records, upload.resource)):
            raise ValidationFailed(errors)
        writer = _ImportWriter(self._engine, upload, self._lanes)
        async with self._transaction() as connection:
            for piece in _pieces(records, limits.chunk_bytes):
                await writer.add(connection, piece)
            return await writer.finish(connection, reader.received)

    async def _accept_stream(self, upload: Upload) -> AcceptedImport:
        limits = self._limits
        reader = BodyReader(upload, limits, limits.max_body_bytes)
        pieces = PieceReader(upload, reader, limits)
        writer = _ImportWriter(self._engine, upload, self._lanes)
        # Until the second piece the whole body may fit into one: then no connection waits for the client.
        stream = aiter(pieces)
        first = await anext(stream, None)
        if isinstance(pieces.splitter, CsvSplitter) and (dialect := pieces.splitter.dialect) is not None:
            writer.csv = (dialect, match_header(dialect.header, upload.resource))
        if first is None:
            raise no_records()
        second = await anext(stream, None)
        if second is None:
            async with self._transaction() as connection:
                await writer.add(connection, first)
                return await writer.finish(connection, reader.received)
        async with self._upload_connection() as connection, connection.transaction():
            await connection.execute(queries.LIMIT_IDLE, (f"{round(limits.body_idle_seconds * 2 + 30)}s",))
            await writer.add(connection, first)
            await writer.add(connection, second)
            async for piece in stream:
                await writer.add(connection, piece)
            return await writer.finish(connection, reader.received)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A transaction for a body that is here. Its statements go out together where none waits for another."""
        async with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            yield connection

    @asynccontextmanager
    async def _upload_connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        if self._uploads >= self._limits.max_concurrent_uploads:
            raise ServiceUnavailable(f"{self._uploads} uploads are under way, this server's limit; try again shortly.")
        self._uploads += 1
        try:
            async with self._upload_pool.connection() as connection:
                yield connection
        finally:
            self._uploads -= 1


class _ImportWriter:
    """Writes one import, inside the caller's transaction."""

    def __init__(self, engine: JobEngine, upload: Upload, lanes: int) -> None:
        self._engine = engine
        self._upload = upload
        self._lanes = lanes
        self._id: ImportId | None = None
        self._records = 0
        self._chunks = 0
        self.csv: tuple[CsvDialect, CsvColumns] | None = None

    async def add(self, connection: AsyncConnection[Any], piece: Piece) -> None:
        """Write the next piece as a chunk."""
        if self._id is None:
            row = await (await connection.execute(queries.NEXT_IMPORT_ID)).fetchone()
            assert row is not None
            self._id = ImportId(row[0])
        payload = compress(piece.payload)
        await connection.execute(
            queries.INSERT_CHUNK, (self._id, self._chunks, self._records + 1, piece.records, payload)
        )
        self._chunks += 1
        self._records += piece.records

    async def finish(self, connection: AsyncConnection[Any], body_bytes: int) -> AcceptedImport:
        """Write the job and enqueue its background jobs."""
        if self._id is None:
            raise no_records()
        upload = self._upload
        arguments = {"import_id": int(self._id)}
        background_job_id = await self._engine.enqueue(connection, PROCESS_IMPORT, arguments, queue=IMPORT_QUEUE)
        # Under UPDATE the last row of the body wins: one lane alone takes the chunks in body order.
        lanes = 1 if upload.resource.conflict is ConflictPolicy.UPDATE else self._lanes
        for _ in range(min(lanes, self._chunks) - 1):
            await self._engine.enqueue(connection, ASSIST_IMPORT, arguments, queue=IMPORT_QUEUE)
        handling = upload.handling or Handling.LENIENT
        await connection.execute(
            queries.INSERT_JOB,
            {
                "id": self._id,
                "resource": upload.resource.name,
                "user_id": upload.user_id,
                "background_job_id": background_job_id,
                "format": upload.format,
                "handling": handling,
                "total_records": self._records,
                "total_chunks": self._chunks,
                "body_bytes": body_bytes,
                "csv_columns": self._csv_columns(),
                "warnings": json.dumps(self._warnings()),
            },
        )
        return AcceptedImport(self._id, background_job_id, self._records, handling)

    def _csv_columns(self) -> str | None:
        if self.csv is None:
            return None
        dialect, columns = self.csv
        return json.dumps(
            {
                "header": dialect.header,
                "delimiter": dialect.delimiter,
                "fields": columns.fields,
                "unknown": columns.unknown,
            }
        )

    def _warnings(self) -> list[str]:
        if self.csv is None or not self.csv[1].unknown:
            return []
        return [f"Unknown fields were ignored: {', '.join(self.csv[1].unknown)}"]


def _pieces(records: list[bytes], chunk_bytes: int) -> list[Piece]:
    """Records of an envelope as pieces of about `chunk_bytes`."""
    pieces: list[Piece] = []
    start = size = 0
    for position, record in enumerate(records):
        size += len(record) + 1
        if size >= chunk_bytes or position == len(records) - 1:
            part = records[start : position + 1]
            pieces.append(Piece(b"\n".join(part), len(part)))
            start, size = position + 1, 0
    return pieces
