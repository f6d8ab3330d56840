"""Undoing an import: the rows that it created are removed, unless somebody has changed them since.

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
from datetime import UTC, datetime
from typing import Any, Final

from psycopg import AsyncConnection, sql

from bulkport.errors import AlreadyUndone, CannotUndo, NotEnded
from bulkport.identifiers import ImportId
from bulkport.imports.matched import delete_each_statement, id_column, with_ids
from bulkport.imports.matched_write import delete_rows
from bulkport.imports.read import ImportJob, read_jobs
from bulkport.imports.resource import Resource
from bulkport.imports.rows import WritableRows
from bulkport.imports.states import ImportStatus
from bulkport.imports.table import TargetTable, read_table
from bulkport.imports.write import write_by

_PAGE: Final = 20_000

_VIEW: Final = "A view has no rows of its own: what went into its tables cannot be told."

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
_XMINS: Final = """
    SELECT DISTINCT xmin::text FROM bulkport.import_writes WHERE job_id = %(id)s
    UNION SELECT xmin::text FROM bulkport.import_chunks WHERE job_id = %(id)s
      AND NOT EXISTS (SELECT FROM bulkport.import_writes WHERE job_id = %(id)s)
"""
_CREATED: Final = "SELECT id FROM bulkport.import_row_results WHERE job_id = %s AND outcome = 'created'"


async def undo_import(connection: AsyncConnection[Any], job: ImportJob, resource: Resource) -> None:
    """Remove the rows that an import created and nobody has changed since; the import says how many.

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
        raise NotEnded("The import has not ended yet; it can be undone when it has.")
    async with connection.transaction():
        row = await (await connection.execute(_LOCK, (job.id,))).fetchone()
        if row is None or row[0]:
            raise AlreadyUndone
        await _undo(connection, job, resource)


async def require_undoable(connection: AsyncConnection[Any], job: ImportJob, resource: Resource) -> None:
    """Check that the rows of an import can be told from others; raises CannotUndo."""
    table = await read_table(connection, resource)
    if table.facts.kind == "v":
        raise CannotUndo(_VIEW)
    if (job.writing or {}).get("results") != "ids" and (reason := await _why_ids_are_needed(connection, table)):
        raise CannotUndo(reason)


async def roll_back(connection: AsyncConnection[Any], job_id: ImportId, resource: Resource) -> None:
    """Undo an import that is being cancelled, in the transaction that cancels it; what cannot be undone is told."""
    job = (await read_jobs(connection, [job_id]))[job_id]
    try:
        async with connection.transaction():
            await _undo(connection, job, resource)
    except CannotUndo as error:
        kept = {**_outcome(job, 0), "reason": error.detail}
        await connection.execute(_SET, (json.dumps(kept), job.id))


async def _undo(connection: AsyncConnection[Any], job: ImportJob, resource: Resource) -> None:
    table = await read_table(connection, resource)
    if table.facts.kind == "v":
        raise CannotUndo(_VIEW)
    removed = await _remove(connection, table, ImportId(job.id))
    await connection.execute(_SET, (json.dumps(_outcome(job, removed)), job.id))


def _outcome(job: ImportJob, removed: int) -> dict[str, Any]:
    return {
        "removed": removed,
        "kept": job.counts["created"] - removed,
        "notRestored": job.counts["updated"] + job.counts["deleted"],
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


async def _why_ids_are_needed(connection: AsyncConnection[Any], table: TargetTable) -> str | None:
    """Why transaction numbers alone do not tell an import's rows from others; None: they do."""
    if table.facts.has_insert_triggers or table.facts.has_rules:
        return _TRIGGERS
    row = await (await connection.execute(_IS_NUMBERED_AGAIN)).fetchone()
    return _NUMBERED_AGAIN if row is not None and row[0] else None


async def _remove(connection: AsyncConnection[Any], table: TargetTable, job_id: ImportId) -> int:
    xmins = [row[0] for row in await (await connection.execute(_XMINS, {"id": job_id})).fetchall()]
    found = sql.SQL("SELECT {}::text FROM {} AS stored WHERE stored.xmin = ANY(%s::xid[]) ORDER BY 1 DESC").format(
        id_column(table), table.identifier
    )
    ids = [row[0] for row in await (await connection.execute(found, (xmins,))).fetchall()] if xmins else []
    if ids and (reason := await _why_ids_are_needed(connection, table)):
        created = {row[0] for row in await (await connection.execute(_CREATED, (job_id,))).fetchall()}
        if not created:
            raise CannotUndo(reason)
        ids = [id_ for id_ in ids if id_ in created]
    removed = 0
    left = len(ids) + 1
    # Rows that other rows of the import refer to go when those are gone.
    while ids and len(ids) < left:
        left, kept = len(ids), []
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            nothing: list[list[str | None]] = [[None] * len(page) for _ in table.names]
            rows = with_ids(WritableRows(nothing, len(page)), page)
            written = await write_by(connection, table, rows, write=delete_rows, each=delete_each_statement)
            removed += written.tally.deleted
            kept += [page[refusal.position] for refusal in written.refusals]
        ids = kept
    return removed
