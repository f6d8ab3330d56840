"""Mistakes in the declaration of a resource."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """A problem that keeps a resource's imports from working."""

    resource: str
    what: str
    """What is wrong."""
    remedy: str
    """What mends it."""
    is_fatal: bool = True
    """Whether no row can be imported; otherwise some rows will be refused that the model accepts."""

    def __str__(self) -> str:
        return f"resource {self.resource!r}: {self.what}; {self.remedy}"
