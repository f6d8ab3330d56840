"""Rows on their way into a table."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WritableRows:
    """Valid rows as column texts, ready to be written."""

    columns: list[list[str | None]]
    """One list for each imported column, all of one length."""
    size: int

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
