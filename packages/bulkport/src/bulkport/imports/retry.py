"""Retries the rejected rows of an import, unchanged or corrected, as an import that continues the first."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.database.row_security import Connections
from bulkport.errors import JobNotFound, NotFound, RowsRetried
from bulkport.identifiers import ImportId
from bulkport.imports import queries
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.read import MAX_PAGE_BYTES, MAX_REPORT_PAGE, ReportedRow

_MARK_ROWS: Final = """
    UPDATE bulkport.import_row_errors SET retried_by = %(retried_by)s
    WHERE job_id = %(job_id)s AND row_number <= %(last_row)s AND retried_by IS NULL
"""
_SELECT_RETRIES: Final = """
    SELECT DISTINCT retried_by FROM bulkport.import_row_errors WHERE job_id = %s AND retried_by IS NOT NULL
    ORDER BY 1 DESC LIMIT 1
"""
_MEND_ROW: Final = """
    UPDATE bulkport.import_row_errors SET mended = %(record)s::json
    WHERE job_id = %(job_id)s AND row_number = %(row)s AND retried_by IS NULL
"""
_SELECT_ROW: Final = "SELECT retried_by FROM bulkport.import_row_errors WHERE job_id = %s AND row_number = %s"


# The one that is continued is read too: as the role of requests, which sees one user's imports alone.
_WRITE_LINK: Final = """
    UPDATE bulkport.bulk_import_jobs SET retry_of = first.id
    FROM (SELECT id FROM bulkport.bulk_import_jobs WHERE id = %s) AS first
    WHERE bulk_import_jobs.id = %s
"""


async def write_link(connection: AsyncConnection[Any], job_id: ImportId, accepted: AcceptedImport) -> None:
    """Write that an import continues another one, in the transaction that accepts it.

    Raises
    ------
    JobNotFound
        There is no such import, or none that the connection's role may see.
    """
    if not (await connection.execute(_WRITE_LINK, (job_id, accepted.id))).rowcount:
        raise JobNotFound


class RejectedRows:
    """The rejected rows of an import that were not sent again yet."""

    def __init__(self, pool: Connections, job_id: ImportId) -> None:
        self._pool = pool
        self._job_id = job_id
        self._count = 0
        self._last_row = 0

    async def pages(self) -> AsyncIterator[list[ReportedRow]]:
        """The rows, mended where they were, in row order."""
        while True:
            values = {
                "job_id": self._job_id,
                "after_row": self._last_row,
                "limit": MAX_REPORT_PAGE,
                "max_bytes": MAX_PAGE_BYTES,
            }
            async with self._pool.connection() as connection:
                rows = await (await connection.execute(queries.SELECT_ROWS_TO_RETRY, values)).fetchall()
            if not rows:
                return
            self._count += len(rows)
            self._last_row = rows[-1][0]
            yield [ReportedRow(*row) for row in rows]

    async def mark(self, connection: AsyncConnection[Any], accepted: AcceptedImport) -> None:
        """Write that the rows were sent again, in the transaction that accepts their import.

        Raises
        ------
        RowsRetried
            Some of them were sent again meanwhile.
        """
        values = {"job_id": self._job_id, "retried_by": accepted.id, "last_row": self._last_row}
        if (await connection.execute(_MARK_ROWS, values)).rowcount != self._count:
            raise rows_retried(await newest_retry(connection, self._job_id))


def rows_retried(retry: ImportId | None) -> RowsRetried:
    """The refusal of rows that were sent again, in that import if it is known."""
    if retry is None:
        return RowsRetried()
    return RowsRetried(f"The rejected rows were sent again in import {retry}; retry that one.")


async def newest_retry(connection: AsyncConnection[Any], job_id: ImportId) -> ImportId | None:
    """The newest import that rejected rows of this one were sent again in."""
    row = await (await connection.execute(_SELECT_RETRIES, (job_id,))).fetchone()
    return None if row is None else ImportId(row[0])


async def mend_row(connection: AsyncConnection[Any], job_id: ImportId, row: int, record: Mapping[str, Any]) -> None:
    """Replace a rejected row by a mended record, for the next retry.

    Raises
    ------
    NotFound
        The import has no such rejected row.
    RowsRetried
        It was sent again already.
    """
    values = {"job_id": job_id, "row": row, "record": json.dumps(record)}
    if (await connection.execute(_MEND_ROW, values)).rowcount:
        return
    found = await (await connection.execute(_SELECT_ROW, (job_id, row))).fetchone()
    if found is None:
        raise NotFound(f"Import {job_id} has no rejected row {row}.")
    raise RowsRetried(f"Row {row} was sent again in import {found[0]}; mend it there.")
