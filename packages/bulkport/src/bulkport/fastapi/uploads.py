"""`/uploads`: resumable uploads (tus 1.0.0 with creation, creation-with-upload, expiration,
checksum and termination). What was uploaded is imported with `POST …/bulk` and the body `{"upload": "ID"}`.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC
from email.utils import format_datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from psycopg import AsyncConnection
from starlette.requests import Request

from bulkport.errors import (
    BulkportError,
    ChecksumMismatch,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
    UploadConflict,
)
from bulkport.fastapi.change import Answer, change_once, safe_to_repeat
from bulkport.fastapi.described_headers import LOCATION, TUS_SUPPORT, UPLOAD_LENGTH, UPLOAD_STATE
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.paths import request_path
from bulkport.fastapi.request_body import RequestBody
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.tus_headers import (
    ALGORITHMS,
    APPENDING,
    CONTENT_TYPE,
    CREATION,
    TUS_RESUMABLE,
    VERSION,
    Checksum,
    parse_checksum,
    parse_metadata,
    parse_number,
    require_version,
)
from bulkport.identifiers import UserId
from bulkport.imports.body import staged
from bulkport.imports.body.part_store import collect, put_part
from bulkport.imports.body.staged import OBJECT_BYTES, PART_BYTES, StagedUpload
from bulkport.imports.runtime import ImportRuntime

_MAX_CHECKED: Final = 16 * 2**20
"""A body that is kept as a whole or not at all waits in memory for its end."""

_OFFSET: Final[dict[str, Any]] = {
    "description": "`Upload-Offset` is the number of bytes received.",
    "headers": UPLOAD_STATE,
}
_FOUND: Final[dict[str, Any]] = {**_OFFSET, "headers": {**UPLOAD_STATE, **UPLOAD_LENGTH}}
_CREATED: Final[dict[str, Any]] = {
    "description": 'The upload\'s address is in `Location`; its last segment is the id for `{"upload": id}`.',
    "headers": {**LOCATION, **UPLOAD_STATE},
}
_SUPPORT: Final[dict[str, Any]] = {"description": "The supported tus features.", "headers": TUS_SUPPORT}
_MOVED: Final[dict[str, Any]] = {"description": "`Upload-Offset` does not match the upload's current offset."}
_MISMATCH: Final[dict[str, Any]] = {"description": "The body does not match its checksum; nothing of it was stored."}
_TOO_MANY: Final[dict[str, Any]] = {"description": "The user has reached the limit of unfinished uploads."}
_LARGE: Final[dict[str, Any]] = {"description": "The upload is too large."}
_TYPE: Final[dict[str, Any]] = {"description": f"The Content-Type must be {CONTENT_TYPE}."}
_VERSION_NEEDED: Final[dict[str, Any]] = {"description": "The header `Tus-Resumable: 1.0.0` is missing."}


def upload_router(runtime: Callable[[], ImportRuntime], authenticate: Authenticate) -> APIRouter:
    """Routes under `/uploads`. The parameters are those of `bulk_router`."""
    router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=BulkportRoute)
    Caller = Annotated[UserId, Depends(authenticate)]  # noqa: N806 # a type

    @router.options("", status_code=204, responses={204: _SUPPORT})
    async def describe() -> Response:
        """The supported features of the tus protocol."""
        return Response(
            status_code=204,
            headers={
                "Tus-Resumable": VERSION,
                "Tus-Version": VERSION,
                "Tus-Extension": "creation,creation-with-upload,expiration,checksum,termination",
                "Tus-Max-Size": str(runtime().intake.limits.max_staged_bytes),
                "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
            },
        )

    @router.post(
        "",
        status_code=201,
        responses={201: _CREATED, 409: _TOO_MANY, 412: _VERSION_NEEDED, 413: _LARGE, 415: _TYPE, 460: _MISMATCH},
        openapi_extra=safe_to_repeat(CREATION),
        response_class=Response,
    )
    async def create_upload(request: Request, user_id: Caller) -> Response:
        """Create an upload; `Location` is the URL for its bytes.

        A body of the type `application/offset+octet-stream` is its first part. When all bytes have arrived,
        `{"upload": "ID"}` is the body of a bulk request or of a retry.
        """
        return await _create(runtime(), user_id, request)

    @router.head("/{upload_id}", include_in_schema=False)
    @router.get(
        "/{upload_id}",
        responses={200: _FOUND, 412: _VERSION_NEEDED},
        openapi_extra={"parameters": [TUS_RESUMABLE]},
        response_class=Response,
    )
    async def get_upload(upload_id: str, request: Request, user_id: Caller) -> Response:
        """The number of bytes received of an upload (also `HEAD`)."""
        require_version(request.headers)
        async with runtime().of_user(user_id).connection() as connection:
            upload = await staged.get_upload(connection, _upload_id(upload_id), user_id)
        encoded = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in upload.metadata.items()
        )
        return Response(
            headers={
                **_state(upload, upload.received),
                "Upload-Length": str(upload.length),
                **({"Upload-Metadata": encoded} if encoded else {}),
            }
        )

    @router.patch(
        "/{upload_id}",
        status_code=204,
        responses={204: _OFFSET, 409: _MOVED, 412: _VERSION_NEEDED, 460: _MISMATCH},
        openapi_extra=APPENDING,
    )
    async def append_to_upload(upload_id: str, request: Request, user_id: Caller) -> Response:
        """Append the body at `Upload-Offset`. Bytes that arrive before the connection breaks are kept.

        After a broken connection, ask for the current offset and continue from there. `Upload-Offset` makes the
        request safe to repeat: it needs no `Idempotency-Key`.
        """
        headers = request.headers
        require_version(headers)
        if (field_value(headers, "content-type") or "").lower() != CONTENT_TYPE:
            raise UnsupportedMediaType(f"The Content-Type must be {CONTENT_TYPE}.")
        offset = parse_number(headers, "upload-offset")
        checksum = parse_checksum(headers)
        async with runtime().of_user(user_id).connection() as connection:
            upload = await staged.get_upload(connection, _upload_id(upload_id), user_id)
        if upload.received != offset:
            raise UploadConflict(
                f"{upload.received} bytes of this upload have arrived; Upload-Offset must be that number."
            )
        received = await _append(runtime(), user_id, request, upload, checksum)
        return Response(status_code=204, headers=_state(upload, received))

    @router.delete(
        "/{upload_id}",
        status_code=204,
        responses={412: _VERSION_NEEDED},
        openapi_extra=safe_to_repeat({"parameters": [TUS_RESUMABLE]}),
    )
    async def delete_upload(upload_id: str, request: Request, user_id: Caller) -> Response:
        """Delete an upload."""
        require_version(request.headers)

        async def delete(connection: AsyncConnection[Any]) -> Answer:
            await staged.delete_upload(connection, _upload_id(upload_id), user_id)
            return Answer()

        response = await change_once(request, user_id, runtime(), delete)
        await collect(runtime().pool, runtime().staging)
        response.headers["Tus-Resumable"] = VERSION
        return response

    return router


async def _create(runtime: ImportRuntime, user_id: UserId, request: Request) -> Response:
    headers = request.headers
    require_version(headers)
    limits = runtime.intake.limits
    length = parse_number(headers, "upload-length")
    if length > limits.max_staged_bytes:
        raise TooLarge(f"An upload may have at most {limits.max_staged_bytes:,} bytes.")
    metadata = parse_metadata(field_value(headers, "upload-metadata"))
    is_with_bytes = (field_value(headers, "content-type") or "").lower() == CONTENT_TYPE
    checksum = parse_checksum(headers)
    await runtime.intake.admission.admit_upload(user_id)

    created: list[StagedUpload] = []

    async def create(connection: AsyncConnection[Any]) -> Answer:
        upload = await staged.create_upload(
            connection,
            user_id,
            length=length,
            metadata=metadata,
            retention_seconds=limits.staged_seconds,
            most=limits.max_staged_uploads,
            most_bytes=limits.max_staged_bytes,
        )
        created.append(upload)
        return Answer(201, location=f"{request_path(request).rstrip('/')}/{upload.id}")

    response = await change_once(request, user_id, runtime, create)
    if created:
        await collect(runtime.pool, runtime.staging)
        upload = created[0]
        received = await _append(runtime, user_id, request, upload, checksum) if is_with_bytes else 0
    else:
        # The request was sent before, and its bytes were stored: the client continues after them.
        upload_id = _upload_id(response.headers["location"].rpartition("/")[2])
        async with runtime.of_user(user_id).connection() as connection:
            upload = await staged.get_upload(connection, upload_id, user_id)
        received = upload.received
    response.headers.update(_state(upload, received))
    return response


async def _append(
    runtime: ImportRuntime, user_id: UserId, request: Request, upload: StagedUpload, checksum: Checksum | None
) -> int:
    """Append the request's body to the upload. Returns the new size.

    With a checksum all of it is stored or nothing, so it is held until it is complete, in a place for long bodies.
    So is what an object store takes, once it is longer than what PostgreSQL takes at a time.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > upload.length - upload.received:
        raise _too_long(upload)
    connections, store = runtime.of_user(user_id), runtime.staging
    slots = runtime.intake.slots
    part_bytes = PART_BYTES if store is None else OBJECT_BYTES

    async def put(offset: int, part: bytes) -> str | None:
        return None if store is None else await put_part(runtime.pool, store, upload.id, offset, part)

    if checksum is None:
        offset = upload.received
        async with AsyncExitStack() as place:

            async def take_place() -> None:
                await place.enter_async_context(slots.slot(user_id))

            async for part in _parts(RequestBody(request), upload, part_bytes, take_place):
                await runtime.intake.admission.require_disk()
                name = await put(offset, part)
                async with connections.connection() as connection:
                    await staged.append_part(connection, upload.id, offset, part, name)
                offset += len(part)
        return offset
    async with slots.slot(user_id):
        offset, checked = upload.received, []
        for part in [part async for part in _checked(_parts(RequestBody(request), upload, part_bytes), checksum)]:
            await runtime.intake.admission.require_disk()
            checked.append((offset, part, await put(offset, part)))
            offset += len(part)
        async with connections.connection() as connection, connection.transaction():
            for start, part, name in checked:
                await staged.append_part(connection, upload.id, start, part, name)
    return offset


async def _checked(parts: AsyncIterator[bytes], checksum: Checksum) -> AsyncIterator[bytes]:
    hash_ = hashlib.new(checksum.algorithm, usedforsecurity=False)
    size = 0
    async for part in parts:
        hash_.update(part)
        size += len(part)
        if size > _MAX_CHECKED:
            raise TooLarge(f"A body with Upload-Checksum may have at most {_MAX_CHECKED:,} bytes; send several.")
        yield part
    if hash_.digest() != checksum.digest:
        raise ChecksumMismatch


async def _parts(
    body: RequestBody,
    upload: StagedUpload,
    part_bytes: int,
    take_place: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[bytes]:
    """The body in parts of a suitable size, including bytes received before the connection broke.

    Parameters
    ----------
    take_place:
        Called once before more of the body waits in memory than short bodies have.
    """
    buffer = bytearray()
    left = upload.length - upload.received
    try:
        async for data in body:
            buffer += data
            if len(buffer) > left:
                raise _too_long(upload)
            if take_place is not None and PART_BYTES < len(buffer) < part_bytes:
                take, take_place = take_place, None
                await take()
            while len(buffer) >= part_bytes:
                yield bytes(buffer[:part_bytes])
                left -= part_bytes
                del buffer[:part_bytes]
    except BulkportError:
        if buffer and len(buffer) <= left:
            yield bytes(buffer)
        raise
    if buffer:
        yield bytes(buffer)


def _too_long(upload: StagedUpload) -> TooLarge:
    return TooLarge(f"The body goes beyond the upload's end: its Upload-Length is {upload.length}.")


def _state(upload: StagedUpload, received: int) -> dict[str, str]:
    return {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(received),
        "Upload-Expires": format_datetime(upload.expires_at.astimezone(UTC), usegmt=True),
    }


def _upload_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("The upload does not exist or has expired.") from None
