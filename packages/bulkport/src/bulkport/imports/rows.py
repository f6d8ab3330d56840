"""Rows on their way into a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from bulkport.imports.table import TargetTable
from bulkport.imports.values.copy_text import column_texts


@dataclass(frozen=True, slots=True)
class WritableRows:
    """Valid rows as column texts, ready to be written."""

    columns: list[list[str | None]]
    """One list for each imported column, all of one length."""
    size: int

    @classmethod
    def of_values(cls, columns: Sequence[Sequence[object]], table: TargetTable) -> "WritableRows":
        """From Python values, one sequence for each imported column."""
        texts = [column_texts(values, kind) for values, kind in zip(columns, table.column_types, strict=True)]
        return cls(texts, len(texts[0]))

    def slice(self, start: int, stop: int) -> "WritableRows":
        """Rows `start` to `stop` (exclusive)."""
        return WritableRows([column[start:stop] for column in self.columns], max(0, min(stop, self.size) - start))

    def take(self, positions: Sequence[int]) -> "WritableRows":
        """The rows at these positions."""
        return WritableRows([[column[i] for i in positions] for column in self.columns], len(positions))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the database does not take."""

    position: int
    """0-based position among the rows that were to be written."""
    field: str
    """Model field the refusal is about; empty where it is about the whole row."""
    message: str
