"""Processes one chunk: from compressed records to valid rows and row errors.

Everything here happens inside the transaction that claimed the chunk, so rows, errors, counts and the chunk's state
are committed together or not at all.
"""

import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from bulkport.imports import process_queries as queries
from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.csv import csv_records, with_constants, without_report
from bulkport.imports.formats.ndjson import ndjson_records
from bulkport.imports.garbage_collector import collector_paused
from bulkport.imports.resource import Reference
from bulkport.imports.states import ChunkState
from bulkport.imports.validation import Batch, FieldError, RowError, ValidRows, stored_texts
from bulkport.imports.validation.lookups import lookups_of
from bulkport.imports.validation.remarks import ODD_CELLS
from bulkport.imports.worker.attempt import Attempt, Chunk
from bulkport.imports.worker.hooks import before_rows
from bulkport.imports.worker.threads import off_loop
from bulkport.imports.write_options import WriteMode
from bulkport.imports.writing.outcomes import Tally
from bulkport.imports.writing.references import existing_ids
from bulkport.imports.writing.rows import Refusal, WritableRows
from bulkport.imports.writing.self_references import ChosenIds, choose_ids, own_names, refers_to_itself
from bulkport.imports.writing.server_encoding import server_codec, storable, storable_json
from bulkport.imports.writing.table import TargetTable
from bulkport.sanitize import storable_text

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


_REPORTED_AT_ONCE: Final = 1_000
"""Bad rows that one statement stores: to put more of them into its parameters takes too long at a time."""
_MOST_KINDS: Final = 50
"""Distinct messages of one chunk, where they are only counted."""


@dataclass(slots=True)
class DecodedChunk:
    """A chunk's rows, valid and rejected."""

    valid: ValidRows
    positions: list[int]
    """Positions in `valid` of the rows to write, those whose references exist."""
    table: TargetTable
    """The table with the columns that the rows have."""
    rows: WritableRows
    """The rows to write, parallel to `positions`."""
    errors: list[RowError]
    waiting: list[RowError]
    """Rows that name another row of their table which is not there yet: their errors, should it never come."""
    unknown_fields: list[str]
    """Names that the import's records have had so far and the model does not know."""
    remarks: list[str]
    """What the import's warnings say of its rows so far."""

    @property
    def row_numbers(self) -> list[int]:
        """Number in the body of each row to write."""
        return [self.valid.row_numbers[position] for position in self.positions]

    def errors_of(self, attempt: Attempt, refusals: Sequence[Refusal]) -> tuple[list[RowError], list[RowError]]:
        """All bad rows, with those that the database refused; and the rows that may wait for others."""
        bad, waiting = list(self.errors), list(self.waiting)
        for refusal in refusals:
            (waiting if refusal.waits else bad).append(self.error_of(attempt, refusal))
        return bad, waiting

    def error_of(self, attempt: Attempt, refusal: Refusal) -> RowError:
        """A row that the database rejected, with the name by which it refers to another row, if any."""
        position = self.positions[refusal.position]
        if refusal.waits:
            sent = self.valid.record(position).value()
            for lookup in lookups_of(attempt.resource):
                name = sent.get(lookup.name_wire) if isinstance(sent, Mapping) else None
                if lookup.id_field == refusal.field and isinstance(name, str) and name:
                    return _faulty_row(self.valid, position, [lookup.unknown_name(name)])
        return _row_error(attempt, self.valid, position, refusal.field, refusal.message)


def compress(records: bytes) -> bytes:
    """The stored payload of a chunk."""
    return zstd.compress(records, level=1)


async def decode_chunk(
    connection: AsyncConnection[Any],
    attempt: Attempt,
    chunk: Chunk,
    *,
    batch: Batch | None = None,
    only: Collection[int] | None = None,
    chosen: ChosenIds | None = None,
) -> DecodedChunk:
    """Decode and validate a chunk's records, resolve names and check references.

    Parameters
    ----------
    batch:
        The chunk's records where they are decoded already.
    only:
        Numbers of the rows to look at; None: all.
    chosen:
        Ids of these rows, and of all that they name and the table does not have.
    """
    size = chunk.record_count
    if batch is None:
        batch = await off_loop(size, partial(decode_records, attempt, chunk))
    resolved: dict[str, Mapping[str, Any]] = {}
    table, ids = attempt.table, None
    if chosen is not None:
        ids = [chosen.by_row.get(chunk.first_row + position) for position in range(batch.size)]
    for reference in attempt.resource.references:
        names = batch.lookups.get(reference.field)
        if not names:
            continue
        if not refers_to_itself(attempt.resource, reference):
            resolved[reference.field] = await attempt.resolvers[reference.field].resolve(connection, names)
            continue
        # What this transaction finds or makes up is not to be remembered: it may roll back.
        found = dict(await attempt.resolver(reference).resolve(connection, names))
        unknown = names - found.keys()
        if chosen is not None:
            by_name = chosen.by_name.get(reference.field, {})
            found |= {name: by_name[name] for name in unknown & by_name.keys()}
        elif unknown and (own := own_names(attempt.resource, reference, batch)) and not unknown.isdisjoint(own):
            ids = ids or await choose_ids(connection, table, reference, batch.size)
            found |= {name: id_ for name, id_ in _stored_last(attempt, own, ids or ()) if name in unknown}
        if ids and reference.column not in table.names:
            table = table.with_column(reference.column)
        resolved[reference.field] = found
    # The application's own check runs where its other code does.
    valid = before_rows(attempt, await off_loop(size, partial(attempt.validator.finish, batch, resolved)))
    errors, waiting = _wait_for_names(attempt, valid.errors)
    positions, missing = await _existing_references(connection, attempt, valid, table)
    errors += missing
    if only is not None:
        positions = [i for i in positions if valid.row_numbers[i] in only]
        errors = [error for error in errors if error.row in only]
        waiting = [error for error in waiting if error.row in only]
    columns = (
        valid.columns if isinstance(positions, range) else [[column[i] for i in positions] for column in valid.columns]
    )
    stored = await off_loop(
        len(positions),
        partial(
            stored_texts,
            columns,
            attempt.resource,
            attempt.table.types,
            attempt.validator.options,
            encoded=valid.encoded,
            sent=partial(_sent_at, valid, positions),
        ),
    )
    texts = [*stored.columns, *([attempt.context[name]] * len(positions) for name in attempt.resource.context)]
    if ids is not None:
        texts.append([str(ids[valid.row_numbers[i] - chunk.first_row]) for i in positions])
    given = None if valid.given is None else [valid.given[i] for i in positions]
    rows = WritableRows(texts, len(positions), given)
    if stored.faults:
        errors += [_faulty_row(valid, positions[position], faults) for position, faults in stored.faults.items()]
        fine = [position for position in range(len(positions)) if position not in stored.faults]
        rows, positions = rows.take(fine), [positions[position] for position in fine]
    return DecodedChunk(
        valid,
        list(positions),
        table,
        rows,
        errors,
        waiting,
        # Noted now: when the chunk is written, the validator may be at the next one.
        unknown_fields=sorted(attempt.validator.unknown_fields),
        remarks=attempt.validator.remarks,
    )


async def _existing_references(
    connection: AsyncConnection[Any], attempt: Attempt, valid: ValidRows, table: TargetTable
) -> tuple[Sequence[int], list[RowError]]:
    """Positions of the rows whose references exist, and the errors of the others."""
    positions: Sequence[int] = range(len(valid.row_numbers))
    errors: list[RowError] = []
    for reference in attempt.resource.references:
        if refers_to_itself(attempt.resource, reference) and reference.column in table.names:
            continue
        position = attempt.resource.field_names.index(reference.field)
        values = valid.columns[position]
        exist = await existing_ids(connection, reference, attempt.table.column_types[position], values, attempt.context)
        missing = {i for i in positions if values[i] is not None and values[i] not in exist}
        if missing:
            errors += [
                _row_error(attempt, valid, i, reference.field, f"{reference.label} {values[i]} does not exist")
                for i in sorted(missing)
            ]
            positions = [i for i in positions if i not in missing]
    return positions, errors


def _sent_at(valid: ValidRows, positions: Sequence[int], position: int) -> Any:
    return valid.record(positions[position]).value()


def _stored_last(attempt: Attempt, names: Sequence[Any], ids: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Names and ids, ordered so that of several rows with one name, the one that stays in the table is last."""
    pairs = list(zip(names, ids, strict=False))
    return pairs if attempt.resource.default_mode is WriteMode.UPSERT else pairs[::-1]


async def own_names_of(attempt: Attempt, chunk: Chunk, reference: Reference) -> dict[int, Any]:
    """What the rows of a chunk are called where others refer to them by name, by row number."""
    batch = await off_loop(chunk.record_count, partial(decode_records, attempt, chunk))
    names = own_names(attempt.resource, reference, batch) or ()
    return {chunk.first_row + position: name for position, name in enumerate(names) if isinstance(name, str)}


def _wait_for_names(attempt: Attempt, errors: Sequence[RowError]) -> tuple[list[RowError], list[RowError]]:
    """Bad rows, and those of them that only name a row of their own table which is not there yet."""
    lookups = [
        lookup for lookup in lookups_of(attempt.resource) if refers_to_itself(attempt.resource, lookup.reference)
    ]
    if not lookups:
        return list(errors), []
    bad: list[RowError] = []
    waiting: list[RowError] = []
    for error in errors:
        may_come = all(any(lookup.is_unknown_name(fault) for lookup in lookups) for fault in error.errors)
        (waiting if may_come else bad).append(error)
    return bad, waiting


async def finish_chunk(
    connection: AsyncConnection[Any],
    attempt: Attempt,
    chunk: Chunk,
    errors: Sequence[RowError],
    state: ChunkState,
    *,
    decoded: DecodedChunk,
    tally: Tally | None = None,
    waiting: Sequence[int] = (),
) -> None:
    """Record a chunk's row errors, counts and new state.

    Parameters
    ----------
    decoded:
        The chunk as it was decoded.
    tally:
        What became of the rows without error; None if none was written.
    waiting:
        Numbers of the rows that wait for others, which are neither.
    """
    dropped = 0 if tally is None else tally.dropped
    if errors:
        await insert_row_errors(connection, attempt, errors)
    codec = server_codec(connection)
    await connection.execute(
        queries.FINISH_CHUNK,
        {
            "job_id": attempt.job_id,
            "chunk_number": chunk.number,
            "state": state,
            "success_count": 0
            if state is ChunkState.CHECKED
            else chunk.record_count - len(errors) - dropped - len(waiting),
            "waiting": [number - chunk.first_row for number in waiting] or None,
            "failure_count": len(errors),
            "unknown_fields": storable_remarks(decoded.unknown_fields, codec) or None,
            "remarks": storable_remarks(decoded.remarks, codec) or None,
            "outcomes": None if tally is None or tally.is_plain else tally.stored(),
        },
    )


def storable_remarks(remarks: Sequence[str], codec: str | None) -> list[str]:
    """Remarks, or names of unknown fields, as the database can store them."""
    return [storable(storable_text(remark), codec) for remark in remarks]


async def insert_row_errors(connection: AsyncConnection[Any], attempt: Attempt, errors: Sequence[RowError]) -> None:
    """Add bad rows to the import's error report up to its limit; count the others by message."""
    room = await _room_in_report(connection, attempt, len(errors))
    for start in range(0, room, _REPORTED_AT_ONCE):
        part = errors[start : min(start + _REPORTED_AT_ONCE, room)]
        columns = await off_loop(len(part), partial(report_columns, part, server_codec(connection)))
        await connection.execute(queries.INSERT_ROW_ERRORS, (attempt.job_id, *columns))
    if room < len(errors):
        await _count_unreported(connection, attempt, errors[room:])


async def _room_in_report(connection: AsyncConnection[Any], attempt: Attempt, wanted: int) -> int:
    if attempt.total_chunks == 1:
        return min(wanted, attempt.max_reported_rows)
    row = await (await connection.execute(queries.REPORTED_ROWS, (attempt.job_id,))).fetchone()
    return min(wanted, max(0, attempt.max_reported_rows - (row[0] if row else 0)))


async def _count_unreported(connection: AsyncConnection[Any], attempt: Attempt, errors: Sequence[RowError]) -> None:
    counted = await off_loop(len(errors), partial(_counted_kinds, errors, server_codec(connection)))
    columns = ([field for (field, _), _ in counted], [text for (_, text), _ in counted], [rows for _, rows in counted])
    await connection.execute(queries.INSERT_UNREPORTED_ERRORS, (attempt.job_id, *columns))


def _counted_kinds(errors: Sequence[RowError], codec: str | None) -> list[tuple[tuple[str, str], int]]:
    kinds = Counter((error.field or "", storable(error.message, codec)) for row in errors for error in row.errors[:1])
    counted = kinds.most_common(_MOST_KINDS)
    if rest := len(errors) - sum(rows for _, rows in counted):
        counted.append((("", "other messages"), rest))
    return counted


def report_columns(errors: Sequence[RowError], codec: str | None) -> tuple[list[int], list[str], list[str]]:
    """Bad rows as the error report stores them: row numbers, messages as JSON, records as JSON.

    Parameters
    ----------
    codec:
        What the database stores (`server_codec`).
    """
    return (
        [error.row for error in errors],
        [storable(_errors_json(error.errors), codec) for error in errors],
        [storable_json(error.record_json(), codec) for error in errors],
    )


def decode_records(attempt: Attempt, chunk: Chunk) -> Batch:
    """Decode and validate a chunk's records as far as possible without the database."""
    records = zstd.decompress(chunk.payload)
    if attempt.format.is_table:
        assert attempt.dialect is not None
        assert attempt.columns is not None
        with collector_paused():
            cells = csv_records(records, attempt.dialect)
            cells, columns = without_report(cells, attempt.columns, attempt.dialect.report_columns)
            cells, columns = with_constants(cells, columns)
            if any(map(records.__contains__, ODD_CELLS)):
                attempt.validator.note_odd_cells(cells, columns)
            return attempt.validator.decode_text(cells, columns, chunk.first_row)
    rows = ndjson_records(records)
    if attempt.format is not BodyFormat.JSON and attempt.member_names:  # an envelope had them when it was accepted
        rows = list(map(attempt.member_names, rows))
    return attempt.validator.decode_json(rows, chunk.first_row)


def _row_error(attempt: Attempt, valid: ValidRows, position: int, field: str, message: str) -> RowError:
    wire = attempt.resource.wire_names[field] if field else ""
    return RowError(valid.row_numbers[position], [FieldError(wire, message)], valid.record(position))


def _faulty_row(valid: ValidRows, position: int, errors: Sequence[FieldError]) -> RowError:
    return RowError(valid.row_numbers[position], errors, valid.record(position))


def _errors_json(errors: Sequence[FieldError]) -> str:
    # Messages may quote the client's text, and jsonb takes neither NUL nor lone surrogates.
    return msgspec.json.encode(
        [{"field": storable_text(error.field), "message": storable_text(error.message)} for error in errors]
    ).decode()
