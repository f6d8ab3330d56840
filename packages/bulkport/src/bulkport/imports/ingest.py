"""Accepts an import: stores its job, all its chunks and its background job in one transaction.

When the transaction commits, the import is durable and queued as a whole, and the client gets its 202. Whatever ends
the upload before (a broken connection, a corrupt body, a killed server) leaves nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import accumulate
from typing import Any, Final

from psycopg import AsyncConnection, sql
from psycopg.errors import UniqueViolation
from psycopg_pool import AsyncConnectionPool

from bulkport.database.row_security import RowSecurity
from bulkport.errors import ClientIdTaken, TooManyUploadsAtOnce
from bulkport.identifiers import BackgroundJobId, ImportId
from bulkport.imports import ingest_queries as queries
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.admission import Admission
from bulkport.imports.body.body_slots import BodySlots
from bulkport.imports.body.envelope_chunks import envelope_chunks
from bulkport.imports.body.spool import Spool
from bulkport.imports.body.upload import BodyReader, ChunkReader, OnAccept, PeekedBody, Upload, no_records
from bulkport.imports.chunk import compress
from bulkport.imports.description import ImportDescription
from bulkport.imports.formats import BodyChunk, BodyFormat
from bulkport.imports.formats.sniffing import WORKBOOK_SIGNATURES
from bulkport.imports.formats.transcoding import BodyCharset, utf8_of
from bulkport.imports.process import ASSIST_IMPORT, IMPORT_QUEUE, PROCESS_IMPORT, PROCESS_LARGE_IMPORT, process_task
from bulkport.imports.worker.hooks import enqueue_finished
from bulkport.jobs.port import JobEngine, NewJob
from bulkport.limits import ImportLimits
from bulkport.slots import Slots
from bulkport.telemetry import carried, sending

_STORED_AT_ONCE: Final = 2 * 1024 * 1024
"""Bytes of records that one statement stores."""
_COMPRESSED_INLINE_BYTES: Final = 256 * 1024
"""Bytes of records that are compressed in half a millisecond, which is less than a change of threads."""
_LARGE_BYTES: Final = 64 * 1024 * 1024
_WRITTEN_TIMES: Final = 2
"""PostgreSQL writes everything it stores to its WAL as well."""
_PULLED_AT_ONCE: Final = 4
"""Concurrent pulls of one user: fetching a source may take hours."""
_WAITING_AT_ONCE: Final = 8
"""Longer bodies for each place of an upload that may wait in memory, for their end or for such a place."""
_CONVERTED_AT_ONCE: Final = 2
"""Workbooks and Parquet files that a server process reads concurrently; each may use memory up to its limit."""


class Intake:
    """Accepts imports.

    Parameters
    ----------
    engine:
        Where the background jobs go, in the same transaction.
    pool:
        Autocommit connections for bodies that have arrived whole.
    upload_pool:
        Autocommit connections for long bodies, once they are here as a whole. Apart from `pool`, so that storing
        gigabytes keeps no other request waiting.
    chunk_workers:
        Background jobs that may work on one import of several chunks.
    """

    def __init__(
        self,
        engine: JobEngine,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        upload_pool: AsyncConnectionPool[AsyncConnection[Any]],
        limits: ImportLimits,
        chunk_workers: int,
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._upload_pool = upload_pool
        self._limits = limits
        self.row_security = RowSecurity(pool)
        """Has PostgreSQL see to it that a user's statements see the user's rows alone."""
        self.admission = Admission(self.row_security, limits, limits.watched_folders)
        """Checks that there is room for new imports."""
        self._chunk_workers = chunk_workers
        self.slots = Slots(
            "uploads",
            in_all=limits.max_concurrent_uploads,
            per_user=limits.max_user_uploads,
            wait_seconds=limits.database_wait_seconds,
            refusal=TooManyUploadsAtOnce,
        )
        """Slots for long bodies: streams and envelopes of several chunks, workbooks and Parquet files."""
        self._waiting = Slots(
            "bodies",
            in_all=_WAITING_AT_ONCE * limits.max_concurrent_uploads,
            per_user=_WAITING_AT_ONCE * limits.max_user_uploads,
            wait_seconds=limits.database_wait_seconds,
            refusal=TooManyUploadsAtOnce,
        )
        """Slots for bodies buffered in memory, a chunk of each."""
        self._converting = asyncio.Semaphore(_CONVERTED_AT_ONCE)
        args, user_id = sql.SQL("import.args"), sql.Placeholder("user_id")
        # Put together once: that takes as long as sending it.
        self._accept_whole_statements = {
            task: queries.ACCEPT_WHOLE.format(
                process=engine.enqueue_call(task, args, queue=IMPORT_QUEUE, user_id=user_id),
                assist=engine.enqueue_call(ASSIST_IMPORT, args, queue=IMPORT_QUEUE, user_id=user_id),
            ).as_bytes()
            for task in (PROCESS_IMPORT, PROCESS_LARGE_IMPORT)
        }

    def _with_finish(self, on_accept: OnAccept | None) -> OnAccept:
        """Also queue the jobs to run when the import has ended."""

        async def accepted_import(connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
            await enqueue_finished(connection, self._engine, accepted)
            if on_accept is not None:
                await on_accept(connection, accepted)

        return accepted_import

    def _as_user(self, upload: Upload) -> Upload:
        """Have PostgreSQL check what a request adds to the acceptance: the response that belongs to its key, the upload
        that it takes, the rows that it sends again. It comes last in the transaction.
        """
        on_accept = upload.on_accept
        if on_accept is None or upload.import_id is not None:
            return upload

        async def as_user(connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
            await self.row_security.restrict(connection, upload.user_id)
            await on_accept(connection, accepted)

        return replace(upload, on_accept=as_user)

    @property
    def limits(self) -> ImportLimits:
        """What one import may cost."""
        return self._limits

    def upload_pool_stats(self) -> dict[str, int]:
        """Statistics of the connections that store long bodies, as `psycopg_pool` names them."""
        return self._upload_pool.get_stats()

    async def accept(self, upload: Upload) -> AcceptedImport:
        """Take in a body and queue its import.

        Raises
        ------
        BulkportError
            If the body is refused; nothing of it is kept.
        """
        upload = self._as_user(upload)
        if upload.resource.on_finished is not None and upload.import_id is None:
            upload = replace(upload, on_accept=self._with_finish(upload.on_accept))
        await self.admission.admit(upload.user_id)
        limits = self._limits
        max_bytes = limits.max_envelope_bytes if upload.format is BodyFormat.JSON else limits.max_body_bytes
        reader = BodyReader(upload, limits, max_bytes)
        try:
            async with BodySlots(self._waiting, self.slots, upload.user_id) as places:
                return await self._accept_body(upload, reader, places)
        except UniqueViolation as error:
            raise await self._client_id_taken(upload, error) from None

    async def _accept_body(self, upload: Upload, reader: BodyReader, places: BodySlots) -> AcceptedImport:
        parts = places.parts_of(reader, self.admission.require_disk)
        if upload.format not in (BodyFormat.JSON, BodyFormat.EXCEL):
            return await self._accept_stream(upload, reader, parts, upload.format, places)
        body = PeekedBody(parts)
        if upload.format is BodyFormat.EXCEL:
            # Windows calls CSV files by the type of workbooks.
            is_workbook = await body.begins_with(*WORKBOOK_SIGNATURES)
            body_format = BodyFormat.EXCEL if is_workbook else BodyFormat.CSV
            return await self._accept_stream(upload, reader, body, body_format, places)
        charset = await body.charset(upload.reading.charset)
        if await body.is_array_of_objects(charset):
            reader.raise_limit(self._limits.max_body_bytes)
            return await self._accept_stream(upload, reader, body, BodyFormat.JSON_ARRAY, places)
        return await self._accept_envelope(upload, reader, body, charset, places)

    async def accept_source(
        self, upload: Upload, source: Mapping[str, Any], connection: AsyncConnection[Any] | None = None
    ) -> AcceptedImport:
        """Queue an import whose body the worker fetches.

        Parameters
        ----------
        upload:
            The import; its format and body are not looked at.
        source:
            Where the body is, as JSON.
        connection:
            Whose transaction accepts the import; None: one of its own.

        Raises
        ------
        ClientIdTaken, TooManyQueued, InsufficientStorage
            As `accept`.
        """
        upload = self._as_user(upload)
        if upload.resource.on_finished is not None:
            upload = replace(upload, on_accept=self._with_finish(upload.on_accept))
        await self.admission.admit(upload.user_id)
        if connection is not None:
            return await self._store_source(connection, upload, source)
        try:
            async with self._pool.connection() as own, own.transaction():
                return await self._store_source(own, upload, source)
        except UniqueViolation as error:
            raise await self._client_id_taken(upload, error) from None

    async def _store_source(
        self, connection: AsyncConnection[Any], upload: Upload, source: Mapping[str, Any]
    ) -> AcceptedImport:
        row = await (await connection.execute(queries.NEXT_IMPORT_ID)).fetchone()
        assert row is not None
        description = ImportDescription(upload)
        job = NewJob(
            PROCESS_LARGE_IMPORT,
            {"import_id": row[0]},
            IMPORT_QUEUE,
            user_id=upload.user_id,
            at=upload.start_at,
            concurrency_key=f"pulls of {upload.user_id}",
            concurrency_limit=_PULLED_AT_ONCE,
        )
        own, *_ = await self._engine.enqueue_many(connection, [job])
        said = {} if upload.handling is None else {"handling": str(upload.handling)}
        values = {
            "id": row[0],
            "background_job_id": own.id,
            "start_at": upload.start_at,
            "source": json.dumps({**source, **said}),
        }
        await connection.execute(queries.INSERT_AWAITING_JOB, description.row(0, 0, 0) | values)
        accepted = description.accepted(ImportId(row[0]), own.id, 0)
        if upload.on_accept is not None:
            await upload.on_accept(connection, accepted)
        return accepted

    async def _client_id_taken(self, upload: Upload, error: UniqueViolation) -> Exception:
        if error.diag.constraint_name != queries.CLIENT_ID_KEY:
            return error
        async with self.row_security.connection(upload.user_id) as connection:
            named = (upload.user_id, upload.labels.client_id)
            row = await (await connection.execute(queries.SELECT_BY_CLIENT_ID, named)).fetchone()
        return ClientIdTaken(None if row is None else f"Your import {row[0]} has this clientId already.")

    async def _accept_envelope(
        self, upload: Upload, reader: BodyReader, body: PeekedBody, charset: BodyCharset | None, places: BodySlots
    ) -> AcceptedImport:
        limits = self._limits
        # Grown part by part: to join them at the end would take its time at once.
        whole: bytes | bytearray = bytearray()
        async for part in body:
            whole += part
            if len(whole) > limits.chunk_bytes:
                await places.upload()
        if charset is not None:
            whole = await reader.work.run(utf8_of, whole, charset)
            upload = replace(upload, reading=upload.reading.detect(charset=charset.name))
        steps = envelope_chunks(whole, upload, limits)
        chunks = await reader.work.result(steps, size=len(whole))
        description = ImportDescription(upload)
        if sum(len(chunk.payload) for chunk in chunks) > _STORED_AT_ONCE:
            with Spool(limits.spool_folder) as spool:
                for chunk in chunks:
                    await reader.work.run(spool.add, chunk)
                return await self._store_spooled(description, spool, reader)
        return await self._accept_whole(description, chunks, reader)

    async def _accept_stream(
        self, upload: Upload, reader: BodyReader, body: AsyncIterable[bytes], body_format: BodyFormat, places: BodySlots
    ) -> AcceptedImport:
        limits = self._limits
        if body_format in (BodyFormat.EXCEL, BodyFormat.PARQUET):
            await places.upload()  # all of it lies in a file before its first record is known
        chunks = ChunkReader(upload, body, body_format, limits, work=reader.work, converting=self._converting)
        description = ImportDescription(upload, chunks, body_format)
        # Until the second chunk the whole body may fit into one.
        stream = aiter(chunks)
        first = await anext(stream, None)
        if first is None:
            raise no_records()
        second = await anext(stream, None)
        if second is None:
            return await self._accept_whole(description, [first], reader)
        await places.upload()
        with Spool(limits.spool_folder) as spool:
            await reader.work.run(spool.add, first)
            await reader.work.run(spool.add, second)
            async for chunk in stream:
                await self.admission.require_disk()
                await reader.work.run(spool.add, chunk)
            return await self._store_spooled(description, spool, reader)

    async def _store_spooled(self, description: ImportDescription, spool: Spool, reader: BodyReader) -> AcceptedImport:
        """Store an import whose chunks are in a file, in one transaction that waits for no client."""
        described = description.row(spool.records, spool.chunks, reader.received)
        if spool.bytes > _LARGE_BYTES:
            await self.admission.require_disk(_WRITTEN_TIMES * spool.bytes)
        async with self._upload_pool.connection() as connection, connection.transaction():
            if description.import_id is not None:
                return await self._fill(connection, description, described, spool, reader)
            row = await (await connection.execute(queries.NEXT_IMPORT_ID)).fetchone()
            assert row is not None
            id_ = ImportId(row[0])
            await self._insert_chunks(connection, id_, spool, reader)
            arguments = {"import_id": int(id_)}
            assistants = description.chunk_workers(self._chunk_workers, spool.chunks) - 1
            process = process_task(spool.chunks, spool.records, spool.bytes)
            own, *_ = await self._engine.enqueue_many(
                connection,
                [
                    NewJob(task, arguments, IMPORT_QUEUE, user_id=description.user_id, at=description.start_at)
                    for task in (process, *[ASSIST_IMPORT] * assistants)
                ],
            )
            await connection.execute(queries.INSERT_JOB, described | {"id": id_, "background_job_id": own.id})
            if description.start_at is not None:
                await connection.execute(queries.SET_START, (description.start_at, id_))
            accepted = description.accepted(id_, own.id, spool.records)
            if description.on_accept is not None:
                await description.on_accept(connection, accepted)
            return accepted

    async def _fill(
        self,
        connection: AsyncConnection[Any],
        description: ImportDescription,
        described: Mapping[str, Any],
        spool: Spool,
        reader: BodyReader,
    ) -> AcceptedImport:
        """Give an import the body that it has waited for, unless it has one by now, or has ended."""
        id_ = description.import_id
        assert id_ is not None
        row = await (await connection.execute(queries.FILL_JOB, {**described, "id": id_})).fetchone()
        accepted = description.accepted(id_, BackgroundJobId("" if row is None else row[0]), spool.records)
        if row is None:
            return accepted
        await self._insert_chunks(connection, id_, spool, reader)
        assistants = description.chunk_workers(self._chunk_workers, spool.chunks) - 1
        job = NewJob(ASSIST_IMPORT, {"import_id": int(id_)}, IMPORT_QUEUE, user_id=description.user_id)
        await self._engine.enqueue_many(connection, [job] * assistants)
        if description.on_accept is not None:
            await description.on_accept(connection, accepted)
        return accepted

    async def _insert_chunks(
        self, connection: AsyncConnection[Any], id_: ImportId, spool: Spool, reader: BodyReader
    ) -> None:
        batches, has_more = spool.batches(), True
        while has_more:
            batch, has_more = await reader.work.advance(batches)
            if batch is not None:
                await connection.execute(queries.INSERT_CHUNKS, {"id": id_, **asdict(batch)})

    async def _accept_whole(
        self, description: ImportDescription, chunks: Sequence[BodyChunk], reader: BodyReader
    ) -> AcceptedImport:
        """Store an import whose body has arrived."""
        if description.start_at is not None or description.import_id is not None:
            # The single statement can store neither a scheduled job nor an existing import.
            with Spool(self._limits.spool_folder) as spool:
                for chunk in chunks:
                    await reader.work.run(spool.add, chunk)
                return await self._store_spooled(description, spool, reader)
        first_rows = list(accumulate((chunk.records for chunk in chunks), initial=1))
        parameters = description.row(first_rows[-1] - 1, len(chunks), reader.received) | {
            "assistants": description.chunk_workers(self._chunk_workers, len(chunks)) - 1,
            "first_rows": first_rows[:-1],
            "records": [chunk.records for chunk in chunks],
            "payloads": [await _compressed(chunk.payload, reader) for chunk in chunks],
        }
        async with self._pool.connection() as connection:
            if description.on_accept is None:
                return await self._store_whole(connection, description, parameters)
            async with connection.transaction():
                accepted = await self._store_whole(connection, description, parameters)
                await description.on_accept(connection, accepted)
                return accepted

    async def _store_whole(
        self, connection: AsyncConnection[Any], description: ImportDescription, parameters: dict[str, Any]
    ) -> AcceptedImport:
        task = process_task(
            len(parameters["payloads"]), parameters["total_records"], sum(map(len, parameters["payloads"]))
        )
        with sending(IMPORT_QUEUE, 1):
            traced = parameters | {"trace": json.dumps(carried())}
            row = await (await connection.execute(self._accept_whole_statements[task], traced)).fetchone()
        assert row is not None
        return description.accepted(ImportId(row[0]), BackgroundJobId(row[1]), parameters["total_records"])


async def _compressed(records: bytes, reader: BodyReader) -> bytes:
    return compress(records) if len(records) <= _COMPRESSED_INLINE_BYTES else await reader.work.run(compress, records)
