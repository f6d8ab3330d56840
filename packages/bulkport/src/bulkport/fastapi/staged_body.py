"""A bulk request whose body refers to its records: an upload (`{"upload": "ID"}`) or a source."""

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from starlette.requests import ClientDisconnect, Request

from bulkport.errors import UploadConflict, UploadInterrupted, ValidationFailed
from bulkport.fastapi.headers import field_value
from bulkport.identifiers import UserId
from bulkport.imports.body import staged
from bulkport.imports.formats.file_names import media_type_of_name
from bulkport.imports.runtime import ImportRuntime

_MAX_BYTES: Final = 8192
_MEMBERS: Final = frozenset({"upload", "source"})


@dataclass(frozen=True, slots=True)
class StagedBody:
    """The bytes of an upload and their format."""

    upload: staged.StagedUpload
    content_type: str | None
    content_encoding: str | None
    content: AsyncIterable[bytes]

    async def take(self, connection: AsyncConnection[Any]) -> None:
        """Remove the upload, in the transaction that accepts its import; raises NotFound when another took it."""
        await staged.delete_upload(connection, self.upload.id, UserId(self.upload.user_id))


async def named_upload(reference: Mapping[str, Any], runtime: ImportRuntime, user_id: UserId) -> StagedBody:
    """The upload that a request's body names.

    Raises
    ------
    ValidationFailed
        It names no upload.
    NotFound
        The user has no such upload, or it has expired.
    UploadConflict
        The upload is not complete.
    """
    try:
        upload_id = UUID(reference["upload"])
    except (ValueError, TypeError, AttributeError):
        raise ValidationFailed({"upload": ["upload must be the id of an upload: the end of its Location"]}) from None
    pool = runtime.of_user(user_id)
    async with pool.connection() as connection:
        upload = await staged.get_upload(connection, upload_id, user_id)
    if not upload.is_complete:
        raise UploadConflict(f"{upload.received} of the upload's {upload.length} bytes have arrived; send the others.")
    by_name, encoding = media_type_of_name(upload.metadata.get("filename", ""))
    content_type = upload.metadata.get("filetype") or by_name
    # Clients declare either the type inside a compressed file or that of the compression.
    if content_type in {"application/gzip", "application/x-gzip", "application/zstd", "application/octet-stream"}:
        content_type = by_name
    return StagedBody(upload, content_type, encoding, staged.read_upload(pool, upload, runtime.staging))


async def body_reference(request: Request) -> Mapping[str, Any] | None:
    """What a request's body names in place of records: an object with `upload` or `source`; None: it has records.

    Raises
    ------
    ValidationFailed
        It has other members too.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _MAX_BYTES or "content-encoding" in request.headers:
        return None
    if not (field_value(request.headers, "content-type") or "").lower().startswith("application/json"):
        return None
    try:
        # Starlette caches the body, so that a body without a reference is read again as records.
        value = msgspec.json.decode(await request.body())
    except ClientDisconnect:
        raise UploadInterrupted from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict) or not (named := value.keys() & _MEMBERS):
        return None
    if unknown := sorted(value.keys() - {min(named)}):
        raise ValidationFailed({name: [f"{name} is unknown beside {min(named)}"] for name in unknown})
    return value
