"""Imports that the application starts and follows without HTTP: in a script, a task or a test."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypedDict, Unpack

from psycopg import AsyncConnection

from bulkport.errors import JobNotFound, NotEnded, ValidationFailed
from bulkport.identifiers import AnyUserId, ImportId, UserId, user_id_text
from bulkport.imports.body.local_file import FileContent, local_file
from bulkport.imports.body.upload import Upload
from bulkport.imports.cancel import CancelEffect, cancel_import
from bulkport.imports.erasure import erase_user
from bulkport.imports.exports.file import ExportedFile
from bulkport.imports.exports.pages import Export, PageText
from bulkport.imports.exports.query import ExportQuery, read_primary_key
from bulkport.imports.exports.writing import FileFormat
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.read import ImportJob, csv_header, read_jobs, row_error_pages
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.results import RowResult, result_pages
from bulkport.imports.retry import mend_row
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.sending_again import send_rejected_rows
from bulkport.imports.states import CancellationAsker, ImportStatus
from bulkport.imports.undo import require_undoable, undo_import
from bulkport.imports.write_options import WriteMode, WriteOptions, context_text
from bulkport.imports.writing.table import read_table
from bulkport.keywords import require_known
from bulkport.pools import AsyncPool

_AS_DETECTED: Final = ReadingOptions()


@dataclass(frozen=True, slots=True)
class RowError:
    """A rejected row."""

    row: int
    """Its number in the file, from 1; headers do not count."""
    errors: Mapping[str, list[str]]
    """Messages by field, as on the wire; of the whole row under the empty text."""
    record: Any
    """The row as it was sent."""


class FileOptions(TypedDict, total=False):
    """How a file is imported."""

    format: BodyFormat | str | None
    """A format such as `csv`, or a media type; None: by the file's name, or its first bytes."""
    mode: WriteMode | str | None
    """How rows are written; None: the resource's default."""
    dry_run: bool
    """Report the outcome of each row without writing any."""
    results: bool
    """Store the outcome of each row, as `?results=ids` does."""
    handling: Handling | str | None
    """`strict`: all rows or none; `lenient`: bad rows are reported. None: the format's default."""
    reading: ReadingOptions | None
    """Reading options, in addition to those of the resource."""
    context: Mapping[str, Any] | None
    """Values of the resource's context, such as `{"tenant_id": 1}`. No permission check is made."""
    name: str | None
    """This and the next four are labels of your own, stored with the import."""
    client_id: str | None
    metadata: dict[str, Any] | None
    tags: Sequence[str]
    file_name: str | None
    start_at: datetime | None
    """Aware time before which the import does not start."""


class ImportCalls(Protocol):
    """Imports without HTTP; a part of `Bulkport`."""

    resources: Resources

    def _runtime(self) -> ImportRuntime: ...

    def opened_pool(self) -> AsyncPool:
        """The connections to the database."""
        ...

    async def import_file(
        self,
        resource: Resource | str,
        content: FileContent,
        *,
        user: AnyUserId,
        **options: Unpack[FileOptions],
    ) -> ImportId:
        """Store a file and enqueue its import, as `POST /{resource}/bulk` does; a rejected file stores nothing.

        Parameters
        ----------
        resource
            One of this object's, or its name.
        content
            The bytes, a path, or bytes as they come.
        user
            Whose import it is.
        options
            See `FileOptions`.

        Raises
        ------
        BulkportError
            The file is refused; the message says why.
        NotConnected
            See `Bulkport.connect`.
        """
        require_known(options, FileOptions.__optional_keys__, "import_file")
        declared = self._resource(resource)
        wanted = options.get("mode")
        mode = declared.default_mode if wanted is None else WriteMode(wanted)
        if mode not in declared.allowed_modes:
            allowed = " or ".join(map(str, declared.allowed_modes))
            raise ValidationFailed({"mode": [f"mode must be {allowed} for {declared.name}"]})
        context = self._context(declared, options.get("context"))
        file = local_file(content, resource=declared.name, format_=options.get("format"), name=options.get("file_name"))
        of_type = ReadingOptions(charset=file.media_type.charset, delimiter=file.media_type.delimiter)
        handling = options.get("handling")
        accepted = await self._runtime().intake.accept(
            Upload(
                resource=declared.for_mode(mode),
                writing=WriteOptions(
                    mode=mode,
                    dry_run=options.get("dry_run", False),
                    results=options.get("results", False),
                    context=context,
                ),
                user_id=user_id_text(user),
                format=file.media_type.format,
                content_encoding=file.content_encoding,
                handling=None if handling is None else Handling(handling),
                body=file.content,
                reading=(options.get("reading") or _AS_DETECTED).over(of_type).over(declared.reading),
                file_name=file.name,
                labels=ImportLabels(
                    name=options.get("name"),
                    client_id=options.get("client_id"),
                    metadata=options.get("metadata"),
                    tags=tuple(options.get("tags", ())),
                ),
                start_at=options.get("start_at"),
            )
        )
        return accepted.id

    async def get_import(self, import_id: int) -> ImportJob | None:
        """The current state of any user's import; None if there is no such import, or no longer."""
        async with self.opened_pool().connection() as connection:
            return (await read_jobs(connection, [ImportId(import_id)])).get(import_id)

    async def wait_for_import(self, import_id: int, *, timeout_seconds: float = 60.0) -> ImportJob:
        """An import once it has finished, or its state after `timeout_seconds`.

        Raises
        ------
        JobNotFound
            There is no such import.
        """
        job = await self.get_import(import_id)
        if job is None:
            raise JobNotFound
        return await self._runtime().watch.wait(job, timeout_seconds)

    async def import_errors(self, import_id: int) -> AsyncIterator[RowError]:
        """The rejected rows, in row order."""
        async for page in row_error_pages(self.opened_pool(), ImportId(import_id)):
            for row in page:
                errors: dict[str, list[str]] = {}
                for error in json.loads(row.errors):
                    errors.setdefault(error["field"], []).append(error["message"])
                yield RowError(row.row, errors, json.loads(row.record))

    async def import_results(self, import_id: int) -> AsyncIterator[RowResult]:
        """What became of each row, in row order, of an import sent with `results=True`; else the rejected rows."""
        async for page in result_pages(self.opened_pool(), ImportId(import_id)):
            for result in page:
                yield result

    async def cancel_import(self, import_id: int, *, rollback: bool = False) -> CancelEffect:
        """Cancel an import; running chunks are finished first. Returns the effect.

        Parameters
        ----------
        rollback
            Also remove the rows imported so far, in the transaction that cancels it; `undone` counts them.

        Raises
        ------
        JobNotFound, CannotUndo
            With `rollback`: there is no such import, or its rows cannot be identified.
        """
        id_, asker = ImportId(import_id), CancellationAsker.APPLICATION
        async with self.opened_pool().connection() as connection:
            if not rollback:
                return await cancel_import(connection, id_, asker)
            job = await _existing(connection, id_)
            resource = self.resources[job.resource]
            await require_undoable(connection, job, resource)
            return await cancel_import(connection, id_, asker, rolled_back=resource)

    async def undo_import(self, import_id: int) -> ImportJob:
        """Undo a finished import, as `POST /imports/{id}/undo` does; `undone` has the numbers of rows.

        Raises
        ------
        JobNotFound, NotEnded, AlreadyUndone, CannotUndo
            There is no such import, or it cannot be undone; the message says why.
        """
        id_ = ImportId(import_id)
        async with self.opened_pool().connection() as connection:
            job = await _existing(connection, id_)
            await undo_import(connection, job, self.resources[job.resource])
            return await _existing(connection, id_)

    async def correct_row(self, import_id: int, row: int, record: Mapping[str, Any]) -> None:
        """Replace a rejected row with a corrected record, which `retry_import` sends.

        Raises
        ------
        NotFound, RowsRetried
            There is no such rejected row, or it was sent again already.
        """
        async with self.opened_pool().connection() as connection, connection.transaction():
            await mend_row(connection, ImportId(import_id), row, record)

    async def retry_import(self, import_id: int) -> ImportId:
        """Import the rejected rows of a finished import again, with their corrections, as one that continues it.

        Raises
        ------
        JobNotFound, NotEnded, NothingToRetry, RowsRetried
            There is no such import, it has not finished, or it has no rejected rows that were not sent again.
        """
        pool = self.opened_pool()
        async with pool.connection() as connection:
            job = await _existing(connection, ImportId(import_id))
            if not ImportStatus(job.status).is_final:
                raise NotEnded
            resource = self.resources[job.resource]
            header = await csv_header(connection, ImportId(import_id), resource.wire_names)
        return (
            await send_rejected_rows(UserId(job.user_id), job, header, resource, self._runtime().intake, pool=pool)
        ).id

    async def export(
        self,
        resource: Resource | str,
        *,
        format: str = "csv",  # noqa: A002 # the parameter's name on the wire
        search: str = "",
        null_word: str = "",
        context: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[bytes]:
        """A resource's rows as a file that imports again, a part at a time, as `GET /{resource}/export` gives it.

        Parameters
        ----------
        format
            `csv`, `ndjson`, `xlsx` or `parquet`.
        search
            Only rows with this text.
        null_word
            What stands for null in CSV and workbooks.
        context
            As for `import_file`: only rows with these values.

        Raises
        ------
        ValidationFailed
            The table has no primary key, or its rows do not fit into such a file.
        NotConfigured
            The extra for the format is not installed.
        """
        declared = self._resource(resource)
        values = self._context(declared, context)
        pool = self.opened_pool()
        async with pool.connection() as connection:
            table = await read_table(connection, declared)
            key = await read_primary_key(connection, declared)
        columns = zip(declared.column_names, table.types, strict=True)
        query = ExportQuery(key, search, tuple(column for column, type_ in columns if type_.is_text), values)
        if format in set(PageText):
            parts = Export(pool, table, query, null_word=null_word).file(PageText(format))
        else:
            folder = self._runtime().intake.limits.spool_folder
            parts = ExportedFile(pool, table, query, FileFormat(format), null_word=null_word, folder=folder).parts()
        async for part in parts:
            yield part

    async def erase(self, user_id: AnyUserId) -> int:
        """Delete all data of a user: imports, reports, webhooks, uploads, idempotency keys.

        Rows that imports wrote stay. Returns how many imports there were.
        """
        return await erase_user(self.opened_pool(), user_id_text(user_id))

    def _resource(self, resource: Resource | str) -> Resource:
        name = resource if isinstance(resource, str) else resource.name
        if (declared := self.resources.get(name)) is None:
            there = ", ".join(sorted(self.resources)) or "none: give them to Bulkport(resources=[…])"
            raise ValueError(f"no resource is called {name!r}; there are {there}")
        return declared

    def _context(self, resource: Resource, given: Mapping[str, Any] | None) -> dict[str, str | None]:
        values = given or {}
        if missing := sorted(resource.context.keys() ^ values.keys()):
            raise ValueError(f"context= has a value for each of {sorted(resource.context)}, and no other: {missing}")
        return {column: context_text(value) for column, value in values.items()}


async def _existing(connection: AsyncConnection[Any], import_id: ImportId) -> ImportJob:
    job = (await read_jobs(connection, [import_id])).get(import_id)
    if job is None:
        raise JobNotFound
    return job
