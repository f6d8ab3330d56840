"""The rejected rows of an import as the body of one that continues it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
from psycopg import AsyncConnection

from bulkport.database.row_security import Connections
from bulkport.errors import NothingToRetry
from bulkport.identifiers import ImportId, UserId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.body.upload import OnAccept, Upload
from bulkport.imports.error_report import report_lines
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.ingest import Intake
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.read import CsvHeader, ImportJob, ReportedRow
from bulkport.imports.resource import Resource
from bulkport.imports.retry import RejectedRows, newest_retry, rows_retried, write_link
from bulkport.imports.write_options import WriteOptions


async def send_rejected_rows(
    user_id: UserId,
    job: ImportJob,
    header: CsvHeader | None,
    resource: Resource,
    intake: Intake,
    *,
    pool: Connections,
    on_accept: OnAccept | None = None,
) -> AcceptedImport:
    """Accept an import of the rejected rows of one that has ended, each once, with their corrections.

    Parameters
    ----------
    user_id:
        Who asks for it.
    header:
        Of the first import's body, where that was CSV.
    on_accept:
        What belongs into the transaction that accepts it.

    Raises
    ------
    NothingToRetry, RowsRetried
        No row was rejected, or they were sent again before.
    """
    job_id = ImportId(job.id)
    rows = RejectedRows(pool, job_id)
    pages = rows.pages()
    first = await anext(pages, None)
    if first is None:
        async with pool.connection() as connection:
            retried = await newest_retry(connection, job_id)
        if retried is None:
            raise NothingToRetry(f"Import {job_id} has no rejected rows left.")
        raise rows_retried(retried)
    content = _content(job, header, _with(first, pages), resource)
    return await intake.accept(_upload(user_id, job, resource, content, header, linked(job_id, rows.mark, on_accept)))


def reading_again(job: ImportJob) -> ReadingOptions:
    """What the import's values and columns mean. How its file was written does not count: a report is CSV like any."""
    return replace(
        ReadingOptions.from_json(job.reading),
        charset=None,
        delimiter=None,
        quote=None,
        escape=None,
        comment=None,
        skip_rows=None,
        header_row=None,
        data_row=None,
        sheet=None,
        neutralize=None,
        detected=(),
    )


def writing_again(job: ImportJob, resource: Resource) -> WriteOptions:
    """Rows that are sent again are written as the others were, and into the same context."""
    return WriteOptions.of_stored(job.writing, resource.default_mode)


def _upload(  # noqa: PLR0917
    user_id: UserId,
    job: ImportJob,
    resource: Resource,
    content: AsyncIterator[bytes],
    header: CsvHeader | None,
    on_accept: OnAccept,
) -> Upload:
    """The rejected rows as a body."""
    writing = writing_again(job, resource)
    return Upload(
        resource=resource.for_mode(writing.mode),
        writing=writing,
        user_id=user_id,
        format=BodyFormat.NDJSON if header is None else BodyFormat.CSV,
        content_encoding=None,
        handling=Handling(job.handling),
        body=content,
        reading=replace(reading_again(job), delimiter=None if header is None else ","),
        labels=ImportLabels(name=job.name, metadata=job.metadata, tags=tuple(job.tags)),
        on_accept=on_accept,
    )


def _content(
    job: ImportJob, header: CsvHeader | None, pages: AsyncIterator[list[ReportedRow]], resource: Resource
) -> AsyncIterator[bytes]:
    if header is None:
        return _records(pages)
    return report_lines(BodyFormat.CSV, pages, header=header, wire_names=list(resource.wire_names.values()))


async def _records(pages: AsyncIterator[list[ReportedRow]]) -> AsyncIterator[bytes]:
    """Rejected rows as NDJSON: objects as sent, anything else as text."""
    async for page in pages:
        yield "".join(f"{_line(row.record)}\n" for row in page).encode("utf-8", "replace")


def _line(record: str) -> str:
    text = msgspec.json.decode(record) if record.lstrip().startswith('"') else record
    return str(text).replace("\r", " ").replace("\n", " ")


async def _with(first: list[ReportedRow], rest: AsyncIterator[list[ReportedRow]]) -> AsyncIterator[list[ReportedRow]]:
    yield first
    async for page in rest:
        yield page


def linked(
    job_id: ImportId,
    mark: OnAccept | None,
    on_accept: OnAccept | None,
) -> OnAccept:
    """What belongs into the transaction that accepts the retry."""

    async def accepted(connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
        await write_link(connection, job_id, accepted)
        for write in (mark, on_accept):
            if write is not None:
                await write(connection, accepted)

    return accepted
