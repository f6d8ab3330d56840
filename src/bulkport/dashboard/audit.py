"""The audit: who did what to which jobs, when, and what came of it (table `background_audit`)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
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
  AND (%(actor)s::text IS NULL OR actor = %(actor)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(target)s::text IS NULL OR strpos(lower(target), lower(%(target)s)) > 0)
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


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None: any."""

    actor: str | None = None
    action: str | None = None
    """Its name: `jobs/requeue`."""
    target: str | None = None
    """A part of it, in any case."""


EVERYTHING: Final = AuditFilter()


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

    async def entries(
        self, wanted: AuditFilter = EVERYTHING, *, before: int | None = None, limit: int = 50
    ) -> list[AuditEntry]:
        """Entries, newest first.

        Parameters
        ----------
        before:
            Id of the last entry of the page before.
        """
        texts = {name: text and storable_text(text) for name, text in asdict(wanted).items()}
        async with (
            self._pool().connection() as connection,
            connection.cursor(row_factory=class_row(AuditEntry)) as cursor,
        ):
            await cursor.execute(
                _ENTRIES, {**texts, "before": _MAX_BIGINT if before is None else before, "limit": limit}
            )
            return await cursor.fetchall()
