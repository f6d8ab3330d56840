"""Parts of uploads that are staged in an object store, in place of PostgreSQL.

The name of an object is written to the database before the object is put, in a transaction of its own. So each object
is known, whatever dies in between, and `collect` removes those that no part names any more.
"""

import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

_logger: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 1000
_WRITE_NAME: Final = "INSERT INTO bulkport.staged_objects (name, upload_id) VALUES (%s, %s)"
# The part of an object that is being put is written soon after, or never.
_SELECT_UNUSED: Final = f"""
    SELECT name FROM bulkport.staged_objects o
    WHERE (
        NOT EXISTS (SELECT FROM bulkport.uploads u WHERE u.id = o.upload_id)
        OR o.created_at < clock_timestamp() - interval '1 hour'
    ) AND NOT EXISTS (SELECT FROM bulkport.upload_parts p WHERE p.upload_id = o.upload_id AND p.object = o.name)
    ORDER BY name LIMIT {_AT_ONCE} FOR UPDATE SKIP LOCKED
"""
_DELETE_NAMES: Final = "DELETE FROM bulkport.staged_objects WHERE name = ANY(%s)"


class PartStore(Protocol):
    """Where parts of uploads are kept outside of the database. Errors are `StagingUnavailable`."""

    async def put(self, name: str, data: bytes) -> None:
        """Store an object."""

    async def get(self, name: str) -> bytes:
        """The bytes of an object."""

    async def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone are passed over."""


async def put_part(
    pool: AsyncConnectionPool[AsyncConnection[Any]], store: PartStore, upload_id: UUID, offset: int, data: bytes
) -> str:
    """Put a part into the store, and return its name there; it counts once `append_part` has written that."""
    name = f"{upload_id}/{offset:015d}-{secrets.token_hex(4)}"
    async with pool.connection() as connection:
        await connection.execute(_WRITE_NAME, (name, upload_id))
    await store.put(name, data)
    return name


async def collect(pool: AsyncConnectionPool[AsyncConnection[Any]], store: PartStore | None) -> None:
    """Remove objects that belong to no upload any more. What fails is tried again by the next call."""
    if store is None:
        return
    try:
        async with pool.connection() as connection, connection.transaction():
            names = [name for (name,) in await (await connection.execute(_SELECT_UNUSED)).fetchall()]
            if names:
                await store.delete(names)
                await connection.execute(_DELETE_NAMES, (names,))
    except Exception:  # the request that cleans up is answered all the same
        _logger.warning("upload objects could not be removed", exc_info=True)
