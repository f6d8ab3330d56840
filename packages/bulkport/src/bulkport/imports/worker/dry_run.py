"""Dry run: writes everything in one transaction that is rolled back, and records the outcomes."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from psycopg import AsyncConnection

from bulkport.imports import complete as settlement
from bulkport.imports import process_queries as queries
from bulkport.imports.chunk import DecodedChunk, decode_chunk, insert_row_errors
from bulkport.imports.formats.prefer_header import Handling
from bulkport.imports.states import ImportStatus
from bulkport.imports.validation import RowError
from bulkport.imports.worker.attempt import Attempt, Chunk
from bulkport.imports.worker.waiting_rows import WaitingRows, add_outcomes
from bulkport.imports.writing.matched_write import MAX_DIFFERENCES
from bulkport.imports.writing.outcomes import Tally, Written
from bulkport.imports.writing.write import write_rows


async def try_checked_chunks(
    connection: AsyncConnection[Any],
    attempt: Attempt,
    checked_chunks: Callable[[AsyncConnection[Any], Attempt], AsyncIterator[Chunk]],
) -> None:
    """Try every chunk of a wholly checked import and settle it, inside the caller's transaction."""
    trial = _Trial(attempt)
    async with connection.transaction(force_rollback=True):
        async for chunk in checked_chunks(connection, attempt):
            await trial.add(connection, chunk)
        await trial.finish(connection)
    for number, (tally, errors) in trial.outcomes.items():
        if errors:
            await insert_row_errors(connection, attempt, sorted(errors, key=lambda error: error.row))
        await add_outcomes(connection, attempt, number, tally, len(errors))
    await connection.execute(queries.SET_DIFFERENCES, (json.dumps(trial.differences), attempt.job_id))
    progress = await settlement.read_progress(connection, attempt.job_id)
    status = ImportStatus.of_counts(success_count=progress.success_count, failure_count=progress.failure_count)
    if attempt.handling is Handling.STRICT and progress.failure_count:
        status = ImportStatus.FAILED
    summary = await settlement.summarize_rows(connection, attempt.job_id, attempt.resource, progress)
    known = attempt.resource.wire_names.values()
    await settlement.settle(connection, attempt.job_id, status, progress, summary, known_fields=known)


class _Trial:
    """The outcomes of the chunks so far."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._waiting: dict[int, set[int]] = {}
        self.outcomes: dict[int, tuple[Tally, list[RowError]]] = {}
        self.differences: list[dict[str, Any]] = []

    async def add(self, connection: AsyncConnection[Any], chunk: Chunk) -> None:
        decoded = await decode_chunk(connection, self._attempt, chunk)
        known = {error.row for error in decoded.errors}  # since the chunk was checked
        written = await write_rows(connection, decoded.table, decoded.rows)
        errors, waits = decoded.errors_of(self._attempt, written.refusals)
        self._waiting[chunk.number] = {error.row for error in waits}
        self.outcomes[chunk.number] = written.tally, [error for error in errors if error.row not in known]
        self._note_differences(decoded, written)

    async def finish(self, connection: AsyncConnection[Any]) -> None:
        waiting = WaitingRows(self._attempt, self._waiting)
        await waiting.write(connection)
        for number, (tally, errors) in waiting.outcomes().items():
            self.outcomes[number][0].add(tally)
            self.outcomes[number][1].extend(errors)

    def _note_differences(self, decoded: DecodedChunk, written: Written) -> None:
        resource = self._attempt.resource
        wires = {
            column: resource.wire_names[name]
            for column, name in zip(resource.column_names, resource.field_names, strict=True)
        }
        numbers = decoded.row_numbers
        for position, id_, changes in written.differences[: MAX_DIFFERENCES - len(self.differences)]:
            self.differences.append(
                {
                    "row": numbers[position],
                    "id": id_,
                    "changes": [
                        {"field": wires.get(column, column), "old": old, "new": new}
                        for column, (old, new) in changes.items()
                    ],
                }
            )
