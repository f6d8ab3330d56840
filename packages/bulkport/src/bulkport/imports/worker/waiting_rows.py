"""Rows that waited for other rows of their file, written when all chunks have been.

A row whose parent stands in a later chunk waits until every chunk is done. Then the waiting rows are tried chunk by
chunk, forwards and backwards in turn, until a pass writes no more of them; what is left are rows whose parent is
nowhere, or that refer to each other in a circle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

from psycopg import AsyncConnection

from bulkport.imports import process_queries as queries
from bulkport.imports.chunk import DecodedChunk, decode_chunk, insert_row_errors, own_names_of
from bulkport.imports.results import insert_results
from bulkport.imports.validation import RowError
from bulkport.imports.worker.attempt import Attempt, Chunk
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.outcomes import Tally
from bulkport.imports.writing.rows import WritableRows
from bulkport.imports.writing.self_references import ChosenIds, choose_ids, refers_to_itself
from bulkport.imports.writing.write import write_rows

_MOST_TOGETHER: Final = 250_000
"""Rows of several chunks that are looked at together: for circles, and for rows that each follow on another."""
_PASSES: Final = 6
"""Over the chunks, before rows that still wait are looked at together: enough for trees of any width."""


@dataclass(slots=True)
class _Waiting:
    """The waiting rows of one chunk and their outcomes."""

    rows: set[int]
    """Row numbers."""
    tally: Tally = field(default_factory=Tally)
    errors: list[RowError] = field(default_factory=list)
    lacking: list[RowError] = field(default_factory=list)
    """The errors of the rows that still wait, in case they never get written."""
    decoded: DecodedChunk | None = None


class WaitingRows:
    """Writes the waiting rows of an import, inside the caller's transaction."""

    def __init__(self, attempt: Attempt, rows: Mapping[int, set[int]]) -> None:
        self._attempt = attempt
        self._chunks = {number: _Waiting(set(waiting)) for number, waiting in sorted(rows.items()) if waiting}

    async def write(self, connection: AsyncConnection[Any]) -> None:
        """Write every row whose parent is stored by now."""
        numbers = list(self._chunks)
        passes = count()
        has_progressed = True
        while has_progressed and (waiting := sum(len(chunk.rows) for chunk in self._chunks.values())):
            if next(passes) >= _PASSES and waiting <= _MOST_TOGETHER:
                break
            has_progressed = False
            for number in numbers:
                if self._chunks[number].rows:
                    has_progressed |= await self._write_chunk(connection, number)
            numbers.reverse()
        await self._choose_ids(connection)
        await self._write_circles(connection)
        for chunk in self._chunks.values():
            chunk.errors += chunk.lacking

    def outcomes(self) -> dict[int, tuple[Tally, list[RowError]]]:
        """Tally and bad rows of each chunk."""
        return {number: (chunk.tally, chunk.errors) for number, chunk in self._chunks.items()}

    async def _write_chunk(self, connection: AsyncConnection[Any], number: int) -> bool:
        attempt, waiting = self._attempt, self._chunks[number]
        decoded = await decode_chunk(connection, attempt, await self._chunk(connection, number), only=waiting.rows)
        written = await write_rows(connection, decoded.table, decoded.rows)
        await insert_results(connection, attempt, decoded, written)
        errors, waits = decoded.errors_of(attempt, written.refusals)
        waiting.tally.add(written.tally)
        waiting.errors += errors
        waiting.lacking = waits
        waiting.decoded = decoded
        left = {error.row for error in waits}
        has_progressed = len(left) < len(waiting.rows)
        waiting.rows = left
        return has_progressed

    async def _choose_ids(self, connection: AsyncConnection[Any]) -> None:
        """Choose ids for rows that name each other in a circle over several chunks, and decode them with these."""
        attempt = self._attempt
        references = [
            reference
            for reference in attempt.resource.references
            if reference.lookup_field and refers_to_itself(attempt.resource, reference)
        ]
        numbers = [number for number, chunk in self._chunks.items() if chunk.rows]
        size = sum(len(self._chunks[number].rows) for number in numbers)
        if not references or len(numbers) < 2 or size > _MOST_TOGETHER:
            return
        ids = await choose_ids(connection, attempt.table, references[0], size)
        if ids is None:
            return
        rows = [row for number in numbers for row in sorted(self._chunks[number].rows)]
        chosen = ChosenIds(by_row=dict(zip(rows, ids, strict=True)))
        last_wins = attempt.resource.default_mode is WriteMode.UPSERT
        for number in numbers:
            chunk = await self._chunk(connection, number)
            for reference in references:
                names = (await own_names_of(attempt, chunk, reference)).items()
                known = chosen.by_name.setdefault(reference.field, {})
                for row, name in names:
                    # As in a chunk: the last one stays under UPDATE, and else the first.
                    if row in chosen.by_row and (name not in known or last_wins):
                        known[name] = chosen.by_row[row]
        for number in numbers:
            waiting = self._chunks[number]
            waiting.decoded = await decode_chunk(
                connection, attempt, await self._chunk(connection, number), only=waiting.rows, chosen=chosen
            )

    async def _chunk(self, connection: AsyncConnection[Any], number: int) -> Chunk:
        row = await (await connection.execute(queries.SELECT_CHUNK, (self._attempt.job_id, number))).fetchone()
        assert row is not None
        return Chunk(*row)

    async def _write_circles(self, connection: AsyncConnection[Any]) -> None:
        """Write rows together that refer to each other over several chunks."""
        parts: list[tuple[int, int, int, DecodedChunk]] = []
        for number, chunk in self._chunks.items():
            if chunk.decoded is not None:
                found = enumerate(chunk.decoded.row_numbers)
                parts += [(number, row, position, chunk.decoded) for position, row in found if row in chunk.rows]
        if not 1 < len(parts) <= _MOST_TOGETHER or len({decoded.table.names for *_, decoded in parts}) > 1:
            return
        table = parts[0][3].table
        rows = WritableRows(
            [[decoded.rows.columns[i][position] for _, _, position, decoded in parts] for i in range(len(table.names))],
            len(parts),
        )
        written = await write_rows(connection, table, rows)
        refused = {refusal.position: refusal for refusal in written.refusals}
        settled: set[int] = set()
        for index, (number, row, position, decoded) in enumerate(parts):
            chunk, refusal = self._chunks[number], refused.get(index)
            if refusal is None:
                settled.add(row)
                chunk.rows.discard(row)
            elif not refusal.waits:
                settled.add(row)
                chunk.errors.append(decoded.error_of(self._attempt, replace(refusal, position=position)))
        for chunk in self._chunks.values():
            chunk.lacking = [error for error in chunk.lacking if error.row not in settled]
        if parts:
            self._chunks[parts[0][0]].tally.add(written.tally)


async def write_waiting_chunks(connection: AsyncConnection[Any], attempt: Attempt) -> None:
    """Write the waiting rows of an import once no chunk is pending; the caller holds the job's lock."""
    found = await (await connection.execute(queries.WAITING_CHUNKS, (attempt.job_id,))).fetchall()
    if not found:
        return
    waiting = WaitingRows(
        attempt, {number: {first_row + offset for offset in offsets} for number, first_row, offsets in found}
    )
    await waiting.write(connection)
    for number, (tally, errors) in waiting.outcomes().items():
        if errors:
            await insert_row_errors(connection, attempt, sorted(errors, key=lambda error: error.row))
        await add_outcomes(connection, attempt, number, tally, len(errors))


async def add_outcomes(
    connection: AsyncConnection[Any], attempt: Attempt, number: int, tally: Tally, failures: int
) -> None:
    """Add the outcomes of a chunk's waiting rows to its counts; the chunk is done."""
    await connection.execute(
        queries.FINISH_WAITING_CHUNK,
        {
            "job_id": attempt.job_id,
            "chunk_number": number,
            "success_count": sum(tally.stored()) - tally.dropped,
            "failure_count": failures,
            "outcomes": tally.stored(),
            "is_plain": tally.is_plain,
        },
    )
