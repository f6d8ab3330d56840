"""Fetches the body of an import from its source and fills the import, in a worker."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from bulkport.errors import (
    BulkportError,
    InsufficientStorage,
    ServiceUnavailable,
    TooLarge,
    TooManyRequests,
    UploadInterrupted,
    UploadTimedOut,
    ValidationFailed,
)
from bulkport.identifiers import ImportId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.body.upload import Upload
from bulkport.imports.body_fetch import BodyRefused, BodyUnavailable
from bulkport.imports.formats import Handling, parse_media_type
from bulkport.imports.ingest import Intake
from bulkport.imports.options import ReadingOptions
from bulkport.imports.worker.attempt import Attempt
from bulkport.jobs.port import JobContext, RetryLater
from bulkport.pools import AsyncPool
from bulkport.pulls.opened_source import OpenedSource, SourceReader, SourceRefused, SourceUnavailable, Version
from bulkport.pulls.recurring import write_version
from bulkport.pulls.source import Source
from bulkport.task_scope import end_tasks

_LOOK_SECONDS: Final = 0.5
_AT_ONCE: Final = 8
"""Bodies that one worker process fetches concurrently."""
_FULL_SECONDS: Final = 1.0
_MAX_MESSAGES: Final = 3
_PASSING: Final = (InsufficientStorage, ServiceUnavailable, TooManyRequests, UploadInterrupted)

_LOOK: Final = """
    UPDATE bulkport.bulk_import_jobs SET body_bytes = %(received)s
    WHERE id = %(id)s AND completed_at IS NULL AND total_chunks = 0
"""
_SET_SOURCE: Final = "UPDATE bulkport.bulk_import_jobs SET source = %s WHERE id = %s"
_SELECT: Final = "SELECT source, reading FROM bulkport.bulk_import_jobs WHERE id = %s"


class Puller:
    """Fetches the bodies of imports.

    Parameters
    ----------
    pool
        Autocommit connections; none is held while a body arrives.
    web, stores
        Read sources.
    seconds
        Longest time that fetching one body may take.
    """

    def __init__(
        self, pool: AsyncPool, intake: Intake, web: SourceReader | None, stores: SourceReader, *, seconds: float
    ) -> None:
        self._pool = pool
        self._intake = intake
        self._web = web
        self._stores = stores
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._received: dict[ImportId, int] = {}

    def reader(self, source: Source) -> SourceReader:
        """Who reads a source.

        Raises
        ------
        SourceRefused
            Nobody here does.
        """
        reader = self._stores if source.store is not None else self._web
        if reader is None:
            raise SourceRefused("this worker cannot fetch from the web: install bulkport[webhooks]")
        return reader

    async def is_unchanged(self, source: Source, known: Version) -> bool:
        """Whether a source is as it was; False also where that is not known."""
        try:
            return await self.reader(source).is_unchanged(source, known)
        except SourceRefused:
            return False

    async def pull(self, attempt: Attempt, context: JobContext) -> None:
        """Fetch the body of an import, and fill the import with it, unless it has ended meanwhile.

        A worker that dies in the middle leaves nothing; another one begins again.

        Raises
        ------
        BodyRefused
            It cannot be fetched, or cannot be imported.
        BodyUnavailable
            Not now.
        RetryLater
            This process fetches enough already, or is about to stop.
        """
        if self._places.locked():
            raise RetryLater(_FULL_SECONDS)
        async with self._places:
            pulling = asyncio.create_task(self._pull(attempt), name=f"pull of import {attempt.job_id}")
            try:
                while not (await asyncio.wait({pulling}, timeout=_LOOK_SECONDS))[0]:
                    if context.stopping:
                        raise RetryLater(0)
                    if not await self._is_wanted(attempt.job_id):
                        return
                pulling.result()
            finally:
                await end_tasks(pulling)
                self._received.pop(attempt.job_id, None)

    async def _is_wanted(self, job_id: ImportId) -> bool:
        """Whether the import still waits for its body; reports how much has arrived."""
        try:
            async with self._pool.connection() as connection:
                values = {"id": job_id, "received": self._received.get(job_id, 0)}
                return (await connection.execute(_LOOK, values)).rowcount > 0
        except (psycopg.Error, PoolTimeout):
            return True

    async def _pull(self, attempt: Attempt) -> None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SELECT, (attempt.job_id,))).fetchone()
        if row is None:
            return
        stored, reading = row
        source = Source.from_json(stored)
        try:
            async with asyncio.timeout(self._seconds), self.reader(source).open(source) as opened:
                await self._fill(attempt, source, stored, ReadingOptions.from_json(reading), opened)
        except TimeoutError:
            raise BodyRefused(f"{source.title}: fetching it took longer than {self._seconds:g} seconds") from None
        except SourceRefused as error:
            raise BodyRefused(str(error)) from None
        except SourceUnavailable as error:
            raise BodyUnavailable(str(error), error.retry_after) from error
        except UploadTimedOut as error:
            raise BodyUnavailable(f"{source.title}: {_in_words(error)}") from error
        except _PASSING as error:
            raise BodyUnavailable(f"{source.title}: {error.detail}") from error
        except BulkportError as error:
            raise BodyRefused(f"{source.title}: {_in_words(error)}") from None

    async def _fill(
        self, attempt: Attempt, source: Source, stored: Mapping[str, Any], reading: ReadingOptions, opened: OpenedSource
    ) -> None:
        if opened.size is not None and opened.size > self._intake.limits.max_body_bytes:
            raise TooLarge(f"it has {opened.size:,} bytes, and {self._intake.limits.max_body_bytes:,} are accepted")
        media_type = parse_media_type(opened.kind.content_type)
        of_type = ReadingOptions(charset=media_type.charset, delimiter=media_type.delimiter)
        recurring_id = stored.get("recurringPull")

        async def write_what_was_read(connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
            shown = {**source.shown, **({} if recurring_id is None else {"recurringPull": recurring_id})}
            await connection.execute(_SET_SOURCE, (Jsonb(shown), accepted.id))
            if recurring_id is not None:
                await write_version(connection, recurring_id, opened.version)

        await self._intake.accept(
            Upload(
                resource=attempt.resource,
                user_id=attempt.user_id,
                format=media_type.format,
                content_encoding=opened.kind.content_encoding,
                handling=Handling(stored["handling"]) if "handling" in stored else None,
                body=self._counted(attempt.job_id, opened.body),
                reading=reading.over(of_type).over(attempt.resource.reading),
                file_name=opened.kind.file_name,
                on_accept=write_what_was_read,
                import_id=attempt.job_id,
            )
        )

    async def _counted(self, job_id: ImportId, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in body:
            self._received[job_id] = self._received.get(job_id, 0) + len(part)
            yield part


def _in_words(error: BulkportError) -> str:
    if isinstance(error, ValidationFailed):
        found = [message for messages in error.errors.values() for message in messages]
        more = f" (and {len(found) - _MAX_MESSAGES} more)" if len(found) > _MAX_MESSAGES else ""
        return "; ".join(found[:_MAX_MESSAGES]) + more
    return error.detail.removesuffix("; nothing was stored.").removesuffix(" Send the body again.")
