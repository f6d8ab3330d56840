"""What a request chooses about writing, and how an import keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class WriteMode(StrEnum):
    """How a row is written, depending on whether its key is stored."""

    INSERT = "insert"
    """Rows are created; a row whose unique key is taken is a row error."""
    UPSERT = "upsert"
    """Rows are created, or change the stored row of their key. The last row of a body wins."""
    UPDATE = "update"
    """Rows change the stored row of their key; a row whose key is not stored is skipped."""
    SKIP = "skip"
    """Rows are created; a row whose key is stored is skipped."""
    DELETE = "delete"
    """The stored rows of the keys are deleted; a row whose key is not stored is skipped."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How an import writes its rows; stored as JSON with the import."""

    mode: WriteMode
    dry_run: bool = False
    """Whether everything is tried and nothing stays."""
    results: bool = False
    """Whether the outcome and id of every row is kept."""
    context: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Values by column that the request gives and no row may choose."""

    def stored(self) -> dict[str, Any]:
        """As JSON; members that have their default are left out."""
        stored: dict[str, Any] = {"mode": str(self.mode)}
        if self.dry_run:
            stored["dryRun"] = True
        if self.results:
            stored["results"] = "ids"
        if self.context:
            stored["context"] = dict(self.context)
        return stored

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any] | None, default: WriteMode) -> Self:
        """What `stored` gave; an import that chose nothing has the resource's own mode."""
        given = stored or {}
        return cls(
            mode=WriteMode(given.get("mode", default)),
            dry_run=bool(given.get("dryRun", False)),
            results=given.get("results") == "ids",
            context=given.get("context", _NOTHING),
        )


def context_text(value: object) -> str | None:
    """A value of the context as the text that its column reads."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
