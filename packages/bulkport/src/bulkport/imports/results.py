"""The outcome of each row of an import that requested results."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.database.row_security import Connections
from bulkport.identifiers import ImportId
from bulkport.imports.chunk import DecodedChunk
from bulkport.imports.formats import BodyFormat
from bulkport.imports.worker.attempt import Attempt
from bulkport.imports.worker.hooks import after_chunk
from bulkport.imports.writing.outcomes import Written

_PAGE: Final = 1000

_INSERT: Final = """
    INSERT INTO bulkport.import_row_results (job_id, row_number, outcome, id)
    SELECT %s, row_number, outcome, id FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS r (row_number, outcome, id)
"""

# Bad rows are in the error report.
_SELECT: Final = """
    SELECT row_number, outcome, id FROM (
        (SELECT row_number, outcome, id FROM bulkport.import_row_results
         WHERE job_id = %(job_id)s AND row_number > %(after_row)s ORDER BY row_number LIMIT %(limit)s)
        UNION ALL
        (SELECT row_number, 'failed', NULL FROM bulkport.import_row_errors
         WHERE job_id = %(job_id)s AND row_number > %(after_row)s ORDER BY row_number LIMIT %(limit)s)
    ) AS found ORDER BY row_number LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row."""

    row: int
    outcome: str
    """`created`, `updated`, `unchanged`, `skipped`, `deleted` or `failed`."""
    id: str | None

    def json(self) -> str:
        """As the API shows it."""
        return json.dumps({"row": self.row, "outcome": self.outcome, "id": self.id}, ensure_ascii=False)


async def insert_results(
    connection: AsyncConnection[Any], attempt: Attempt, decoded: DecodedChunk, written: Written
) -> None:
    """Store the outcomes of a chunk's rows and pass them to the application, in the transaction that wrote them."""
    await after_chunk(connection, attempt, written)
    if not attempt.write.results or not written.results:
        return
    numbers = decoded.row_numbers
    rows = [numbers[position] for position, *_ in written.results]
    outcomes = ["skipped" if outcome == "dropped" else outcome for _, outcome, _ in written.results]
    has_id = len(attempt.table.facts.primary_key) == 1 or attempt.table.facts.kind == "v"
    ids = [id_ if has_id else None for *_, id_ in written.results]
    await connection.execute(_INSERT, (attempt.job_id, rows, outcomes, ids))


async def list_results(
    connection: AsyncConnection[Any], job_id: ImportId, *, after_row: int = 0, limit: int = _PAGE
) -> list[RowResult]:
    """Results of rows with a number above `after_row`, in row order; an empty list means that there are no more."""
    parameters = {"job_id": job_id, "after_row": after_row, "limit": limit}
    return [RowResult(*row) for row in await (await connection.execute(_SELECT, parameters)).fetchall()]


async def result_pages(pool: Connections, job_id: ImportId, after_row: int = 0) -> AsyncIterator[Sequence[RowResult]]:
    """All results, page by page. No connection is held while a slow client reads."""
    while True:
        async with pool.connection() as connection:
            page = await list_results(connection, job_id, after_row=after_row)
        if not page:
            return
        yield page
        after_row = page[-1].row


async def result_lines(report_format: BodyFormat, pages: AsyncIterator[Sequence[RowResult]]) -> AsyncIterator[bytes]:
    """All results as NDJSON, or as CSV with the columns `row`, `outcome` and `id`."""
    if report_format is BodyFormat.CSV:
        yield b"row,outcome,id\r\n"
    async for page in pages:
        if report_format is BodyFormat.CSV:
            text = io.StringIO()
            csv.writer(text).writerows((result.row, result.outcome, result.id) for result in page)
            yield text.getvalue().encode()
        else:
            yield "".join(f"{result.json()}\n" for result in page).encode()
