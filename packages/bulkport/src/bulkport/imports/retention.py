"""Retention of finished imports, and the pruner that removes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import psycopg
import psycopg_pool

from bulkport.imports import retention_queries as queries
from bulkport.logs import get_logger
from bulkport.pools import AsyncPool
from bulkport.task_scope import background_task

_INTERVAL_SECONDS: Final = 300.0
_BATCH_IMPORTS: Final = 100
_BATCH_ROWS: Final = 5_000

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ImportRetention:
    """Retention of imports.

    Raises
    ------
    ValueError
        A time is negative.
    """

    ended: timedelta | None = timedelta(days=90)
    """From its end on an import, its chunks and the report of its bad rows are kept for so long; None: for good. The
    rows that it wrote stay."""

    def __post_init__(self) -> None:
        if self.ended is not None and self.ended < timedelta(0):
            raise ValueError("the retention of imports cannot be negative")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one batch removed."""

    imports: int
    rows: int
    """Bad rows of reports, and chunks."""
    is_more: bool


class ImportPruner:
    """Removes old imports in batches, each a short transaction. Any number of them may work side by side."""

    def __init__(self, pool: AsyncPool, retention: ImportRetention) -> None:
        self._pool = pool
        self._retention = retention

    @asynccontextmanager
    async def running(self, interval_seconds: float = _INTERVAL_SECONDS) -> AsyncIterator[None]:
        """Prune every `interval_seconds` for as long as the context lasts."""
        if self._retention.ended is None:
            yield
            return
        async with background_task(self._run(interval_seconds), "import pruner"):
            yield

    async def prune(self) -> Pruned:
        """Remove one batch: at most 100 imports and 5,000 of their bad rows, old rows and chunks each."""
        limits = {"imports": _BATCH_IMPORTS, "rows": _BATCH_ROWS}
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(queries.LOCK_OLD_IMPORTS, {"age": self._retention.ended, **limits})
            ids = [import_id for (import_id,) in await cursor.fetchall()]
            if not ids:
                return Pruned(0, 0, is_more=False)
            old, rows = {"ids": ids, **limits}, 0
            for statement in (queries.DELETE_ROW_ERRORS, queries.DELETE_OLD_ROWS, queries.DELETE_CHUNKS):
                deleted = (await connection.execute(statement, old)).rowcount
                rows += deleted
                if deleted == _BATCH_ROWS:
                    return Pruned(0, rows, is_more=True)
            await connection.execute(queries.DELETE_IMPORTS, old)
        return Pruned(len(ids), rows, is_more=len(ids) == _BATCH_IMPORTS)

    async def _run(self, interval_seconds: float) -> None:
        while True:
            imports = 0
            try:
                while (pruned := await self.prune()).is_more:
                    imports += pruned.imports
                    # Others come first.
                    await asyncio.sleep(0.1)
                imports += pruned.imports
            except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
                _log.warning("old imports could not be removed", error=str(error).strip())
            if imports:
                _log.info("old imports removed", imports=imports)
            await asyncio.sleep(interval_seconds)
