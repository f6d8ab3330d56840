"""The audit: who did what to which jobs, when, and what came of it (table `background_audit`)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from bulkport.background.storable import storable_text
from bulkport.pools import AsyncPool

_RECORD: Final = "INSERT INTO background_audit (actor, action, target, outcome) VALUES (%s, %s, %s, %s)"

_ENTRIES: Final = """\
SELECT id, at, actor, action, target, outcome
FROM background_audit
WHERE id < %(before)s
ORDER BY id DESC
LIMIT %(limit)s"""

_MAX_BIGINT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that an operator did."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    outcome: str


class AuditLog:
    """The audit in the database.

    Parameters
    ----------
    pool:
        Gives the pool of autocommit connections once the application is connected.
    """

    def __init__(self, pool: Callable[[], AsyncPool]) -> None:
        self._pool = pool

    async def record(self, actor: str, action: str, target: str, outcome: str) -> None:
        """Keep one entry.

        Raises
        ------
        psycopg.Error
            If it cannot be kept.
        """
        values = [storable_text(value) for value in (actor, action, target, outcome)]
        async with self._pool().connection() as connection:
            await connection.execute(_RECORD, values)

    async def entries(self, *, before: int | None = None, limit: int = 50) -> list[AuditEntry]:
        """Entries, newest first.

        Parameters
        ----------
        before:
            Id of the last entry of the page before.
        """
        async with (
            self._pool().connection() as connection,
            connection.cursor(row_factory=class_row(AuditEntry)) as cursor,
        ):
            await cursor.execute(_ENTRIES, {"before": _MAX_BIGINT if before is None else before, "limit": limit})
            return await cursor.fetchall()
