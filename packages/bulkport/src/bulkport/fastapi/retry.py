"""Retries rejected rows: `POST /imports/{id}/retry`, and corrects single rows: `PATCH …/errors/{row}`."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response
from psycopg import AsyncConnection
from pydantic import ConfigDict, JsonValue, RootModel
from starlette.requests import Request

from bulkport.errors import NotEnded, ValidationFailed
from bulkport.fastapi.bodies import JsonBody
from bulkport.fastapi.bulk import answer_in_time, both
from bulkport.fastapi.bulk_description import retry_answers, retry_description
from bulkport.fastapi.change import Answer, change_once, safe_to_repeat
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
from bulkport.imports.formats import Handling, parse_prefer
from bulkport.imports.labels import ImportLabels
from bulkport.imports.options import ReadingOptions
from bulkport.imports.read import ImportJob, csv_header, get_job
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.retry import mend_row
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.sending_again import linked, reading_again, send_rejected_rows, writing_again
from bulkport.imports.states import ImportStatus


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
        # Read before anything else: what is wrong is wrong also if there is no body to be read by it.
        reading = parse_reading(request.query_params.multi_items())
        async with runtime().of_user(user_id).connection() as connection:
            job = await get_job(connection, job_id, user_id)
            if not ImportStatus(job.status).is_final:
                raise NotEnded
            header = await csv_header(connection, job_id, resources[job.resource].wire_names)
        resource = resources[job.resource]
        await permit(authorize, user_id, resource, writing_again(job, resource).mode)
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
            return await send_rejected_rows(user_id, job, header, resource, intake, pool=pool, on_accept=on_accept)

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
    writing = writing_again(job, resource)
    return Upload(
        resource=resource.for_mode(writing.mode),
        writing=writing,
        user_id=user_id,
        format=file.media_type.format,
        content_encoding=file.content_encoding,
        handling=parse_prefer(headers.getlist("prefer")) or Handling(job.handling),
        body=file.content,
        file_name=file.file_name,
        reading=file.reading(reading, reading_again(job).over(resource.reading)),
        labels=ImportLabels(name=job.name, metadata=job.metadata, tags=tuple(job.tags)),
        on_accept=linked(ImportId(job.id), None, on_accept),
    )
