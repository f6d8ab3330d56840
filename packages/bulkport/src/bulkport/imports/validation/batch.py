"""The rows of a chunk between the stages of validation: decoded, then valid."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from bulkport.imports.formats.csv import BadRecord, CsvRecords
from bulkport.imports.validation.lookups import NamedRow
from bulkport.imports.validation.row_errors import (
    FieldError,
    JsonRecord,
    RowError,
    SourceRecord,
    TextRecord,
    UnreadableRecord,
)
from bulkport.imports.validation.sanitize import storing_fault
from bulkport.imports.values.faults import ValueFault


@dataclass(frozen=True, slots=True)
class Sources:
    """The records of a batch as they came."""

    records: Sequence[bytes] | CsvRecords
    names: Sequence[str] = ()
    """Name of each column, for records of cells."""

    def record(self, position: int) -> SourceRecord:
        """The record at a position, ready to be reported."""
        record = self.records[position]
        if isinstance(record, BadRecord):
            return UnreadableRecord(record.raw)
        if isinstance(record, list):
            return TextRecord(record, self.names)
        return JsonRecord(bytes(record))


class UnstorableError(Exception):
    """A field's column cannot keep its value."""

    def __init__(self, field: str, fault: ValueFault) -> None:
        super().__init__(field)
        self.field = field
        self.fault = fault


@dataclass(slots=True)
class Batch:
    """Decoded rows, column by column; those that give names in place of ids still wait for them."""

    sources: Sources
    first_row: int
    """1-based number of the first record in the body."""
    columns: dict[str, list[Any]]
    """Values by attribute, one for each record. The value of a rejected or waiting record means
    nothing."""
    fields: Sequence[str | None] = ()
    """Field of the resource for each column, for records of cells."""
    prepared: CsvRecords | None = None
    """Text cells after the import's options have been applied."""
    refused: dict[int, Sequence[FieldError]] = field(default_factory=dict)
    """What is wrong, by position."""
    waiting: dict[int, NamedRow] = field(default_factory=dict)
    """Rows that Pydantic validates when their ids are known, by position."""
    named: dict[str, list[int]] = field(default_factory=dict)
    """Positions of accepted rows that lack only the id, by id field."""
    lookups: dict[str, set[str]] = field(default_factory=dict)
    """Names to be resolved to ids, by the field of the reference."""

    encoders: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    """What gives the text of a value, by field, for the columns that hold texts instead of values."""
    absent: dict[int, frozenset[str]] = field(default_factory=dict)
    """Fields missing from a record, by position, if known."""

    @property
    def size(self) -> int:
        """How many records there are."""
        return len(self.sources.records)

    def enter(self, position: int, row: BaseModel) -> None:
        """Put a row that Pydantic has accepted in its place.

        Raises
        ------
        UnstorableError
            If the column of a field that is encoded cannot keep its value.
        """
        for name in type(row).model_fields:
            value = getattr(row, name)
            if name in self.encoders and value is not None:
                if message := storing_fault(value):  # which the text of JSON would hide
                    raise UnstorableError(name, ValueFault(message, None))
                try:
                    value = self.encoders[name](value)
                except ValueFault as fault:
                    raise UnstorableError(name, fault) from None
            self.columns[name][position] = value


@dataclass(frozen=True, slots=True)
class ValidRows:
    """The rows of a batch, valid and rejected."""

    columns: Sequence[Sequence[Any]]
    """Python values of the valid rows: one sequence for each of the resource's `field_names`, all of one length."""
    row_numbers: Sequence[int]
    """1-based number in the body of each valid row, ascending."""
    errors: Sequence[RowError]
    """The bad rows, ascending."""
    sources: Sources
    first_row: int
    encoded: Collection[str] = ()
    """Fields whose values are the texts that their columns read (`stored_texts`), or None."""
    given: Sequence[frozenset[str]] | None = None
    """Fields that each valid row has, including nulls; None if not requested from the validator."""

    def record(self, position: int) -> SourceRecord:
        """What the client sent for the valid row at a position in `columns`."""
        return self.sources.record(self.row_numbers[position] - self.first_row)
