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
    """Create rows; an existing key is a row error."""
    UPSERT = "upsert"
    """Rows are created, or change the stored row of their key. The last row of a body wins."""
    UPDATE = "update"
    """Change the stored row with the key; skip rows whose key is not stored."""
    SKIP = "skip"
    """Create rows; skip rows whose key is stored."""
    DELETE = "delete"
    """Delete the stored rows with the keys; skip keys that are not stored."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How an import writes its rows; stored as JSON with the import."""

    mode: WriteMode
    dry_run: bool = False
    """Whether the import is a dry run, which stores nothing."""
    results: bool = False
    """Whether the outcome and id of every row is stored."""
    context: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Values by column that the request sets and rows cannot."""

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
        """The inverse of `stored`; an import without a mode has the resource's own."""
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
