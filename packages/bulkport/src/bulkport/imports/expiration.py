"""Removes expired data of clients: staged uploads, and stored responses of idempotent requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
import psycopg_pool

from bulkport.imports.body.part_store import PartStore, collect
from bulkport.imports.idempotency import PRUNE as DELETE_KEYS
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool
from bulkport.task_scope import background_task

_INTERVAL_SECONDS: Final = 300.0
_BATCH_PARTS: Final = 200
"""100 MiB of them, in the database."""
_BATCH_ROWS: Final = 5_000

_log = get_logger(__name__)

# An expired upload is no longer visible, but an import that began in time may still be reading it.
_EXPIRED: Final = "expires_at < clock_timestamp() - interval '1 hour'"
_DELETE_PARTS: Final = f"""
    DELETE FROM bulkport.upload_parts WHERE (upload_id, part_offset) IN (
        SELECT p.upload_id, p.part_offset FROM bulkport.upload_parts p JOIN bulkport.uploads u ON u.id = p.upload_id
        WHERE u.{_EXPIRED} LIMIT %(parts)s FOR UPDATE OF p SKIP LOCKED
    )
"""
_DELETE_UPLOADS: Final = f"""
    DELETE FROM bulkport.uploads WHERE id IN (
        SELECT id FROM bulkport.uploads u WHERE {_EXPIRED}
          AND NOT EXISTS (SELECT FROM bulkport.upload_parts p WHERE p.upload_id = u.id)
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one batch removed."""

    uploads: int
    keys: int
    is_more: bool


class ExpirationPruner:
    """Removes expired data in batches, each a short transaction. Several processes may run it concurrently.

    Parameters
    ----------
    idempotency_seconds:
        How long the answer to a request with an `Idempotency-Key` is kept.
    store:
        Where the bytes of uploads wait, if not in the database.
    """

    def __init__(self, pool: AsyncPool, *, idempotency_seconds: float, store: PartStore | None = None) -> None:
        self._pool = pool
        self._limits = {"retention_seconds": idempotency_seconds, "limit": _BATCH_ROWS, "parts": _BATCH_PARTS}
        self._store = store

    @asynccontextmanager
    async def running(self, interval_seconds: float = _INTERVAL_SECONDS) -> AsyncIterator[None]:
        """Prune every `interval_seconds` for as long as the context lasts."""
        async with background_task(self._run(interval_seconds), "expiration pruner"):
            yield

    async def prune(self) -> Removed:
        """Remove one batch: at most 200 parts of uploads, 5,000 uploads and 5,000 keys."""
        async with self._pool.connection() as connection:
            parts = (await connection.execute(_DELETE_PARTS, self._limits)).rowcount
            uploads = (await connection.execute(_DELETE_UPLOADS, self._limits)).rowcount
            keys = (await connection.execute(DELETE_KEYS, self._limits)).rowcount
        await collect(self._pool, self._store)
        return Removed(uploads, keys, is_more=parts == _BATCH_PARTS or _BATCH_ROWS in {uploads, keys})

    async def _run(self, interval_seconds: float) -> None:
        while True:
            try:
                removed = await self.prune()
            except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
                _log.warning("expired uploads and keys could not be removed", error=str(error).strip())
                removed = Removed(0, 0, is_more=False)
            # Where there is more, others come first.
            await asyncio.sleep(0.1 if removed.is_more else interval_seconds)
