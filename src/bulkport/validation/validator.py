"""From the records of a chunk to valid rows and row errors."""

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import msgspec
from pydantic import BaseModel

from bulkport.formats.csv import BadRecord, CsvColumns
from bulkport.resources import Resource
from bulkport.validation.batch import Batch, Sources, ValidRows
from bulkport.validation.fast_lane import fast_lane, name_attribute
from bulkport.validation.gaps import without
from bulkport.validation.judge import JsonJudge, TextJudge, Verdict, json_keys
from bulkport.validation.lookups import NamedRow, lookups_of
from bulkport.validation.row_errors import FieldError, RowError
from bulkport.validation.storable import unstorable
from bulkport.validation.unknown_fields import UnknownFields


class RowValidator:
    """Decodes and validates the records of one import; whatever a record holds ends as a valid row or a row error.

    It remembers what the import's rows look like, so it serves one import, and one thread at a time::

        batch = validator.decode_json(records, first_row)
        resolved = {field: resolve(names) for field, names in batch.lookups.items()}
        valid = validator.finish(batch, resolved)

    Parameters
    ----------
    streamed:
        Whether rows may give names in place of ids (`Reference.lookup_field`), as they may in streaming bodies.
    """

    def __init__(self, resource: Resource, *, streamed: bool) -> None:
        self._lookups = lookups_of(resource) if streamed else ()
        self._resource = resource
        self._lane = fast_lane(resource, self._lookups)
        self._json_judge = JsonJudge(resource, self._lookups)
        self._text_judge = TextJudge(resource, self._lookups)
        known = {key for keys in json_keys(resource.model).values() for key in keys}
        self._unknown_fields = UnknownFields(known | {lookup.name_wire for lookup in self._lookups})

    @property
    def has_fast_lane(self) -> bool:
        """Whether rows are decoded without Pydantic as long as nothing is wrong with them."""
        return self._lane is not None

    @property
    def unknown_fields(self) -> set[str]:
        """Names that JSON records had and the model does not know; at most 50, of at most 100 characters."""
        return self._unknown_fields.names

    def decode_json(self, records: Sequence[bytes], first_row: int) -> Batch:
        """Decode records of JSON.

        Parameters
        ----------
        first_row:
            1-based number of the first record in the body.
        """
        with _collector_paused():
            if self._lane is None:
                batch = Batch(Sources(records), first_row, [None] * len(records))
                left: Iterable[int] = range(len(records))
            else:
                rows, refused = self._lane.decode_json(records, self._unknown_fields)
                batch = Batch(Sources(records), first_row, rows)
                left = sorted({*refused, *self._sort_out_ids(batch, has_gaps=bool(refused))})
            for position in left:
                record = records[position]
                self._unknown_fields.note(record)
                self._enter(batch, position, self._json_judge.judge(record))
        return batch

    def decode_text(self, rows: Sequence[list[str] | BadRecord], columns: CsvColumns, first_row: int) -> Batch:
        """Decode records of text cells.

        Parameters
        ----------
        columns:
            What each column is.
        first_row:
            1-based number of the first record in the body.
        """
        with _collector_paused():
            batch = Batch(
                Sources(rows, self._column_names(columns)), first_row, [None] * len(rows), fields=columns.fields
            )
            whole: Sequence[int] = range(len(rows))
            if BadRecord in set(map(type, rows)):
                whole = [position for position, row in enumerate(rows) if not isinstance(row, BadRecord)]
                batch.refused = {
                    position: [FieldError("", row.message)]
                    for position, row in enumerate(rows)
                    if isinstance(row, BadRecord)
                }
            for position in self._enter_fast_cells(batch, whole, columns):
                self._enter(batch, position, self._text_judge.judge(rows[position], columns.fields))  # type: ignore[arg-type] # whole
        return batch

    def finish(self, batch: Batch, resolved: Mapping[str, Mapping[str, Any]]) -> ValidRows:
        """Put ids in the place of names, and tell valid rows from bad ones.

        Parameters
        ----------
        resolved:
            The ids that were found, by the name they were found for, for each field in `batch.lookups`.
        """
        with _collector_paused():
            self._put_ids(batch, resolved)
            judge = self._json_judge if batch.sources.names is None else self._text_judge
            for position, row in batch.waiting.items():
                self._enter(batch, position, judge.judge_named(row, resolved))
            return self._tell_apart(batch)

    def _enter_fast_cells(self, batch: Batch, whole: Sequence[int], columns: CsvColumns) -> Iterable[int]:
        """Enter the rows that the fast lane takes, and return the positions of the others among `whole`."""
        if self._lane is None or not whole:
            return whole
        cells = batch.sources.records
        table = list(
            zip(*(cells if len(whole) == len(cells) else [cells[position] for position in whole]), strict=True)
        )
        decoded = self._lane.decode_cells(table, columns.fields)
        if decoded is None:
            return whole
        rows, refused = decoded
        if len(whole) == len(cells):
            batch.rows = rows
        else:
            for position, row in zip(whole, rows, strict=True):
                batch.rows[position] = row
        left = {whole[i] for i in refused}
        return sorted(left | self._sort_out_ids(batch, has_gaps=bool(left) or len(whole) < len(cells)))

    def _sort_out_ids(self, batch: Batch, *, has_gaps: bool) -> set[int]:
        """Note the rows of the fast lane that give a name, and take back those that give both, or nothing needed.

        Returns
        -------
        The positions of those taken back.
        """
        left: set[int] = set()
        for number, lookup in enumerate(self._lookups):
            is_required = self._resource.model.model_fields[lookup.id_field].is_required()
            name_of, id_of = attrgetter(name_attribute(number)), attrgetter(lookup.id_field)
            accepted: Sequence[int] = range(len(batch.rows))
            rows = batch.rows
            if has_gaps:
                accepted = [position for position, row in enumerate(rows) if row is not None]
                rows = [rows[position] for position in accepted]
            names, given = list(map(name_of, rows)), list(map(id_of, rows))
            unset = names.count(msgspec.UNSET)
            if unset < len(rows):
                named = [i for i, name in enumerate(names) if name is not msgspec.UNSET]
                doubled = {accepted[i] for i in named if given[i] is not msgspec.UNSET and given[i] is not None}
                left |= doubled
                batch.named[lookup.id_field] = [accepted[i] for i in named if accepted[i] not in doubled]
                batch.lookups[lookup.id_field] = {names[i] for i in named}
            if unset and is_required and msgspec.UNSET in given:
                left.update(
                    position
                    for position, name, value in zip(accepted, names, given, strict=True)
                    if name is msgspec.UNSET and value is msgspec.UNSET
                )
        for position in left:
            batch.rows[position] = None
        return left

    def _enter(self, batch: Batch, position: int, verdict: Verdict) -> None:
        if isinstance(verdict, BaseModel):
            batch.rows[position] = verdict
        elif isinstance(verdict, NamedRow):
            batch.waiting[position] = verdict
            for field, name in verdict.names.items():
                batch.lookups.setdefault(field, set()).add(name)
        else:
            batch.refused[position] = verdict

    def _put_ids(self, batch: Batch, resolved: Mapping[str, Mapping[str, Any]]) -> None:
        """Give the rows of the fast lane the ids behind their names."""
        assert self._lane is not None or not batch.named
        for number, lookup in enumerate(self._lookups):
            positions = batch.named.get(lookup.id_field)
            if not positions or self._lane is None:
                continue
            name_of = attrgetter(name_attribute(number))
            ids = resolved.get(lookup.id_field, {})
            taken = {name: value for name, value in ids.items() if self._lane.takes_id(lookup.id_field, value)}
            for position in positions:
                row = batch.rows[position]
                if row is None:
                    continue
                name = name_of(row)
                if name in taken:
                    setattr(row, lookup.id_field, taken[name])
                else:
                    # The name is unknown, or the model may refuse the id: Pydantic tells.
                    batch.rows[position] = None
                    self._judge_again(batch, position)

    def _judge_again(self, batch: Batch, position: int) -> None:
        """Let Pydantic have a row that the fast lane had accepted."""
        names = batch.sources.names
        record = batch.sources.records[position]
        verdict = self._json_judge.judge(record) if names is None else self._text_judge.judge(record, batch.fields)
        self._enter(batch, position, verdict)

    def _tell_apart(self, batch: Batch) -> ValidRows:
        first_row = batch.first_row
        refused = dict(batch.refused)
        gaps = sorted(refused)
        rows = without(batch.rows, gaps)
        row_numbers = without(range(first_row, first_row + len(batch.rows)), gaps)
        columns: list[list[Any]] = []
        for field in self._resource.field_names:
            columns.append(list(map(attrgetter(field), rows)))
            for i, fault in unstorable(columns[-1]).items():
                position, wire = row_numbers[i] - first_row, self._resource.wire_names[field]
                refused[position] = [*refused.get(position, ()), FieldError(wire, f"{wire} {fault}")]
        if len(refused) > len(gaps):
            kept = [i for i, number in enumerate(row_numbers) if number - first_row not in refused]
            row_numbers = [row_numbers[i] for i in kept]
            columns = [[column[i] for i in kept] for column in columns]
        return ValidRows(
            columns=columns,
            row_numbers=row_numbers,
            errors=[
                RowError(first_row + position, refused[position], batch.sources.record(position))
                for position in sorted(refused)
            ],
            sources=batch.sources,
            first_row=first_row,
        )

    def _column_names(self, columns: CsvColumns) -> list[str]:
        unknown = iter(columns.unknown)
        return [next(unknown) if field is None else self._resource.wire_names[field] for field in columns.fields]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No cyclic garbage collection: it would visit every row again and again, and finds nothing among them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
