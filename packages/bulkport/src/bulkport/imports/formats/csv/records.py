"""The records of a CSV chunk by column, because whole columns are checked and converted fastest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bulkport.imports.formats.csv.dialect import BadRecord


@dataclass(frozen=True, slots=True)
class CsvRecords:
    """Records of one width, in order.

    Examples
    --------
    >>> list(CsvRecords([["a", ""], ["b", ""]], {1: BadRecord("c", "too short")}))
    [['a', 'b'], BadRecord(raw='c', message='too short')]
    """

    columns: list[list[str]]
    """One list of cells for each column, all of one length; a record that could not be read has empty cells."""
    bad: dict[int, BadRecord] = field(default_factory=dict)
    """The records that could not be read, by position."""

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[str] | BadRecord], width: int) -> "CsvRecords":
        """From records one by one, each of `width` cells or bad."""
        bad: dict[int, BadRecord] = {}
        if BadRecord in set(map(type, rows)):
            bad = {position: row for position, row in enumerate(rows) if isinstance(row, BadRecord)}
        blank = [""] * width
        cells = [blank if isinstance(row, BadRecord) else row for row in rows] if bad else rows
        columns = [list(column) for column in zip(*cells, strict=True)] if rows else [[] for _ in range(width)]
        return cls(columns, bad)

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, position: int) -> list[str] | BadRecord:
        bad = self.bad.get(position)
        return [column[position] for column in self.columns] if bad is None else bad

    def __iter__(self) -> Iterator[list[str] | BadRecord]:
        return map(self.__getitem__, range(len(self)))
