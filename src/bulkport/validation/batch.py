"""A chunk's rows between their stages: decoded, then valid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bulkport.validation.lookups import NamedRow
from bulkport.validation.row_errors import FieldError, JsonRecord, RowError, SourceRecord, TextRecord, UnreadableRecord


@dataclass(frozen=True, slots=True)
class Sources:
    """The records of a batch as they came."""

    records: Sequence[Any]
    """Raw JSON, cells, or a record that could not be taken apart."""
    names: Sequence[str] | None = None
    """Name of each column, for records of cells."""

    def record(self, position: int) -> SourceRecord:
        """The record at a position, ready to be reported."""
        record = self.records[position]
        if self.names is None:
            return JsonRecord(bytes(record))
        if isinstance(record, list | tuple):
            return TextRecord(record, self.names)
        return UnreadableRecord(record.raw)


@dataclass(slots=True)
class Batch:
    """Decoded rows; those that give names in place of ids still wait for them."""

    sources: Sources
    first_row: int
    """1-based number of the first record in the body."""
    rows: list[Any]
    """An object with the model's fields as attributes for each record; None where there is none (yet)."""
    fields: Sequence[str | None] = ()
    """Field of the resource for each column, for records of cells."""
    refused: dict[int, Sequence[FieldError]] = field(default_factory=dict)
    """What is wrong, by position."""
    waiting: dict[int, NamedRow] = field(default_factory=dict)
    """Rows that Pydantic judges when their ids are known, by position."""
    named: dict[str, list[int]] = field(default_factory=dict)
    """Positions of accepted rows that lack only the id, by id field."""
    lookups: dict[str, set[str]] = field(default_factory=dict)
    """Names to be resolved to ids, by the field of the reference."""


@dataclass(frozen=True, slots=True)
class ValidRows:
    """The rows of a batch, told apart."""

    columns: Sequence[Sequence[Any]]
    """Python values of the valid rows: one sequence for each of the resource's `field_names`, all of one length."""
    row_numbers: Sequence[int]
    """1-based number in the body of each valid row, ascending."""
    errors: Sequence[RowError]
    """The bad rows, ascending."""
    sources: Sources
    first_row: int

    def record(self, position: int) -> SourceRecord:
        """What the client sent for the valid row at a position in `columns`."""
        return self.sources.record(self.row_numbers[position] - self.first_row)
