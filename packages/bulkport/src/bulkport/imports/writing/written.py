"""What came of rows that were to be written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bulkport.imports.writing.rows import Refusal


@dataclass(slots=True)
class Tally:
    """Rows by what became of them."""

    ids: list[str] | None = field(default=None, compare=False)
    """Ids of the created rows in the order of the rows, where they were asked for and none was dropped."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    """Their key is stored, and so is everything else they give."""
    skipped: int = 0
    """Their mode leaves them alone: their key is stored (skip), or not stored (update, delete)."""
    deleted: int = 0
    dropped: int = 0
    """A trigger of the table left them out, without an error."""

    @property
    def is_plain(self) -> bool:
        """Whether every row was created."""
        return not (self.updated or self.unchanged or self.skipped or self.deleted or self.dropped)

    def stored(self) -> list[int]:
        """As `import_chunks.outcomes` has it."""
        return [self.created, self.updated, self.unchanged, self.skipped, self.deleted, self.dropped]

    def add(self, other: "Tally") -> None:
        """Count the rows of another tally too."""
        for member in fields(Tally)[1:]:
            setattr(self, member.name, getattr(self, member.name) + getattr(other, member.name))

    def count(self, outcomes: Iterable[str]) -> None:
        """Count rows by the names of their outcomes."""
        for outcome in outcomes:
            setattr(self, outcome, getattr(self, outcome) + 1)


@dataclass(slots=True)
class Written:
    """What came of a chunk's rows."""

    tally: Tally = field(default_factory=Tally)
    refusals: list[Refusal] = field(default_factory=list)
    """Rows that the database does not take, in order of position."""
    results: list[tuple[int, str, Any]] = field(default_factory=list)
    """Position, outcome and id of each row, where they were asked for."""
    differences: list[tuple[int, str, dict[str, tuple[str | None, str | None]]]] = field(default_factory=list)
    """Position, id, and old and new text by column of rows that change a stored row, where they were asked for."""

    def note(self, position: int, outcome: str, id_: str | None) -> None:
        """Count a row, and keep what became of it."""
        self.tally.count([outcome])
        self.results.append((position, outcome, id_))

    def absorb(self, other: "Written", positions: Sequence[int]) -> None:
        """Add what came of the rows at these positions."""
        self.tally.add(other.tally)
        self.refusals += [replace(refusal, position=positions[refusal.position]) for refusal in other.refusals]
        self.results += [(positions[place], outcome, id_) for place, outcome, id_ in other.results]
        self.differences += [(positions[place], id_, changes) for place, id_, changes in other.differences]
