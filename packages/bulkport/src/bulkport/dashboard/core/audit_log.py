"""The audit log: who did what to which jobs, when, and with what result (table `bulkport.audit`)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from bulkport.dashboard.core.action import Begun, Outcome
from bulkport.database.tolerant import fetch_tolerantly
from bulkport.pools import AsyncPool
from bulkport.sanitize import storable_text

_BEGIN: Final = """\
INSERT INTO bulkport.audit (actor, action, target, form) VALUES (%s, %s, %s, %s)
ON CONFLICT (form) WHERE form IS NOT NULL DO NOTHING
RETURNING id"""

_NOTE: Final = "INSERT INTO bulkport.audit (actor, action, target, outcome) VALUES (%s, %s, %s, %s) RETURNING id"

_BEGUN_BEFORE: Final = "SELECT id FROM bulkport.audit WHERE form = %s"

_SETTLE: Final = "UPDATE bulkport.audit SET target = %s, outcome = %s, led_to = COALESCE(%s, led_to) WHERE id = %s"

_BREAK_OFF: Final = "UPDATE bulkport.audit SET outcome = concat_ws('; ', outcome, %s::text) WHERE id = %s"

_OUTCOME: Final = "SELECT outcome AS text, led_to FROM bulkport.audit WHERE id = %s"

_ENTRIES: Final = """\
SELECT id, at, actor, action, target, outcome, led_to
FROM bulkport.audit
WHERE id < %(before)s
  AND (%(actor)s::text IS NULL OR actor = %(actor)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(target)s::text IS NULL OR strpos(lower(target), lower(%(target)s)) > 0)
ORDER BY id DESC
LIMIT %(limit)s"""

# Entries are as old as their ids are low, so the first ones show whether there is anything to remove.
_PRUNE: Final = """\
DELETE FROM bulkport.audit WHERE id IN (
    SELECT id FROM (SELECT id, at FROM bulkport.audit ORDER BY id LIMIT %(entries)s) oldest
    WHERE at < clock_timestamp() - %(age)s::interval
)"""

# The operation goes, its entry in the audit stays.
_PRUNE_OPERATIONS: Final = """\
DELETE FROM bulkport.bulk_operations WHERE operation_id IN (
    SELECT operation_id FROM (
        SELECT operation_id, touched_at FROM bulkport.bulk_operations ORDER BY operation_id LIMIT %(entries)s
    ) oldest
    WHERE touched_at < clock_timestamp() - %(age)s::interval
)"""

_PRUNE_EVERY: Final = 50
"""New entries from one pruning to the next."""
_MOST_PRUNED: Final = 1_000

_MAX_BIGINT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that an operator did."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    outcome: str | None
    """None: it is under way, or was broken off by the end of its server."""
    led_to: str | None
    """The page with details, relative to the dashboard."""


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
    keep:
        Retention of entries; None for ever. New entries remove the oldest ones, some hundred at a time.
    keep_operations:
        Retention of the detailed results of bulk operations.
    """

    def __init__(
        self,
        pool: Callable[[], AsyncPool],
        *,
        keep: timedelta | None = timedelta(days=365),
        keep_operations: timedelta | None = timedelta(days=30),
    ) -> None:
        self._pool = pool
        self._ages = {_PRUNE: keep, _PRUNE_OPERATIONS: keep_operations}

    async def begin(self, actor: str, action: str, target: str, form: str) -> Begun:
        """See `Audit.begin`.

        Raises
        ------
        psycopg.Error
            If it cannot be kept.
        """
        values = [storable_text(value) for value in (actor, action, target, form)]
        async with self._pool().connection() as connection, connection.cursor(row_factory=scalar_row) as cursor:
            entry_id = await (await cursor.execute(_BEGIN, values)).fetchone()
            if entry_id is not None:
                if entry_id % _PRUNE_EVERY == 0:
                    await self._prune(connection)
                return Begun(entry_id, is_new=True)
            known = await (await cursor.execute(_BEGUN_BEFORE, [form])).fetchone()
            assert known is not None
            return Begun(known, is_new=False)

    async def note(self, actor: str, action: str, target: str, outcome: str) -> None:
        """Record what has been done already.

        Raises
        ------
        psycopg.Error
            If it cannot be kept.
        """
        values = [storable_text(value) for value in (actor, action, target, outcome)]
        async with self._pool().connection() as connection, connection.cursor(row_factory=scalar_row) as cursor:
            entry_id = await (await cursor.execute(_NOTE, values)).fetchone()
            if entry_id is not None and entry_id % _PRUNE_EVERY == 0:
                await self._prune(connection)

    async def settle(self, entry_id: int, target: str, outcome: Outcome) -> None:
        """See `Audit.settle`."""
        values = [text and storable_text(text) for text in (target, outcome.text, outcome.led_to)]
        async with self._pool().connection() as connection:
            await connection.execute(_SETTLE, [*values, entry_id])

    async def break_off(self, entry_id: int, why: str) -> None:
        """See `Audit.break_off`."""
        async with self._pool().connection() as connection:
            await connection.execute(_BREAK_OFF, [why, entry_id])

    async def outcome(self, entry_id: int) -> Outcome:
        """See `Audit.outcome`."""
        async with self._pool().connection() as connection, connection.cursor(row_factory=class_row(Outcome)) as cursor:
            found = await (await cursor.execute(_OUTCOME, [entry_id])).fetchone()
        return found or Outcome(None)

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
        values = {**texts, "before": _MAX_BIGINT if before is None else before, "limit": limit}
        async with self._pool().connection() as connection:
            return await fetch_tolerantly(
                lambda: connection.cursor(row_factory=class_row(AuditEntry)),
                lambda cursor: cursor.execute(_ENTRIES, values),
            )

    async def _prune(self, connection: AsyncConnection[Any]) -> None:
        for statement, age in self._ages.items():
            if age is not None:
                await connection.execute(statement, {"age": age, "entries": _MOST_PRUNED})
