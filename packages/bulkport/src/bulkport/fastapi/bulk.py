"""The bulk endpoint of each resource: a body comes in, an import job goes out, and its status is asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Response, status
from starlette.requests import ClientDisconnect, Request

from bulkport.errors import UploadInterrupted
from bulkport.fastapi.app_state import Connected
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.job_views import JobStatus, status_path
from bulkport.fastapi.schemas import JobId
from bulkport.identifiers import UserId
from bulkport.imports.formats import BodyFormat, Handling, parse_content_type, parse_delimiter, parse_prefer
from bulkport.imports.ingest import AcceptedImport
from bulkport.imports.read import get_job
from bulkport.imports.resource import Resource
from bulkport.imports.upload import Upload

Authenticate = Callable[..., Any]
"""FastAPI dependency that returns the request's user, and raises when there is none."""

_MESSAGE: Final = "Bulk import job successfully queued"
_JSON: Final = msgspec.json.Encoder()


def bulk_router(resource: Resource, connected: Callable[[], Connected], authenticate: Authenticate) -> APIRouter:
    """`POST /api/{resource}/bulk` and the status of what it queued.

    Parameters
    ----------
    connected:
        Gives what the routes need of a running server; raises `ServiceUnavailable` before it runs.
    """
    router = APIRouter(prefix=f"/api/{resource.name}/bulk", tags=[resource.name])

    @router.post(
        "",
        status_code=status.HTTP_202_ACCEPTED,
        name=f"import_{resource.name}",
        openapi_extra=_request_body(resource),
        responses={202: {"description": "The whole body is stored and its import job queued.", **_ANSWER}},
    )
    async def import_in_bulk(
        request: Request,
        user_id: Annotated[UserId, Depends(authenticate)],
        delimiter: Annotated[
            str | None, Query(description="Delimiter of a CSV body: `,` (the default), `;`, `|` or `tab`.")
        ] = None,
    ) -> Response:
        """Import many records in the background.

        A JSON envelope is checked whole and refused when any record is bad, unless `Prefer: handling=lenient`.
        NDJSON and CSV may have any length; their bad rows are reported, unless `Prefer: handling=strict`.
        """
        headers = request.headers
        preferred = parse_prefer(headers.getlist("prefer"))
        upload = Upload(
            resource=resource,
            user_id=user_id,
            format=parse_content_type(field_value(headers, "content-type")),
            content_encoding=field_value(headers, "content-encoding"),
            handling=preferred,
            delimiter=parse_delimiter(delimiter),
            body=_body(request),
        )
        accepted = await connected().intake.accept(upload)
        return _accepted(resource, accepted, preferred)

    @router.get("/{job_id}/status", name=f"{resource.name}_import_status")
    async def get_status(job_id: JobId, user_id: Annotated[UserId, Depends(authenticate)]) -> JobStatus:
        """Where an import job stands."""
        async with connected().pool.connection() as connection:
            return JobStatus.of(await get_job(connection, job_id, user_id, resource.name))

    return router


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for data in request.stream():
            yield data
            # uvicorn hands over what has arrived without giving way; a fast upload must not starve the others.
            await asyncio.sleep(0)
    except ClientDisconnect:
        raise UploadInterrupted from None


def _accepted(resource: Resource, accepted: AcceptedImport, preferred: Handling | None) -> Response:
    body = {
        "id": accepted.id,
        "hangfireJobId": accepted.background_job_id,
        "message": _MESSAGE,
        "totalRecords": accepted.total_records,
    }
    headers = {"Location": status_path(resource.name, accepted.id), "Retry-After": "1"}
    if preferred is not None:
        headers["Preference-Applied"] = f"handling={preferred}"
    return Response(
        _JSON.encode(body), status_code=status.HTTP_202_ACCEPTED, headers=headers, media_type="application/json"
    )


_ANSWER: Final[dict[str, Any]] = {
    "content": {
        "application/json": {
            "schema": {
                "title": "AcceptedImport",
                "type": "object",
                "required": ["id", "hangfireJobId", "message", "totalRecords"],
                "properties": {
                    "id": {"type": "integer"},
                    "hangfireJobId": {"type": "string", "maxLength": 100},
                    "message": {"type": "string", "const": _MESSAGE},
                    "totalRecords": {"type": "integer"},
                },
            }
        }
    }
}


def _request_body(resource: Resource) -> dict[str, Any]:
    record = resource.model.model_json_schema(by_alias=True)
    envelope = {
        "type": "object",
        "required": [resource.name],
        "properties": {resource.name: {"type": "array", "minItems": 1, "items": record}},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                BodyFormat.JSON.media_type: {"schema": envelope},
                BodyFormat.NDJSON.media_type: {
                    "schema": {"type": "string", "description": "One JSON object a line."},
                },
                BodyFormat.CSV.media_type: {
                    "schema": {"type": "string", "description": "RFC 4180 with a header row."},
                },
            },
        },
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "description": "`handling=strict`: any bad row fails the import. `handling=lenient`: bad rows are "
                "skipped, counted and reported (RFC 7240).",
                "schema": {"type": "string", "enum": [f"handling={handling}" for handling in Handling]},
            }
        ],
    }
