"""Sending rejected rows again: `POST /imports/{id}/retry`, and mending one by one: `PATCH …/errors/{row}`."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Response
from psycopg import AsyncConnection
from pydantic import ConfigDict, JsonValue, RootModel
from starlette.requests import Request

from bulkport.errors import NotEnded, NothingToRetry, ValidationFailed
from bulkport.fastapi.bodies import JsonBody
from bulkport.fastapi.bulk import answer_in_time, both
from bulkport.fastapi.bulk_description import retry_answers, retry_description
from bulkport.fastapi.change import Answer, change_once, safe_to_repeat
from bulkport.fastapi.error_report import report_lines
from bulkport.fastapi.idempotent import receive_once
from bulkport.fastapi.job_views import JobViews
from bulkport.fastapi.paths import request_path
from bulkport.fastapi.report_body import unwrap_report
from bulkport.fastapi.request_body import RequestBody
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.schemas import JobId, PathId
from bulkport.fastapi.sent_file import SentFile, sent_file
from bulkport.fastapi.staged_body import body_reference, named_upload
from bulkport.fastapi.write_query import Authorize, permit
from bulkport.identifiers import ImportId, UserId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.body.options_query import parse_reading
from bulkport.imports.body.part_store import collect
from bulkport.imports.body.upload import OnAccept, Upload
from bulkport.imports.formats import BodyFormat, Handling, parse_prefer
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.read import CsvHeader, ImportJob, ReportedRow, csv_header, get_job
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.retry import RejectedRows, mend_row, newest_retry, rows_retried, write_link
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.states import ImportStatus
from bulkport.imports.write_options import WriteOptions


class CorrectedRecord(RootModel[dict[str, JsonValue]]):
    """A record to take the place of a rejected row."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"platformName": "Docker"}]})


_record: Final = JsonBody(CorrectedRecord)
_CONFLICT: Final[dict[str, Any]] = {"description": "The import has not finished, or its rows were already retried."}

_SLOW: Final[dict[str, Any]] = {"description": "The body arrived too slowly."}
_LARGE: Final[dict[str, Any]] = {"description": "The body is too large."}
_TYPE: Final[dict[str, Any]] = {"description": "The Content-Type or Content-Encoding is not supported."}
_REUSED: Final[dict[str, Any]] = {"description": "The `Idempotency-Key` was used for a different request."}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    408: _SLOW,
    409: _CONFLICT,
    413: _LARGE,
    415: _TYPE,
    422: _REUSED,
}


def retry_router(
    resources: Resources,
    runtime: Callable[[], ImportRuntime],
    authenticate: Authenticate,
    views: JobViews,
    *,
    authorize: Authorize | None = None,
) -> APIRouter:
    """The routes. The parameters are those of `bulk_router`."""
    router = APIRouter(prefix="/imports", tags=["imports"], route_class=BulkportRoute)
    Caller = Annotated[UserId, Depends(authenticate)]  # noqa: N806 # a type

    @router.post(
        "/{job_id}/retry",
        status_code=202,
        responses={**_ANSWERS, **retry_answers(views)},
        openapi_extra=retry_description(),
        response_class=Response,
    )
    async def retry_import(job_id: JobId, request: Request, user_id: Caller) -> Response:
        """Import the rejected rows of a finished import again, as a new import that continues it.

        Without a body, each rejected row is sent again once, with its corrections if there are any. A body is the
        corrected error report in any of its formats, or any other rows; the report's `row` and `error` are ignored.
        """
        # Read before anything else: what is wrong is wrong also where there is no body to be read by it.
        reading = parse_reading(request.query_params.multi_items())
        async with runtime().of_user(user_id).connection() as connection:
            job = await get_job(connection, job_id, user_id)
            if not ImportStatus(job.status).is_final:
                raise NotEnded
            header = await csv_header(connection, job_id, resources[job.resource].wire_names)
        resource = resources[job.resource]
        await permit(authorize, user_id, resource, _writing(job, resource).mode)
        intake = runtime().intake
        pool = runtime().of_user(user_id)

        async def accept(body: RequestBody, on_accept: OnAccept | None) -> AcceptedImport:
            if _has_body(request):
                reference = await body_reference(request)
                if reference is not None and "upload" not in reference:
                    raise ValidationFailed({"source": ["source cannot be retried from; send the rows, or an upload"]})
                upload = None if reference is None else await named_upload(reference, runtime(), user_id)
                file = await sent_file(request, body, upload, idle_seconds=intake.limits.body_idle_seconds)
                if upload is not None:
                    await body.drain()
                    on_accept = both(on_accept, upload)
                file = await unwrap_report(file, resources[job.resource], intake.limits)
                accepted = await intake.accept(
                    _sent(request, reading, user_id, job, resources[job.resource], file, on_accept)
                )
                if upload is not None:
                    await collect(runtime().pool, runtime().staging)
                return accepted
            await body.drain()
            rows = RejectedRows(pool, job_id)
            pages = rows.pages()
            first = await anext(pages, None)
            if first is None:
                async with runtime().pool.connection() as connection:
                    retried = await newest_retry(connection, job_id)
                if retried is None:
                    raise NothingToRetry(f"Import {job_id} has no rejected rows left.")
                raise rows_retried(retried)
            content = _content(job, header, _with(first, pages), resources[job.resource])
            return await intake.accept(
                _again(user_id, job, resources[job.resource], content, header, _all(job_id, rows.mark, on_accept))
            )

        received = await receive_once(
            request,
            pool,
            user_id,
            f"retry {job_id}",
            accept,
            retention_seconds=intake.limits.idempotency_seconds,
        )
        prefix = request_path(request).removesuffix(f"/imports/{job_id}/retry")
        location = f"{prefix}/{job.resource}/bulk/{received.accepted.id}/status"
        prefer = request.headers.getlist("prefer")
        return await answer_in_time(runtime(), user_id, received, views, location=location, prefer=prefer)

    @router.patch(
        "/{job_id}/errors/{row}",
        status_code=204,
        responses={409: _CONFLICT},
        openapi_extra=safe_to_repeat(_record.openapi),
    )
    async def correct_rejected_row(
        job_id: JobId,
        row: PathId,
        request: Request,
        user_id: Caller,
        record: Annotated[CorrectedRecord, Depends(_record)],
    ) -> Response:
        """Replace a rejected row with a corrected record, which the next retry sends."""

        async def mend(connection: AsyncConnection[Any]) -> Answer:
            await get_job(connection, job_id, user_id)
            await mend_row(connection, job_id, row, record.root)
            return Answer()

        return await change_once(request, user_id, runtime(), mend)

    return router


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _sent(  # noqa: PLR0917
    request: Request,
    reading: ReadingOptions,
    user_id: UserId,
    job: ImportJob,
    resource: Resource,
    file: SentFile,
    on_accept: OnAccept | None,
) -> Upload:
    """What the client sent in place of the rejected rows."""
    headers = request.headers
    writing = _writing(job, resource)
    return Upload(
        resource=resource.for_mode(writing.mode),
        writing=writing,
        user_id=user_id,
        format=file.media_type.format,
        content_encoding=file.content_encoding,
        handling=parse_prefer(headers.getlist("prefer")) or Handling(job.handling),
        body=file.content,
        file_name=file.file_name,
        reading=file.reading(reading, _meaning(job).over(resource.reading)),
        labels=ImportLabels(name=job.name, metadata=job.metadata, tags=tuple(job.tags)),
        on_accept=_all(ImportId(job.id), None, on_accept),
    )


def _meaning(job: ImportJob) -> ReadingOptions:
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


def _writing(job: ImportJob, resource: Resource) -> WriteOptions:
    """Rows that are sent again are written as the others were, and into the same context."""
    return WriteOptions.of_stored(job.writing, resource.default_mode)


def _again(  # noqa: PLR0917
    user_id: UserId,
    job: ImportJob,
    resource: Resource,
    content: AsyncIterator[bytes],
    header: CsvHeader | None,
    on_accept: OnAccept,
) -> Upload:
    """The rejected rows as a body."""
    writing = _writing(job, resource)
    return Upload(
        resource=resource.for_mode(writing.mode),
        writing=writing,
        user_id=user_id,
        format=BodyFormat.NDJSON if header is None else BodyFormat.CSV,
        content_encoding=None,
        handling=Handling(job.handling),
        body=content,
        reading=replace(_meaning(job), delimiter=None if header is None else ","),
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
    """Rejected rows as NDJSON: objects as they were sent, and what was no object as its text."""
    async for page in pages:
        yield "".join(f"{_line(row.record)}\n" for row in page).encode("utf-8", "replace")


def _line(record: str) -> str:
    text = msgspec.json.decode(record) if record.lstrip().startswith('"') else record
    return str(text).replace("\r", " ").replace("\n", " ")


async def _with(first: list[ReportedRow], rest: AsyncIterator[list[ReportedRow]]) -> AsyncIterator[list[ReportedRow]]:
    yield first
    async for page in rest:
        yield page


def _all(
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
