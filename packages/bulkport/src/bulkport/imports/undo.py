"""Undoes an import: removes the rows that it created, unless somebody has changed them since; where the resource
says `undo="full"`, those that it changed or deleted come back (`restore`).

PostgreSQL keeps in every row the number of the transaction that wrote it (`xmin`). Created rows share it with a mark
that is written beside them (`import_writes`), or with the chunk's own row where one statement wrote both; so finding
them costs nothing on the way in. A row that was changed has another number. Freezing keeps the number (since PostgreSQL
9.4), and so does VACUUM FULL. A restored dump has new numbers: then nothing is found, and nothing removed.

A trigger may have changed other rows in the same transaction, which then have the same number. And numbers have 32
bits: after four thousand million transactions of the database cluster they come again, and a row may have the number of
one that was written years before. Where a table has triggers on INSERT, or the cluster has had that many
transactions, only rows whose ids were kept (`?results=ids`) are removed.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from bulkport.errors import AlreadyUndone, CannotUndo, JobNotFound, NotEnded
from bulkport.identifiers import ImportId
from bulkport.imports.dependents import others_refer
from bulkport.imports.read import ImportJob, read_jobs
from bulkport.imports.resource import Resource
from bulkport.imports.restore import DELETE_OLD_ROWS, Restore, bring_back, give_old_values, insert_again, plan_restore
from bulkport.imports.states import ImportStatus
from bulkport.imports.writing.matched import delete_statement, id_column, id_type, with_ids
from bulkport.imports.writing.outcomes import Tally
from bulkport.imports.writing.placeholders import escaped
from bulkport.imports.writing.rejections import is_row_refusal
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.table import TargetTable, read_table
from bulkport.imports.writing.write import write_by

_PAGE: Final = 20_000
_MAX_REASONS: Final = 20
NOT_KEPT: Final = "no old values were stored"
REFERRED: Final = "rows that others have added since refer to it"
CHANGED_OR_GONE: Final = "changed or deleted since the import"

_DRY_RUN: Final = "A dry run stores nothing, so there is nothing to undo."
_VIEW: Final = "The rows of a view cannot be identified, so imports into it cannot be undone."

_TRIGGERS: Final = (
    "The table has triggers, and the ids of the import's rows were not kept: send imports with ?results=ids."
)
_NUMBERED_AGAIN: Final = (
    "The database has numbered its transactions more than once, so older rows may look like the import's, whose ids "
    "were not kept: send imports with ?results=ids."
)
# The full number has the epoch in its upper half (PostgreSQL manual, "Transaction ID and Snapshot Information").
_IS_NUMBERED_AGAIN: Final = "SELECT pg_current_xact_id()::text::numeric >= 4294967296"

_LOCK: Final = "SELECT undone IS NOT NULL FROM bulkport.bulk_import_jobs WHERE id = %s FOR UPDATE"
_SET: Final = "UPDATE bulkport.bulk_import_jobs SET undone = %s::jsonb WHERE id = %s"
# A dump that was restored in one transaction has given all rows one number, that of Bulkport's list of migrations, too.
_XMINS: Final = """
    SELECT xmin::text FROM (
        SELECT xmin FROM bulkport.import_writes WHERE job_id = %(id)s
        UNION SELECT xmin FROM bulkport.import_chunks WHERE job_id = %(id)s
          AND NOT EXISTS (SELECT FROM bulkport.import_writes WHERE job_id = %(id)s)
    ) AS writers WHERE xmin NOT IN (SELECT xmin FROM bulkport.migrations)
"""
_CREATED: Final = "SELECT id FROM bulkport.import_row_results WHERE job_id = %s AND outcome = 'created'"


async def undo_import(connection: AsyncConnection[Any], job: ImportJob, resource: Resource) -> None:
    """Undo the changes of an import that nobody has changed since; the import records how many rows.

    Raises
    ------
    NotEnded
        If the import is still going on.
    AlreadyUndone
        If it was undone before.
    CannotUndo
        If the table's triggers make created rows uncertain, and no ids were kept.
    """
    if not ImportStatus(job.status).is_final:
        raise NotEnded("The import has not finished; it can be undone once it has.")
    if (job.writing or {}).get("dryRun"):
        raise CannotUndo(_DRY_RUN)
    async with connection.transaction():
        if await lock_import(connection, ImportId(job.id)):
            raise AlreadyUndone
        await _undo(connection, job, resource)


async def lock_import(connection: AsyncConnection[Any], job_id: ImportId) -> bool:
    """Let nobody else change an import until the connection's transaction ends; returns whether it was undone.

    Raises
    ------
    JobNotFound
        There is no such import, or none that the connection's role may see.
    """
    row = await (await connection.execute(_LOCK, (job_id,))).fetchone()
    if row is None:
        raise JobNotFound
    return bool(row[0])


async def require_undoable(connection: AsyncConnection[Any], job: ImportJob, resource: Resource) -> None:
    """Check that the rows of an import can be identified; raises CannotUndo."""
    table = await read_table(connection, resource)
    if table.facts.kind == "v":
        raise CannotUndo(_VIEW)
    if (job.writing or {}).get("results") != "ids" and (reason := await _why_ids_are_needed(connection, table)):
        raise CannotUndo(reason)


async def roll_back(connection: AsyncConnection[Any], job_id: ImportId, resource: Resource) -> None:
    """Undo an import in the transaction that cancels it; report what cannot be undone."""
    job = (await read_jobs(connection, [job_id]))[job_id]
    try:
        async with connection.transaction():
            await _undo(connection, job, resource)
    except CannotUndo as error:
        kept = _outcome(job, 0, 0, None, Counter()) | {"reason": error.detail}
        await connection.execute(_SET, (json.dumps(kept), job.id))


async def _undo(connection: AsyncConnection[Any], job: ImportJob, resource: Resource) -> None:
    table = await read_table(connection, resource)
    if table.facts.kind == "v":
        raise CannotUndo(_VIEW)
    undo = _Undo(connection, table, ImportId(job.id))
    await undo.run()
    await connection.execute(DELETE_OLD_ROWS, (job.id,))
    told = _outcome(job, undo.removed, undo.restored, undo.not_restored, undo.reasons)
    await connection.execute(_SET, (json.dumps(told), job.id))


def _outcome(
    job: ImportJob, removed: int, restored: int, not_restored: int | None, reasons: Counter[str]
) -> dict[str, Any]:
    kept = max(0, job.counts["created"] - removed)
    if not_restored is None:
        not_restored = job.counts["updated"] + job.counts["deleted"]
        if not_restored:
            reasons = reasons + Counter({NOT_KEPT: not_restored})
    if (unknown := kept + not_restored - reasons.total()) > 0:
        reasons = reasons + Counter({CHANGED_OR_GONE: unknown})
    return {
        "removed": removed,
        "restored": restored,
        "kept": kept,
        "notRestored": not_restored,
        "reasons": [{"reason": reason, "rows": rows} for reason, rows in reasons.most_common(_MAX_REASONS)],
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


async def _why_ids_are_needed(connection: AsyncConnection[Any], table: TargetTable) -> str | None:
    """Why transaction numbers alone do not identify an import's rows; None: they do."""
    if table.facts.has_insert_triggers or table.facts.has_rules:
        return _TRIGGERS
    row = await (await connection.execute(_IS_NUMBERED_AGAIN)).fetchone()
    return _NUMBERED_AGAIN if row is not None and row[0] else None


class _Undo:
    """Takes an import's rows back, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection[Any], table: TargetTable, job_id: ImportId) -> None:
        self._connection = connection
        self._table = table
        self._job_id = job_id
        self.removed = 0
        self.restored = 0
        self.not_restored: int | None = None
        """Changed or deleted rows that stay as they are; None if no old rows were recorded."""
        self._is_own: sql.Composable = sql.SQL("false")
        self.reasons: Counter[str] = Counter()
        """Why rows stay, if known."""

    async def run(self) -> None:
        """Remove created rows; restore changed and deleted ones."""
        xmins = [row[0] for row in await (await self._connection.execute(_XMINS, {"id": self._job_id})).fetchall()]
        plan = await plan_restore(self._connection, self._table, self._job_id, xmins)
        writers = [*xmins, *plan.writers]
        self._is_own = sql.SQL("stored.xmin = ANY({}::xid[])").format(writers)
        if (referred := await others_refer(self._connection, self._table, writers)) is not None:
            await self._count_referred(referred)
            self._is_own = sql.SQL("{} AND NOT {}").format(self._is_own, referred)
        if plan.is_empty and await self._remove_at_once(xmins):
            return
        created = await self._created(xmins, plan.created)
        changed, deleted = plan.changed, plan.deleted
        refused: dict[str, str] = {}
        while True:
            left = len(created) + len(changed) + len(deleted)
            refused.clear()
            created = await self._remove(created, refused)
            changed = await self._bring_back(changed, give_old_values, refused)
            deleted = await self._bring_back(deleted, insert_again, refused)
            # Rows that others reference, or whose key others hold, follow once those are gone.
            if len(created) + len(changed) + len(deleted) in (0, left):
                break
        self.reasons += plan.reasons + Counter(refused.values())
        if not plan.is_empty:
            self.not_restored = plan.reasons.total() + len(plan.changed) + len(plan.deleted) - self.restored

    async def _count_referred(self, referred: sql.Composable) -> None:
        statement = sql.SQL("SELECT count(*) FROM {} AS stored WHERE {} AND {}").format(
            self._table.identifier, self._is_own, referred
        )
        row = await (await self._connection.execute(escaped(statement, self._connection), ())).fetchone()
        if row is not None and row[0]:
            self.reasons[REFERRED] += row[0]

    async def _remove_at_once(self, xmins: Sequence[str]) -> bool:
        """Remove all created rows by one statement, as fast as any DELETE.

        Returns
        -------
        Whether that was possible; nothing has happened where ids are needed, or some row is not let go.
        """
        if not xmins or await _why_ids_are_needed(self._connection, self._table):
            return False
        statement = sql.SQL("DELETE FROM {} AS stored WHERE {}").format(self._table.identifier, self._is_own)
        try:
            async with self._connection.transaction():
                cursor = await self._connection.execute(escaped(statement, self._connection), ())
        except psycopg.Error as error:
            if not is_row_refusal(error, self._table):
                raise
            return False
        self.removed = cursor.rowcount
        return True

    async def _created(self, xmins: list[str], also: Sequence[str]) -> list[str]:
        """Ids of the rows that the import created and nobody else has changed."""
        found = sql.SQL("SELECT {}::text FROM {} AS stored WHERE stored.xmin = ANY(%s::xid[]) ORDER BY 1 DESC").format(
            id_column(self._table), self._table.identifier
        )
        rows = await (await self._connection.execute(escaped(found), (xmins,))).fetchall() if xmins else []
        ids = [*also, *(row[0] for row in rows)]
        if ids and (reason := await _why_ids_are_needed(self._connection, self._table)):
            cursor = await self._connection.execute(_CREATED, (self._job_id,))
            created = {row[0] for row in await cursor.fetchall()}
            if not created:
                raise CannotUndo(reason)
            ids = [id_ for id_ in ids if id_ in created]
        return ids

    async def _remove(self, ids: Sequence[str], refused: dict[str, str]) -> list[str]:
        """Remove created rows; returns the ids of those that the database does not let go."""
        kept: list[str] = []
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            nothing: list[list[str | None]] = [[None] * len(page) for _ in self._table.names]
            rows = with_ids(WritableRows(nothing, len(page)), page)
            written = await write_by(self._connection, self._table, rows, write=self._delete, each=self._delete_each)
            self.removed += written.tally.deleted
            for refusal in written.refusals:
                kept.append(page[refusal.position])
                refused[f"created {page[refusal.position]}"] = refusal.message
        return kept

    async def _delete(self, connection: AsyncConnection[Any], table: TargetTable, rows: WritableRows) -> Tally:
        # Whoever changes a row meanwhile is waited for, and the row then is not the import's any more.
        statement = sql.SQL("{} AND {}").format(delete_statement(table), self._is_own)
        cursor = await connection.execute(escaped(statement, connection), rows.arrays)
        return Tally(deleted=cursor.rowcount, dropped=rows.size - cursor.rowcount)

    def _delete_each(self, table: TargetTable, _: WritableRows) -> tuple[sql.Composable, str]:
        own = sql.SQL(f"$1[{len(table.names) + 1}]")
        return sql.SQL("DELETE FROM {} AS stored WHERE {} = {}::{} AND {} RETURNING 'deleted', NULL::text").format(
            table.identifier, id_column(table), own, id_type(table), self._is_own
        ), "dropped"

    async def _bring_back(self, entries: Sequence[str], write: Restore, refused: dict[str, str]) -> list[str]:
        """Bring rows back; returns those that the database does not take."""
        kept: list[str] = []
        for start in range(0, len(entries), _PAGE):
            page = entries[start : start + _PAGE]
            restored, faults = await bring_back(self._connection, self._table, page, write)
            self.restored += restored
            kept += faults
            refused |= faults
        return kept
