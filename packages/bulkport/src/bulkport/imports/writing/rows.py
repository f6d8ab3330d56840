"""Rows on their way into a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bulkport.imports.writing.text_arrays import TextArray


@dataclass(frozen=True, slots=True)
class WritableRows:
    """Valid rows as column texts, ready to be written."""

    columns: list[list[str | None]]
    """One list for each written column, all of one length."""
    size: int
    given: Sequence[frozenset[str]] | None = None
    """For each row the model fields that its record gives; None where all give all. What a record does
    not give has a default for new rows, and is left alone in stored ones."""

    @property
    def arrays(self) -> list[TextArray]:
        """The columns as parameters of a statement on `given_rows`."""
        return list(map(TextArray, self.columns))

    def slice(self, start: int, stop: int) -> "WritableRows":
        """Rows `start` to `stop` (exclusive)."""
        return WritableRows(
            [column[start:stop] for column in self.columns],
            max(0, min(stop, self.size) - start),
            None if self.given is None else self.given[start:stop],
        )

    def take(self, positions: Sequence[int]) -> "WritableRows":
        """The rows at these positions."""
        return WritableRows(
            [[column[i] for i in positions] for column in self.columns],
            len(positions),
            None if self.given is None else [self.given[i] for i in positions],
        )

    @property
    def alike(self) -> frozenset[str] | None:
        """The columns that every row has, if all have the same; None for all columns."""
        return None if self.given is None or not self.given else self.given[0]

    def groups(self) -> Iterator[tuple[Sequence[int], "WritableRows"]]:
        """Runs of rows that give the same columns: their positions, and the rows."""
        if self.given is None or len(set(self.given)) <= 1:
            yield range(self.size), self
            return
        start = 0
        for stop in range(1, self.size + 1):
            if stop == self.size or self.given[stop] != self.given[start]:
                yield range(start, stop), self.slice(start, stop)
                start = stop


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the database does not take."""

    position: int
    """0-based position among the rows that were to be written."""
    field: str
    """Model field the refusal is about; empty if it is about the whole row."""
    message: str
    waits: bool = False
    """Whether the row only lacks another row of its table, which may come later in the file."""
