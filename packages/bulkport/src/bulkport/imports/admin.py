"""Imports as operators see them: of all users, and down to their chunks.

Every call reads a bounded part of the tables, so that it is as fast with a million imports as with ten.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row

from bulkport.database.tolerant import fetch_tolerantly
from bulkport.errors import JobNotFound
from bulkport.identifiers import ImportId
from bulkport.imports import queries
from bulkport.imports.cancel import CancelEffect, cancel_import
from bulkport.imports.read import CsvHeader, ImportJob, ReportedRow, csv_header, list_row_errors, row_error_pages
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.states import CancellationAsker, ImportStatus
from bulkport.pools import AsyncPool

UNFINISHED: Final = frozenset({ImportStatus.PENDING, ImportStatus.PROCESSING})
MOST_LOOKED_AT: Final = 5_000
"""Number of bad rows, from the first, whose errors are counted by kind."""

_STRETCH: Final = 20_000
"""Ids that one page of a search scans if no index covers its filters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFilter:
    """Which imports are wanted; None: any."""

    statuses: frozenset[ImportStatus] | None = None
    resource: str | None = None
    user_id: str | None = None
    tag: str | None = None
    text: str | None = None
    """A part of the name or of the file's name; or the client's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatedImport(ImportJob):
    """An import with the details that only operators see."""

    total_chunks: int
    last_fault: str | None
    """The error that ended the last attempt, if there has been no progress since."""


@dataclass(frozen=True, slots=True)
class FoundImports:
    """A page of imports, newest first."""

    items: Sequence[OperatedImport]
    before: ImportId | None
    """Where the next page begins; None: there is none. A page may be empty though there are more."""


@dataclass(frozen=True, slots=True)
class ChunkCell:
    """One chunk of an import, or some that follow each other."""

    first_chunk: int
    """Its number, from 0."""
    chunks: int
    done: int
    checked: int
    """Strict handling: checked, and not yet written."""
    running: int
    """Those that a worker is processing."""
    rows: int
    failed_rows: int


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What is wrong with some of the rows."""

    field: str
    """On the wire; empty for an error of the whole row."""
    message: str
    """Without the values that it quotes."""
    rows: int
    first_row: int


@dataclass(frozen=True, slots=True)
class ImportedRows:
    """Rows of the imports that ended in a stretch of time."""

    at: datetime
    """When it begins."""
    imported: int
    rejected: int


class OperatedImports:
    """Reads and cancels imports of all users.

    Parameters
    ----------
    pool:
        Gives the pool of autocommit connections once the application is connected.
    """

    def __init__(self, pool: Callable[[], AsyncPool], resources: Resources) -> None:
        self._pool = pool
        self.resources = resources

    async def find(self, wanted: ImportFilter, *, before: ImportId | None = None, limit: int = 50) -> FoundImports:
        """Some of the wanted imports with an id below `before`."""
        async with self._pool().connection() as connection:
            lowest, highest = await _bounds(connection)
            top = highest + 1 if before is None else min(before, highest + 1)
            has_index = wanted.user_id is not None or (wanted.statuses is not None and wanted.statuses <= UNFINISHED)
            floor = lowest if has_index else max(lowest, top - _STRETCH)
            found = await _select(connection, wanted, top=top, floor=floor, limit=limit + 1)
        if len(found) > limit:
            return FoundImports(found[:limit], ImportId(found[limit - 1].id))
        return FoundImports(found, ImportId(floor) if floor > lowest else None)

    async def get(self, import_id: ImportId) -> OperatedImport:
        """One import.

        Raises
        ------
        JobNotFound
            If there is no such import.
        """
        async with self._pool().connection() as connection:
            found = await _select(connection, ImportFilter(), top=import_id + 1, floor=import_id, limit=1)
        if not found:
            raise JobNotFound
        return found[0]

    async def count_unfinished(self) -> int:
        """How many imports have not settled."""
        async with self._pool().connection() as connection:
            row = await (await connection.execute(queries.COUNT_UNFINISHED)).fetchone()
        assert row is not None
        count: int = row[0]
        return count

    async def tags(self, *, limit: int = 50) -> dict[str, int]:
        """The most frequent tags of the latest imports, and how many of these have each."""
        async with self._pool().connection() as connection:
            cursor = await connection.execute(queries.COUNT_TAGS, {"limit": limit})
            return dict(await cursor.fetchall())

    async def cancel(self, import_id: ImportId) -> CancelEffect:
        """Cancel an import for an operator, as `cancel_import` does."""
        async with self._pool().connection() as connection:
            return await cancel_import(connection, import_id, CancellationAsker.OPERATOR)

    async def chunks(self, job: OperatedImport, *, cells: int) -> list[ChunkCell]:
        """The chunks of an import, put together to at most `cells`."""
        parameters = {"job_id": job.id, "cells": min(cells, job.total_chunks), "total_chunks": job.total_chunks}
        async with self._pool().connection() as connection:
            cursor = await connection.execute(queries.SELECT_CHUNK_CELLS, parameters)
            return [ChunkCell(*row) for row in await cursor.fetchall()]

    async def error_kinds(self, import_id: ImportId, *, most: int) -> list[ErrorKind]:
        """What is wrong with the first `MOST_LOOKED_AT` bad rows, the most frequent first: up to `most` kinds."""
        parameters = {"job_id": import_id, "most_rows": MOST_LOOKED_AT, "most_kinds": most}
        async with self._pool().connection() as connection:
            cursor = await connection.execute(queries.SELECT_ERROR_KINDS, parameters)
            return [ErrorKind(*row) for row in await cursor.fetchall()]

    async def bad_rows(self, import_id: ImportId, *, after_row: int = 0, limit: int) -> list[ReportedRow]:
        """Bad rows in row order, as `list_row_errors` returns them."""
        async with self._pool().connection() as connection:
            return await list_row_errors(connection, import_id, after_row=after_row, limit=limit)

    async def rows_of_kind(
        self, import_id: ImportId, kind: tuple[str, str], *, after_row: int = 0, limit: int
    ) -> tuple[list[ReportedRow], int | None]:
        """Bad rows with an error of one kind (field and message, as `ErrorKind` has them), in row order.

        Returns
        -------
        tuple
            Up to `limit` rows, and the row to continue after if there may be more. A page may be short.
        """
        parameters = {
            "job_id": import_id,
            "field": kind[0],
            "message": kind[1],
            "after_row": after_row,
            "stretch": _STRETCH,
            "limit": limit + 1,
        }
        async with self._pool().connection() as connection:
            found = await (await connection.execute(queries.SELECT_ROWS_OF_KIND, parameters)).fetchall()
        rows = [ReportedRow(*row[:3]) for row in found if row[0] is not None]
        if len(rows) > limit:
            return rows[:limit], rows[limit - 1].row
        return rows, next((row[3] for row in found if row[0] is None), None)

    async def rows_over_time(self, job: OperatedImport, *, step: timedelta) -> dict[int, int]:
        """How many rows of an import were finished in each step from its start on, by number of the step."""
        parameters = {"job_id": job.id, "since": job.started_at, "step": step}
        async with self._pool().connection() as connection:
            return dict(await (await connection.execute(queries.ROWS_OVER_TIME, parameters)).fetchall())

    async def imported_rows(self, since: datetime, *, step: timedelta, origin: datetime) -> list[ImportedRows]:
        """Rows of the imports that ended since then, in steps of time that begin at multiples from `origin` on."""
        parameters = {"since": since, "step": step, "origin": origin}
        async with self._pool().connection() as connection:
            found = await fetch_tolerantly(
                connection.cursor, lambda cursor: cursor.execute(queries.IMPORTED_ROWS, parameters)
            )
        return [ImportedRows(*row) for row in found]

    def all_bad_rows(self, import_id: ImportId) -> AsyncIterator[list[ReportedRow]]:
        """All bad rows, page by page."""
        return row_error_pages(self._pool(), import_id)

    async def csv_header(self, job: OperatedImport, resource: Resource) -> CsvHeader | None:
        """The header row of a CSV import's body; None for other formats."""
        async with self._pool().connection() as connection:
            return await csv_header(connection, ImportId(job.id), resource.wire_names)


async def _bounds(connection: AsyncConnection[Any]) -> tuple[int, int]:
    row = await (await connection.execute(queries.SELECT_ID_BOUNDS)).fetchone()
    assert row is not None
    return (row[0], row[1]) if row[0] is not None else (1, 0)


async def _select(
    connection: AsyncConnection[Any], wanted: ImportFilter, *, top: int, floor: int, limit: int
) -> list[OperatedImport]:
    conditions: list[LiteralString] = ["id < %(top)s AND id >= %(floor)s"]
    if wanted.statuses is not None:
        conditions.append("status = ANY (%(statuses)s)")
        if wanted.statuses <= UNFINISHED:
            conditions.append("completed_at IS NULL")
    if wanted.resource is not None:
        conditions.append("resource = %(resource)s")
    if wanted.user_id is not None:
        conditions.append("user_id = %(user_id)s")
    if wanted.tag is not None:
        conditions.append("tags @> ARRAY[%(tag)s::text]")
    if wanted.text is not None:
        conditions.append("(strpos(lower(concat(name, ' ', file_name)), lower(%(text)s)) > 0 OR client_id = %(text)s)")
    parameters = {
        "tag": wanted.tag,
        "text": wanted.text,
        "top": top,
        "floor": floor,
        "statuses": None if wanted.statuses is None else [status.value for status in wanted.statuses],
        "resource": wanted.resource,
        "user_id": wanted.user_id,
        "limit": limit,
    }
    statement = queries.SELECT_FOUND_JOBS.replace("{conditions}", " AND ".join(conditions))
    return await fetch_tolerantly(
        lambda: connection.cursor(row_factory=class_row(OperatedImport)),
        lambda cursor: cursor.execute(statement, parameters),
    )
