"""Outcomes of written rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bulkport.imports.writing.rows import Refusal


@dataclass(slots=True)
class Tally:
    """Counts of rows by outcome."""

    ids: list[str] | None = field(default=None, compare=False)
    """Ids of the created rows in row order, if requested and none was dropped."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    """The stored row already has every value given."""
    skipped: int = 0
    """Left alone by the mode: the key exists (skip) or does not (update, delete)."""
    deleted: int = 0
    dropped: int = 0
    """Dropped by a trigger of the table without an error."""

    @property
    def is_plain(self) -> bool:
        """Whether every row was created."""
        return not (self.updated or self.unchanged or self.skipped or self.deleted or self.dropped)

    def stored(self) -> list[int]:
        """As `import_chunks.outcomes` has it."""
        return [self.created, self.updated, self.unchanged, self.skipped, self.deleted, self.dropped]

    def add(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        for member in fields(Tally)[1:]:
            setattr(self, member.name, getattr(self, member.name) + getattr(other, member.name))

    def count(self, outcomes: Iterable[str]) -> None:
        """Count rows by outcome name."""
        for outcome in outcomes:
            setattr(self, outcome, getattr(self, outcome) + 1)


@dataclass(slots=True)
class Written:
    """The outcomes of a chunk's rows."""

    tally: Tally = field(default_factory=Tally)
    refusals: list[Refusal] = field(default_factory=list)
    """Rows that the database rejected, by position."""
    results: list[tuple[int, str, Any]] = field(default_factory=list)
    """Position, outcome and id of each row, if requested."""
    differences: list[tuple[int, str, dict[str, tuple[str | None, str | None]]]] = field(default_factory=list)
    """Position, id, and old and new text by column of rows that change a stored row, if requested."""

    def note(self, position: int, outcome: str, id_: str | None) -> None:
        """Count a row and record its outcome."""
        self.tally.count([outcome])
        self.results.append((position, outcome, id_))

    def absorb(self, other: "Written", positions: Sequence[int]) -> None:
        """Add the outcomes of the rows at these positions."""
        self.tally.add(other.tally)
        self.refusals += [replace(refusal, position=positions[refusal.position]) for refusal in other.refusals]
        self.results += [(positions[place], outcome, id_) for place, outcome, id_ in other.results]
        self.differences += [(positions[place], id_, changes) for place, id_, changes in other.differences]
