"""From the records of a chunk to valid rows and row errors."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from pydantic import BaseModel

from bulkport.imports.formats.csv import CsvColumns, CsvRecords
from bulkport.imports.garbage_collector import collector_paused
from bulkport.imports.resource import Resource
from bulkport.imports.validation.batch import Batch, Sources, UnstorableError, ValidRows
from bulkport.imports.validation.cell_options import prepared
from bulkport.imports.validation.fast_path import fast_path_for, is_fast, name_attribute
from bulkport.imports.validation.lookups import NamedRow, lookups_of
from bulkport.imports.validation.remarks import (
    differ_in_blanks,
    differ_in_blanks_remark,
    odd_cells,
    once,
    repeated_members,
    repeated_members_remark,
)
from bulkport.imports.validation.row_errors import FieldError, RowError
from bulkport.imports.validation.row_validator import NO_COLUMNS, JsonRowValidator, TextRowValidator, Verdict, json_keys
from bulkport.imports.validation.sanitize import unstorable
from bulkport.imports.validation.sequences import without
from bulkport.imports.validation.stored_texts import encoders, unstorable_message
from bulkport.imports.validation.unknown_fields import UnknownFields
from bulkport.imports.values.column_type import ColumnType
from bulkport.imports.values.options import PLAIN, Blank, ValueOptions


class ChunkValidator:
    """Decodes and validates the records of one import; every record becomes a valid row or a row error.

    It remembers what the import's rows look like, so it serves one import, and one thread at a time::

        batch = validator.decode_json(records, first_row)
        resolved = {field: resolve(names) for field, names in batch.lookups.items()}
        valid = validator.finish(batch, resolved)

    Parameters
    ----------
    streamed:
        Whether rows may give names in place of ids (`Reference.lookup_field`), as they may in streaming bodies.
    options:
        How values are written.
    columns:
        Type of each field's column, as far as it is known.
    tracks_given:
        Whether valid rows say which fields they give (`ValidRows.given`), as an update needs it.
    encodes:
        Whether cells of typed columns may become their columns' texts without a value in between; not where others
        are to see the values.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        streamed: bool,
        options: ValueOptions = PLAIN,
        columns: Mapping[str, ColumnType] = NO_COLUMNS,
        tracks_given: bool = False,
        encodes: bool = True,
    ) -> None:
        self._lookups = lookups_of(resource) if streamed else ()
        self._resource = resource
        self.options = options
        self._tracks_given = tracks_given
        self._fast_path = None
        if is_fast(resource.model, options, columns):
            self._fast_path = fast_path_for(
                resource,
                self._lookups,
                tracks_given=tracks_given,
                columns=self._encodable(columns) if encodes else None,
                options=options,
            )
        self._remarks: dict[str, None] = {}
        key = set(resource.conflict_key or resource.key)
        names = zip(resource.field_names, resource.column_names, strict=True)
        self._keys = [field for field, column in names if column in key] or [resource.label_field]
        coded = self._fast_path.encoded if self._fast_path and resource.before_row is None else ()
        self._encoders = encoders(resource.model, coded, columns, options)
        self._columns = columns
        known = {key for keys in json_keys(resource.model).values() for key in keys}
        self._unknown_fields = UnknownFields(known | {lookup.name_wire for lookup in self._lookups})

    @cached_property
    def _json_validator(self) -> JsonRowValidator:
        return JsonRowValidator(self._resource, self._lookups, self.options, self._columns)

    @cached_property
    def _text_validator(self) -> TextRowValidator:
        return TextRowValidator(self._resource, self._lookups, self.options, self._columns)

    @property
    def has_fast_path(self) -> bool:
        """Whether rows are decoded without Pydantic as long as nothing is wrong with them."""
        return self._fast_path is not None

    @property
    def remarks(self) -> list[str]:
        """What was odd about rows that were valid, in sentences for the import's warnings."""
        return once(self._remarks)

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
        optional = any(not info.is_required() for info in self._resource.model.model_fields.values())
        for name in repeated_members(records, len(self._resource.field_names), has_optional=optional):
            self._remarks[repeated_members_remark(name[: UnknownFields.MAX_LENGTH])] = None
        with collector_paused():
            if self._fast_path is None or not self._fast_path.reads_json:
                batch = Batch(Sources(records), first_row, self._no_values(len(records)))
                left: Iterable[int] = range(len(records))
            else:
                columns, refused = self._fast_path.decode_json(records, self._unknown_fields)
                batch = Batch(Sources(records), first_row, columns)
                left = sorted(refused | self._sort_out_ids(batch, refused))
            for position in left:
                record = records[position]
                self._unknown_fields.note(record)
                self._enter(batch, position, self._json_validator.validate(record))
        return batch

    def decode_text(self, records: CsvRecords, columns: CsvColumns, first_row: int) -> Batch:
        """Decode records of text cells.

        Parameters
        ----------
        columns:
            What each column is.
        first_row:
            1-based number of the first record in the body.
        """
        with collector_paused():
            sent, records = records, prepared(records, columns.fields, self.options)
            decoded, coders = None, {}
            if self._fast_path is not None and self._fast_path.reads_cells and self.options.are_plain_cells:
                decoded = self._fast_path.decode_cells(records.columns, columns.fields)
                coders = self._encoders
            values = self._no_values(len(records)) if decoded is None else decoded[0]
            batch = Batch(
                Sources(sent, self._column_names(columns)),
                first_row,
                values,
                fields=columns.fields,
                prepared=records,
                encoders=coders,
            )
            batch.refused = {position: [FieldError("", bad.message)] for position, bad in records.bad.items()}
            if self._tracks_given:
                batch.absent = self._absent_cells(records, columns.fields)
            if decoded is None:
                left = set(range(len(records)))
            else:
                refused = decoded[1] | records.bad.keys()
                left = refused | self._sort_out_ids(batch, refused)
            for position in sorted(left - records.bad.keys()):
                self._validate_cells(batch, position)
        return batch

    def note_odd_cells(self, records: CsvRecords, columns: CsvColumns) -> None:
        """Warn about cells whose text is probably not what was meant."""
        for field, cells in zip(columns.fields, records.columns, strict=True):
            column = self._columns.get(field or "")
            if field is not None and column is not None and column.is_text:
                wire = self._resource.wire_names[field]
                self._remarks |= dict.fromkeys(odd_cells(wire, cells, self.options.null_words))

    def finish(self, batch: Batch, resolved: Mapping[str, Mapping[str, Any]]) -> ValidRows:
        """Put ids in the place of names, and separate valid rows from bad ones.

        Parameters
        ----------
        resolved:
            The ids that were found, by the name they were found for, for each field in `batch.lookups`.
        """
        with collector_paused():
            self._put_ids(batch, resolved)
            is_text = isinstance(batch.sources.records, CsvRecords)
            for position, row in batch.waiting.items():
                validator = self._text_validator if is_text else self._json_validator
                self._enter(batch, position, validator.validate_named(row, resolved))
            if self._tracks_given:
                self._fill_in_defaults(batch)
            valid = self._tell_apart(batch)
        self._note_keys(valid)
        return valid

    def _note_keys(self, valid: ValidRows) -> None:
        for field in self._keys:
            for one, other in differ_in_blanks(valid.columns[self._resource.field_names.index(field)]):
                self._remarks[differ_in_blanks_remark(self._resource.wire_names[field], one, other)] = None

    def _encodable(self, columns: Mapping[str, ColumnType]) -> dict[str, ColumnType]:
        """The columns but those of ids, which are looked up by their values."""
        ids = {reference.field for reference in self._resource.references}
        return {field: column for field, column in columns.items() if field not in ids}

    def _sort_out_ids(self, batch: Batch, refused: Collection[int]) -> set[int]:
        """Note the rows of the fast path that give a name, and find those that give both, or nothing needed.

        Returns
        -------
        The positions of those that must be validated again.
        """
        left: set[int] = set()
        for number, lookup in enumerate(self._lookups):
            is_required = self._resource.model.model_fields[lookup.id_field].is_required()
            names, given = batch.columns[name_attribute(number)], batch.columns[lookup.id_field]
            unset = names.count(msgspec.UNSET)
            if unset < batch.size:
                named = [i for i, name in enumerate(names) if name is not msgspec.UNSET and i not in refused]
                doubled = {i for i in named if given[i] is not msgspec.UNSET and given[i] is not None}
                left |= doubled
                batch.named[lookup.id_field] = [i for i in named if i not in doubled] if doubled else named
                batch.lookups[lookup.id_field] = {names[i] for i in named}
            if unset and is_required and msgspec.UNSET in given:
                left.update(
                    i
                    for i, (name, value) in enumerate(zip(names, given, strict=True))
                    if name is msgspec.UNSET and value is msgspec.UNSET
                )
        return left

    def _enter(self, batch: Batch, position: int, verdict: Verdict) -> None:
        if isinstance(verdict, BaseModel):
            try:
                batch.enter(position, verdict)
            except UnstorableError as error:
                wire = self._resource.wire_names[error.field]
                value, record = getattr(verdict, error.field), batch.sources.record(position).value()
                message = unstorable_message(wire, error.fault, value, record)
                batch.refused[position] = [FieldError(wire, message)]
                return
            if self._tracks_given and not batch.fields:
                batch.absent[position] = frozenset(self._resource.field_names) - verdict.model_fields_set
        elif isinstance(verdict, NamedRow):
            batch.waiting[position] = verdict
            for field, name in verdict.names.items():
                batch.lookups.setdefault(field, set()).add(name)
        else:
            batch.refused[position] = verdict

    def _put_ids(self, batch: Batch, resolved: Mapping[str, Mapping[str, Any]]) -> None:
        """Give the rows of the fast path the ids behind their names."""
        assert self._fast_path is not None or not batch.named
        for number, lookup in enumerate(self._lookups):
            positions = batch.named.get(lookup.id_field)
            if not positions or self._fast_path is None:
                continue
            names, given = batch.columns[name_attribute(number)], batch.columns[lookup.id_field]
            ids = resolved.get(lookup.id_field, {})
            taken = {name: value for name, value in ids.items() if self._fast_path.takes_id(lookup.id_field, value)}
            for position in positions:
                name = names[position]
                if name in taken:
                    given[position] = taken[name]
                elif position not in batch.refused and position not in batch.waiting:
                    # The name is unknown, or the model may refuse the id: Pydantic says which.
                    self._validate_again(batch, position)

    def _validate_again(self, batch: Batch, position: int) -> None:
        """Let Pydantic have a row that the fast path had accepted."""
        record = batch.sources.records[position]
        if isinstance(record, bytes):
            self._enter(batch, position, self._json_validator.validate(record))
        else:
            self._validate_cells(batch, position)

    def _validate_cells(self, batch: Batch, position: int) -> None:
        records = batch.sources.records if batch.prepared is None else batch.prepared
        cells = records[position]
        assert isinstance(cells, list)
        self._enter(batch, position, self._text_validator.validate(cells, batch.fields))

    def _absent_cells(self, records: CsvRecords, fields: Sequence[str | None]) -> dict[int, frozenset[str]]:
        """Fields that rows of cells do not give: those without a column, and blank ones where these count as such."""
        by_name = {lookup.name_field: lookup.id_field for lookup in self._lookups}
        given = {by_name.get(field, field) for field in fields if field is not None}
        missing = frozenset(self._resource.field_names) - given
        absent = dict.fromkeys(range(len(records)), missing) if missing else {}
        if self.options.blank is Blank.KEEP:
            for field, cells in zip(fields, records.columns, strict=True):
                if field is None:
                    continue
                is_blankless = field in self._text_validator.blankless
                blanks = [i for i, cell in enumerate(cells) if cell == "" or (is_blankless and cell and cell.isspace())]
                for position in blanks:
                    absent[position] = absent.get(position, frozenset()) | {by_name.get(field, field)}
        return absent

    def _fill_in_defaults(self, batch: Batch) -> None:
        """Note which fields the rows of the fast path do not give, and give them their defaults."""
        for field, default in self._fast_path.defaults.items() if self._fast_path else ():
            column = batch.columns[field]
            if msgspec.UNSET in column:
                for position, value in enumerate(column):
                    if value is msgspec.UNSET:
                        column[position] = default
                        if not batch.fields:  # what cells give, their header says
                            batch.absent[position] = batch.absent.get(position, frozenset()) | {field}

    def _given(self, batch: Batch, row_numbers: Sequence[int]) -> list[frozenset[str]]:
        every = frozenset(self._resource.field_names)
        patterns = {absent: every - absent for absent in {frozenset(), *batch.absent.values()}}
        nothing: frozenset[str] = frozenset()
        return [patterns[batch.absent.get(number - batch.first_row, nothing)] for number in row_numbers]

    def _tell_apart(self, batch: Batch) -> ValidRows:
        first_row = batch.first_row
        refused = dict(batch.refused)
        removed = sorted(refused)
        row_numbers = without(range(first_row, first_row + batch.size), removed)
        columns: list[Sequence[Any]] = []
        for field in self._resource.field_names:
            columns.append(without(batch.columns[field], removed))
            for i, fault in unstorable(columns[-1]).items():
                position, wire = row_numbers[i] - first_row, self._resource.wire_names[field]
                refused[position] = [*refused.get(position, ()), FieldError(wire, f"{wire} {fault}")]
        if len(refused) > len(removed):
            remaining = [i for i, number in enumerate(row_numbers) if number - first_row not in refused]
            row_numbers = [row_numbers[i] for i in remaining]
            columns = [[column[i] for i in remaining] for column in columns]
        return ValidRows(
            columns=columns,
            row_numbers=row_numbers,
            errors=[
                RowError(first_row + position, refused[position], batch.sources.record(position))
                for position in sorted(refused)
            ],
            sources=batch.sources,
            first_row=first_row,
            encoded=batch.encoders.keys(),
            given=self._given(batch, row_numbers) if self._tracks_given else None,
        )

    def _no_values(self, size: int) -> dict[str, list[Any]]:
        return {name: [None] * size for name in self._resource.field_names}

    def _column_names(self, columns: CsvColumns) -> list[str]:
        unknown = iter(columns.unknown)
        return [next(unknown) if field is None else self._resource.wire_names[field] for field in columns.fields]
