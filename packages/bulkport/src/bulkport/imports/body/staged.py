"""Resumable uploads: their bytes are staged in PostgreSQL, or in an object store, until an
import takes them.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from bulkport.database.row_security import Connections
from bulkport.errors import NotFound, StagingUnavailable, TooManyUploads, UploadConflict
from bulkport.identifiers import UserId
from bulkport.imports.body.part_store import PartStore

PART_BYTES: Final = 512 * 1024
"""Bytes that are stored together in PostgreSQL; what has arrived of a part that was cut short is stored too."""

OBJECT_BYTES: Final = 8 * 1024 * 1024
"""Bytes that are stored together in an object store, whose requests cost more than their bytes."""

_COLUMNS: Final = "id, user_id, length, received, metadata, created_at, expires_at"

_LOCK_USER: Final = "SELECT pg_advisory_xact_lock(hashtextextended('bulkport uploads ' || %s, 0))"
_INSERT: Final = f"""
    INSERT INTO bulkport.uploads (user_id, length, metadata, expires_at)
    SELECT %(user_id)s, %(length)s, %(metadata)s, clock_timestamp() + make_interval(secs => %(seconds)s)
    WHERE (
        SELECT count(*) < %(most)s AND coalesce(sum(length), 0) + %(length)s <= %(most_bytes)s
        FROM bulkport.uploads WHERE user_id = %(user_id)s AND expires_at > clock_timestamp()
    )
    RETURNING {_COLUMNS}
"""
_SELECT: Final = f"""
    SELECT {_COLUMNS} FROM bulkport.uploads WHERE id = %s AND user_id = %s AND expires_at > clock_timestamp()
"""
# The offset is the lock: of two requests that append at one place, one finds it moved.
_APPEND: Final = """
    WITH upload AS (
        UPDATE bulkport.uploads SET received = received + %(size)s
        WHERE id = %(id)s AND received = %(offset)s
        RETURNING id
    )
    INSERT INTO bulkport.upload_parts (upload_id, part_offset, data, object)
    SELECT id, %(offset)s, %(data)b::bytea, %(object)s FROM upload
"""
_READ: Final = """
    SELECT part_offset, data, object FROM bulkport.upload_parts
    WHERE upload_id = %s AND part_offset >= %s ORDER BY part_offset LIMIT 4
"""
_DELETE: Final = "DELETE FROM bulkport.uploads WHERE id = %s AND user_id = %s"


@dataclass(frozen=True, slots=True)
class StagedUpload:
    """An upload whose bytes arrive in one or more requests. Sizes are bytes."""

    id: UUID
    user_id: str
    length: int
    received: int
    metadata: dict[str, str]
    created_at: datetime
    expires_at: datetime

    @property
    def is_complete(self) -> bool:
        """Whether all bytes are here."""
        return self.received == self.length


async def create_upload(
    connection: AsyncConnection[Any],
    user_id: UserId,
    *,
    length: int,
    metadata: Mapping[str, str],
    retention_seconds: float,
    most: int,
    most_bytes: int,
) -> StagedUpload:
    """Begin an upload of `length` bytes.

    Parameters
    ----------
    retention_seconds:
        Time until it expires.
    most, most_bytes:
        Uploads, and bytes of them, that a user may have staged.

    Raises
    ------
    TooManyUploads
        The user has as many as one may have.
    """
    values = {
        "user_id": user_id,
        "length": length,
        "metadata": Jsonb(dict(metadata)),
        "seconds": retention_seconds,
        "most": most,
        "most_bytes": most_bytes,
    }
    async with connection.transaction(), connection.cursor(row_factory=class_row(StagedUpload)) as cursor:
        await cursor.execute(_LOCK_USER, (user_id,))
        upload = await (await cursor.execute(_INSERT, values)).fetchone()
    if upload is None:
        raise TooManyUploads
    return upload


async def get_upload(connection: AsyncConnection[Any], upload_id: UUID, user_id: UserId) -> StagedUpload:
    """One of the user's uploads; raises NotFound, also for one that has expired."""
    async with connection.cursor(row_factory=class_row(StagedUpload)) as cursor:
        upload = await (await cursor.execute(_SELECT, (upload_id, user_id))).fetchone()
    if upload is None:
        raise NotFound("The upload does not exist or has expired.")
    return upload


async def append_part(
    connection: AsyncConnection[Any], upload_id: UUID, offset: int, data: bytes, name: str | None = None
) -> None:
    """Store the next bytes of an upload.

    Parameters
    ----------
    name:
        Of the object that has them, in the store of uploads; None: they go into the database.

    Raises
    ------
    UploadConflict
        Its bytes do not end at `offset` any more: another request has appended to it.
    """
    kept = data if name is None else None
    values = {"id": upload_id, "offset": offset, "size": len(data), "data": kept, "object": name}
    cursor = await connection.execute(_APPEND, values)
    if not cursor.rowcount:
        raise UploadConflict


async def delete_upload(connection: AsyncConnection[Any], upload_id: UUID, user_id: UserId) -> None:
    """Remove an upload with its bytes; raises NotFound."""
    if not (await connection.execute(_DELETE, (upload_id, user_id))).rowcount:
        raise NotFound("The upload does not exist or has expired.")


async def read_upload(pool: Connections, upload: StagedUpload, store: PartStore | None = None) -> AsyncIterator[bytes]:
    """An upload's bytes, a few parts at a time; no connection is held while they are used.

    Raises
    ------
    StagingUnavailable
        The store that has them does not answer, or is not configured any more.
    """
    offset = 0
    while offset < upload.length:
        async with pool.connection() as connection:
            parts = await (await connection.execute(_READ, (upload.id, offset), binary=True)).fetchall()
        if not parts or parts[0][0] != offset:
            raise NotFound("The upload does not exist or has expired.")
        for part_offset, data, name in parts:
            if name is not None and store is None:
                raise StagingUnavailable
            content = bytes(data) if name is None or store is None else await store.get(name)
            yield content
            offset = part_offset + len(content)
