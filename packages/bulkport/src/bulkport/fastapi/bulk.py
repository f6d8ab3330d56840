"""The bulk endpoint of each resource: accepts a body as an import and returns its status."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Response, status
from psycopg import AsyncConnection
from pydantic import WithJsonSchema
from starlette.requests import Request

from bulkport.errors import ValidationFailed
from bulkport.fastapi.bulk_description import MESSAGE, answers_description, request_description
from bulkport.fastapi.described_headers import RETRY_AFTER
from bulkport.fastapi.follow import MAX_WAIT_SECONDS, retry_after
from bulkport.fastapi.headers import utf8_value
from bulkport.fastapi.idempotent import Received, receive_once
from bulkport.fastapi.import_examples import status_answer
from bulkport.fastapi.job_views import JobStatus, JobViews
from bulkport.fastapi.paths import request_path
from bulkport.fastapi.request_body import RequestBody
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.schemas import JobId, PointInTime, Wait
from bulkport.fastapi.sent_file import sent_file
from bulkport.fastapi.staged_body import StagedBody, body_reference, named_upload
from bulkport.fastapi.write_query import Authorize, permit, write_options
from bulkport.identifiers import UserId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.body.options_query import parse_reading
from bulkport.imports.body.part_store import collect
from bulkport.imports.body.upload import OnAccept, Upload, nothing
from bulkport.imports.formats import BodyFormat, Handling, parse_prefer, parse_wait
from bulkport.imports.labels import MAX_CLIENT_ID, MAX_NAME, MAX_TAG, MAX_TAGS, ImportLabels, parse_metadata
from bulkport.imports.read import get_job
from bulkport.imports.resource import Resource
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.states import ImportStatus
from bulkport.imports.write_options import WriteOptions
from bulkport.pulls.access import SourceAccess

METADATA_HEADER: Final = "X-Import-Metadata"
_LONGEST_DELAY: Final = timedelta(days=366)
# Earlier years begin in the year 0 somewhere on earth, which Python has not.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_JSON: Final = msgspec.json.Encoder()
# `ImportLabels` checks it, and calls the parameter by its name.
_Tag = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "maxLength": MAX_TAG, "pattern": r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"}
    ),
]


def bulk_router(
    resource: Resource,
    runtime: Callable[[], ImportRuntime],
    authenticate: Authenticate,
    views: JobViews,
    *,
    authorize: Authorize | None = None,
    access: SourceAccess | None = None,
) -> APIRouter:
    """`POST /{resource}/bulk` and the status of its imports.

    Parameters
    ----------
    runtime:
        Gives what the routes need of a running server; raises `NotConnected` before it runs.
    authenticate:
        Dependency that gives the user id.
    authorize:
        Says whether the user may import in a mode; None: everyone may.
    access:
        Which sources requests may name; None: none.
    """
    sources = access or SourceAccess(policy=None)
    router = APIRouter(prefix=f"/{resource.name}/bulk", tags=[resource.name], route_class=BulkportRoute)

    @router.post(
        "",
        status_code=status.HTTP_202_ACCEPTED,
        name=f"import_{resource.name}",
        openapi_extra=request_description(resource),
        responses=answers_description(views),
    )
    async def import_in_bulk(
        request: Request,
        *,
        user_id: Annotated[UserId, Depends(authenticate)],
        writing: Annotated[WriteOptions, Depends(write_options(resource))],
        name: Annotated[str | None, Query(max_length=MAX_NAME, description="A name for the import.")] = None,
        client_id: Annotated[
            str | None,
            Query(
                alias="clientId",
                max_length=MAX_CLIENT_ID,
                description="Your id for the import, unique among your imports (a dry run leaves it free); "
                "`GET …/imports?clientId=` finds it.",
            ),
        ] = None,
        tag: Annotated[
            list[_Tag] | None,
            Query(
                max_length=MAX_TAGS,
                description="A tag, repeatable; `GET …/imports?tag=` finds its imports.",
            ),
        ] = None,
        start_at: Annotated[
            PointInTime | None,
            Query(
                alias="startAt",
                description="Earliest start of the import, such as `2026-07-01T22:00:00Z`; a past time means now.",
            ),
        ] = None,
    ) -> Response:
        """Import many records in the background.

        A JSON envelope (1,000 records by default) is validated as a whole, and refused if any record is invalid
        unless `Prefer: handling=lenient`. NDJSON, CSV and files may have any length; invalid rows are skipped and
        reported unless `Prefer: handling=strict`. `GET …/bulk/schema` has this server's limits, the resource's key
        and the schema of a record.
        """
        headers = request.headers
        prefer = headers.getlist("prefer")
        preferred = parse_prefer(prefer)
        labels = ImportLabels(
            name=name or None,
            client_id=client_id or None,
            metadata=parse_metadata(utf8_value(headers, METADATA_HEADER), source=METADATA_HEADER),
            tags=tuple(tag or ()),
        )
        start_at = checked_start(start_at)
        said = parse_reading(request.query_params.multi_items())
        await permit(authorize, user_id, resource, writing.mode)
        target = resource.for_mode(writing.mode)
        intake = runtime().intake

        async def accept(body: RequestBody, on_accept: OnAccept | None) -> AcceptedImport:
            reference = await body_reference(request)
            if reference is not None and "source" in reference:
                source = sources.parse(reference["source"], user_id)
                await body.drain()
                awaited = Upload(
                    resource=target,
                    writing=writing,
                    user_id=user_id,
                    format=BodyFormat.NDJSON,
                    content_encoding=None,
                    handling=preferred,
                    body=nothing(),
                    reading=said,
                    labels=labels,
                    start_at=start_at,
                    on_accept=on_accept,
                )
                return await intake.accept_source(awaited, source.to_json())
            upload = None if reference is None else await named_upload(reference, runtime(), user_id)
            file = await sent_file(request, body, upload, idle_seconds=intake.limits.body_idle_seconds)
            if upload is not None:
                await body.drain()
            accepted = await intake.accept(
                Upload(
                    resource=target,
                    writing=writing,
                    user_id=user_id,
                    format=file.media_type.format,
                    content_encoding=file.content_encoding,
                    handling=preferred,
                    body=file.content,
                    reading=file.reading(said, resource.reading),
                    file_name=file.file_name,
                    labels=labels.over(file.labels),
                    start_at=start_at,
                    on_accept=on_accept if upload is None else both(on_accept, upload),
                )
            )
            if upload is not None:
                await collect(runtime().pool, runtime().staging)
            return accepted

        received = await receive_once(
            request,
            runtime().of_user(user_id),
            user_id,
            resource.name,
            accept,
            retention_seconds=intake.limits.idempotency_seconds,
        )
        location = f"{request_path(request)}/{received.accepted.id}/status"
        return await answer_in_time(runtime(), user_id, received, views, location=location, prefer=prefer)

    @router.get(
        "/{job_id}/status",
        name=f"{resource.name}_import_status",
        response_model=views.status,
        responses={200: {**status_answer(views), "headers": RETRY_AFTER}},
    )
    async def get_status(
        job_id: JobId, response: Response, user_id: Annotated[UserId, Depends(authenticate)], wait: Wait = 0
    ) -> JobStatus:
        """The status of an import job. With `wait`, respond once it has finished or after that many seconds.

        `Retry-After` suggests when to ask again; it is absent once the import has finished.
        """
        async with runtime().of_user(user_id).connection() as connection:
            job = await get_job(connection, job_id, user_id, resource.name)
        if wait:
            job = await runtime().watch.wait(job, min(wait, MAX_WAIT_SECONDS))
        if not ImportStatus(job.status).is_final:
            response.headers["Retry-After"] = retry_after(job)
        return views.status.of(job)

    return router


def both(on_accept: OnAccept | None, upload: StagedBody) -> OnAccept:
    """What belongs into the transaction that accepts an upload's import."""

    async def accepted(connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
        await upload.take(connection)
        if on_accept is not None:
            await on_accept(connection, accepted)

    return accepted


def checked_start(start_at: datetime | None) -> datetime | None:
    """The time at which an import shall begin; raises ValidationFailed for one too far ahead."""
    if start_at is None:
        return None
    if start_at - datetime.now(UTC) > _LONGEST_DELAY:
        raise ValidationFailed({"startAt": [f"startAt must be within {_LONGEST_DELAY.days} days from now"]})
    return max(start_at, _EPOCH)


async def answer_in_time(
    runtime: ImportRuntime, user_id: UserId, received: Received, views: JobViews, *, location: str, prefer: list[str]
) -> Response:
    """200 with the final status of an import that ends while the client waits (`Prefer: respond-async, wait=…`); 202.

    Parameters
    ----------
    location:
        Path of the import's status.
    prefer:
        The request's `Prefer` headers.
    """
    preferred, seconds = parse_prefer(prefer), parse_wait(prefer)
    if seconds:
        async with runtime.of_user(user_id).connection() as connection:
            job = await get_job(connection, received.accepted.id, user_id)
        job = await runtime.watch.wait(job, min(seconds, MAX_WAIT_SECONDS))
        if ImportStatus(job.status).is_final:
            headers = {"Location": location, **_applied(preferred, seconds)}
            content = views.status.of(job).model_dump_json(by_alias=True)
            return Response(content, headers=headers, media_type="application/json")
    return _accepted_response(location, views, received, preferred, seconds)


def _applied(preferred: Handling | None, seconds: int | None) -> dict[str, str]:
    applied = [] if preferred is None else [f"handling={preferred}"]
    if seconds:
        applied.append(f"respond-async, wait={min(seconds, MAX_WAIT_SECONDS)}")
    return {"Preference-Applied": ", ".join(applied)} if applied else {}


def _accepted_response(
    location: str, views: JobViews, received: Received, preferred: Handling | None, seconds: int | None
) -> Response:
    """The 202 response for a stored and queued import; `location` is the path of its status."""
    accepted = received.accepted
    body = {
        "id": accepted.id,
        views.job_id_name: accepted.background_job_id,
        "message": MESSAGE,
        "totalRecords": accepted.total_records,
    }
    headers = {
        "Location": location,
        "Retry-After": "1",
        **_applied(preferred, seconds),
        **({"Idempotent-Replayed": "true"} if received.is_replayed else {}),
    }
    return Response(
        _JSON.encode(body), status_code=status.HTTP_202_ACCEPTED, headers=headers, media_type="application/json"
    )
