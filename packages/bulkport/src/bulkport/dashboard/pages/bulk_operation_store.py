"""Bulk operations in the database (table `bulkport.bulk_operations`): any request can continue one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import english, joined, t
from bulkport.dashboard.core.page import PageNotFound
from bulkport.dashboard.pages.job_outcomes import outcome_in_words
from bulkport.jobs.port.control import Effect, OrderSummary
from bulkport.jobs.port.query import JobCount
from bulkport.pools import AsyncPool
from bulkport.sanitize import storable_text

MOST_SECONDS_WAITED: Final = 5
"""How long a step waits for jobs that others hold."""

_READ: Final[LiteralString] = """\
SELECT operation.operation_id, operation.list, operation.filter, operation.begun_at, operation.touched_at,
operation.jobs, operation.is_more, operation.cursor, operation.effects, operation.state, audit.actor, audit.action,
audit.target
FROM bulkport.bulk_operations operation JOIN bulkport.audit audit ON audit.id = operation.operation_id
WHERE operation.operation_id = %s"""

_HOLD: Final[LiteralString] = f"{_READ} FOR UPDATE OF operation"

_BEGIN: Final = """\
WITH told AS (
    UPDATE bulkport.audit SET target = %(target)s, outcome = %(outcome)s, led_to = %(led_to)s
    WHERE id = %(operation_id)s
)
INSERT INTO bulkport.bulk_operations (operation_id, list, filter, jobs, is_more)
VALUES (%(operation_id)s, %(list)s, %(filter)s, %(jobs)s, %(is_more)s)"""

_ADVANCE: Final = """\
WITH told AS (UPDATE bulkport.audit SET outcome = %(outcome)s WHERE id = %(operation_id)s)
UPDATE bulkport.bulk_operations
SET cursor = %(cursor)s, effects = %(effects)s, state = %(state)s, touched_at = clock_timestamp()
WHERE operation_id = %(operation_id)s"""

_LIMITS: Final = """\
SELECT set_config('lock_timeout', %(waited)s, true), set_config('statement_timeout', %(taken)s, true)"""


class OperationState(StrEnum):
    """Whether an operation continues."""

    GOING = "going"
    STOPPED = "stopped"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """An operation on all jobs of a list, with its progress."""

    id: int
    """Of its entry in the audit."""
    actor: str
    action: str
    """Its name: `jobs/requeue`."""
    target: str
    """Which jobs, in words."""
    list_name: str
    """As `job_filters.LISTS` has it."""
    filter: str
    """The query of that list's address."""
    begun_at: datetime
    touched_at: datetime
    """Time of its last step."""
    count: JobCount
    """Jobs that matched when it started."""
    cursor: str | None
    """Where its next step begins."""
    summary: OrderSummary
    """Its result so far."""
    state: OperationState

    @property
    def jobs_seen(self) -> int:
        """Jobs that were handled or needed nothing."""
        return sum(self.summary.effects.values())

    @property
    def total(self) -> int:
        """Jobs that matched, as far as known."""
        return max(self.count.jobs, self.jobs_seen)

    @property
    def in_words(self) -> str:
        """The result: `2,000 of 105,000 jobs: 1,999 jobs requeued, 1 already finished.`"""
        outcome = outcome_in_words(self.summary)
        if self.state is OperationState.ENDED:
            return outcome
        total = joined("", (number(self.total), "+" if self.count.is_more else ""))
        so_far = t("{done} of {total} jobs", done=number(self.jobs_seen), total=total)
        so_far = joined("", (so_far, ": ", outcome) if self.jobs_seen else (so_far, "."))
        return so_far if self.state is OperationState.GOING else t("Stopped. {progress}", progress=so_far)


class BulkOperationStore:
    """Stores bulk operations.

    Parameters
    ----------
    pool:
        Gives the pool of autocommit connections once the application is connected; of the database of the jobs.
    """

    def __init__(self, pool: Callable[[], AsyncPool]) -> None:
        self._pool = pool

    async def begin(self, entry_id: int, name: str, fields: str, target: str, count: JobCount) -> BulkOperation:
        """Store that an operation starts, and record it in its entry of the audit.

        Parameters
        ----------
        entry_id:
            The entry.
        name, fields:
            The list, and the query of its address.
        """
        values = {
            "operation_id": entry_id,
            "list": name,
            "filter": storable_text(fields),
            "jobs": count.jobs,
            "is_more": count.is_more,
            "target": storable_text(english(target)),
            "outcome": "Not started yet.",
            "led_to": f"bulk-operations/{entry_id}",
        }
        async with self._pool().connection() as connection:
            await connection.execute(_BEGIN, values)
            stored = await _fetch(connection, _READ, entry_id)
        assert stored is not None
        return stored

    async def get(self, operation_id: int) -> BulkOperation | None:
        """An operation; None if there is none of this number."""
        async with self._pool().connection() as connection:
            return await _fetch(connection, _READ, operation_id)

    @asynccontextmanager
    async def held(self, operation_id: int) -> AsyncIterator[tuple[AsyncConnection[Any], BulkOperation]]:
        """A time-limited transaction that locks the operation, and the operation's current state."""
        async with self._pool().connection() as connection, connection.transaction():
            milliseconds = 1000 * MOST_SECONDS_WAITED
            await connection.execute(_LIMITS, {"waited": str(milliseconds), "taken": str(2 * milliseconds)})
            operation = await _fetch(connection, _HOLD, operation_id)
            if operation is None:
                raise PageNotFound(t("Bulk operation {number} not found.", number=operation_id))
            yield connection, operation

    async def advance(self, connection: AsyncConnection[Any], operation: BulkOperation) -> None:
        """Store the progress of an operation, also in the audit, in the transaction that holds it."""
        effects = {effect.value: count for effect, count in operation.summary.effects.items()}
        values = {
            "operation_id": operation.id,
            "cursor": operation.cursor,
            "effects": Jsonb(effects),
            "state": operation.state.value,
            "outcome": english(operation.in_words),
        }
        await connection.execute(_ADVANCE, values)


async def _fetch(connection: AsyncConnection[Any], query: LiteralString, operation_id: int) -> BulkOperation | None:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, [operation_id])
        row = await cursor.fetchone()
    return None if row is None else _operation(row)


def _operation(row: DictRow) -> BulkOperation:
    return BulkOperation(
        id=row["operation_id"],
        actor=row["actor"],
        action=row["action"],
        target=row["target"],
        list_name=row["list"],
        filter=row["filter"],
        begun_at=row["begun_at"],
        touched_at=row["touched_at"],
        count=JobCount(row["jobs"], is_more=row["is_more"]),
        cursor=row["cursor"],
        summary=OrderSummary(_effects(row["effects"])),
        state=OperationState(row["state"]),
    )


def _effects(stored: object) -> dict[Effect, int]:
    """What is stored of an operation's result; another version may have known other effects."""
    known = {effect.value: effect for effect in Effect}
    found = stored.items() if isinstance(stored, dict) else ()
    return {known[name]: jobs for name, jobs in found if name in known and isinstance(jobs, int)}
