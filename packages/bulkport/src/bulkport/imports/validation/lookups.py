"""Rows that refer to another row by name instead of by id."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bulkport.imports.resource import Reference, Resource
from bulkport.imports.validation.row_errors import FieldError
from bulkport.imports.values.faults import code_points

_QUOTED_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Lookup:
    """A field that a row may give in place of an id."""

    reference: Reference
    name_field: str
    """Field that holds the name, in the model's Python spelling."""
    name_wire: str
    id_wire: str

    @property
    def id_field(self) -> str:
        """Model field that holds the id."""
        return self.reference.field

    def unknown_name(self, name: str) -> FieldError:
        """No row has the name."""
        quoted = name if len(name) <= _QUOTED_LENGTH else name[: _QUOTED_LENGTH - 1] + "…"
        return FieldError(self.name_wire, f"{self.reference.label} '{quoted}'{code_points(name)} does not exist")

    def is_unknown_name(self, error: FieldError) -> bool:
        """Whether an error is `unknown_name` for some name."""
        return (
            error.field == self.name_wire
            and error.message.startswith(f"{self.reference.label} '")
            and error.message.endswith(" does not exist")
        )

    def not_text(self) -> FieldError:
        """The name is not text."""
        return FieldError(self.name_wire, f"{self.name_wire} must be text")

    def both_given(self) -> FieldError:
        """Name and id contradict each other, or one of them is idle: the row is not clear."""
        return FieldError(self.name_wire, f"{self.name_wire} must not be given together with {self.id_wire}")

    def none_given(self) -> FieldError:
        """Neither name nor id, where the id is required."""
        return FieldError(self.id_wire, f"{self.id_wire} or {self.name_wire} is required")


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A row that waits for the ids behind the names it gives."""

    members: dict[str, Any]
    """What the row has besides the names."""
    names: Mapping[str, str]
    """Name by id field."""


def lookups_of(resource: Resource) -> tuple[Lookup, ...]:
    """The fields that rows may have instead of ids. A lookup field of the model itself is not a substitute."""
    return tuple(
        Lookup(
            reference,
            reference.lookup_field,
            resource.wire_names[reference.lookup_field],
            resource.wire_names[reference.field],
        )
        for reference in resource.references
        if reference.lookup_field is not None and reference.lookup_field not in resource.model.model_fields
    )
