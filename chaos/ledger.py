"""The requests and responses of a run, which the checker compares with the database."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chaos.contents import Shipment


class Fate(StrEnum):
    """What a client knows of a request in the end."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Its answer was lost, and it could not be sent again."""


@dataclass(slots=True)
class Entry:
    """One import."""

    shipment: Shipment
    fate: Fate = Fate.OPEN
    import_id: int | None = None
    tries: int = 0
    lost_answers: int = 0
    last: dict[str, Any] | None = None
    """The last status that was seen."""


@dataclass(slots=True)
class Ledger:
    """All of a run."""

    entries: list[Entry] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """Answers to requests by status; `lost` for those that never came."""
    polls: int = 0
    lost_polls: int = 0
    replays: int = 0
    """Requests that were answered already and sent again all the same."""
    jobs: dict[int, str] = field(default_factory=dict)
    """The outcome of the enqueueing transaction by job number (`committed`, `rolled back`, `unknown`)."""
    violations: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    """Faults that cannot be injected here, and why."""
    settle_seconds: float = 0.0
    """From the last fault until the last import and job had ended."""
    requests_seconds: float = 0.0
    """From the last fault until the clients had answers to all that they had under way."""
    backlog_rows: int = 0
    """Records of accepted imports that were not processed at the last fault."""
    backlog_jobs: int = 0
    """Background jobs that had not ended at the last fault."""
    rows_checked: int = 0
    errors_checked: int = 0
    imports_checked: int = 0
    jobs_checked: int = 0
    runs: int = 0

    def violated(self, what: str) -> None:
        """Note a broken promise."""
        self.violations.append(what)

    @property
    def ambiguous(self) -> int:
        """Requests whose response was lost at least once."""
        return sum(entry.lost_answers for entry in self.entries)
