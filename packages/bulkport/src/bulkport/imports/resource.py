"""Declare what can be imported.

A resource is a Pydantic model, a table and a few words about them. Nothing else in Bulkport knows what a platform
or a command is::

    platforms = Resource(
        name="platforms", label="Platform", label_field="platform_name", model=PlatformRow, table="platforms"
    )

gives `POST /api/platforms/bulk`, its status, its error report, and workers that fill the table.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from pydantic import BaseModel

from bulkport.errors import ResourceDeclarationError
from bulkport.imports.options import ReadingOptions

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class ConflictPolicy(StrEnum):
    """What becomes of a row whose unique key is already in the table, or earlier in the same import."""

    REJECT = "reject"
    """The row is a row error; the stored row stays as it is."""
    SKIP = "skip"
    """The row counts as a success; the stored row stays as it is."""
    UPDATE = "update"
    """The row counts as a success and replaces the stored row's imported columns. The last row of a body wins."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that holds the id of a row in another table.

    References are checked set-wise before a chunk is written, with `FOR KEY SHARE`, so an unknown id is a row
    error and not a failed chunk. With `lookup_field` a streamed row may name the other row instead of giving its
    id: `Reference("platform_id", table="platforms", label="Platform", lookup_field="platform_name",
    lookup_column="platform_name")` lets a row say `platformName`.
    """

    field: str
    """Model field that holds the id."""
    table: str
    """Table the id points into, optionally with its schema (`catalog.platforms`)."""
    label: str
    """What the other row is called in messages, such as `Platform`."""
    column: str = "id"
    """Referenced column."""
    lookup_field: str | None = None
    """Field that a streamed row may give instead, in the model's Python spelling (`platform_name`)."""
    lookup_column: str | None = None
    """Column of `table` that `lookup_field` is compared with. Where several rows match, the lowest id is taken."""

    def __post_init__(self) -> None:
        if (self.lookup_field is None) != (self.lookup_column is None):
            raise ResourceDeclarationError(f"reference {self.field!r}: lookup_field and lookup_column go together")


@dataclass(frozen=True)
class Resource:
    """One kind of record that clients may import in bulk.

    Parameters
    ----------
    name:
        URL segment and member of the JSON envelope: lower case, such as `platforms`.
    model:
        Pydantic model of one record. It has the last word on every row. Field aliases are the names on the wire.
    table:
        Table the rows go to, optionally with its schema. Columns not imported need a default.
    label:
        What one record is called in messages, such as `Platform`.
    label_field:
        Model field that names a record in `errorSummary`.
    columns:
        Column for each model field whose column has another name than the field.
    conflict, conflict_key:
        What to do on a unique violation, and (for SKIP and UPDATE) the columns of the unique key.
    references:
        Fields that hold ids of other tables.
    aliases:
        Other names of columns in files, for each model field that has some: `{"sku": ["Article no.", "Artikelnr."]}`.
    reading:
        How files are read unless a request says otherwise: `ReadingOptions(decimal=",", date_format="DD.MM.YYYY")`.

    Raises
    ------
    ResourceDeclarationError
        If a name is unusable or a field does not exist on the model.
    """

    name: str
    model: type[BaseModel]
    table: str
    label: str
    label_field: str
    columns: Mapping[str, str] = field(default_factory=dict)
    conflict: ConflictPolicy = ConflictPolicy.REJECT
    conflict_key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reading: ReadingOptions = field(default_factory=ReadingOptions)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ResourceDeclarationError(f"resource name {self.name!r} must match {_NAME.pattern}")
        fields = self.model.model_fields
        named = {self.label_field, *self.columns, *self.aliases, *(reference.field for reference in self.references)}
        if unknown := sorted(named - fields.keys()):
            raise ResourceDeclarationError(
                f"resource {self.name!r}: {self.model.__name__} has no field {', '.join(unknown)}"
            )
        if (self.conflict is ConflictPolicy.REJECT) == bool(self.conflict_key):
            raise ResourceDeclarationError(
                f"resource {self.name!r}: conflict_key is needed by SKIP and UPDATE, and by them only"
            )

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        """The model's fields in declaration order: the order of columns everywhere in the data path."""
        return tuple(self.model.model_fields)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """The table's columns, parallel to `field_names`."""
        return tuple(self.columns.get(name, name) for name in self.field_names)

    @cached_property
    def wire_names(self) -> Mapping[str, str]:
        """Name on the wire for each model field, and for each lookup field (`platform_id` → `platformId`)."""
        names = {
            name: (info.validation_alias if isinstance(info.validation_alias, str) else info.alias) or name
            for name, info in self.model.model_fields.items()
        }
        generator = self.model.model_config.get("alias_generator")
        for reference in self.references:
            if reference.lookup_field and reference.lookup_field not in names:
                alias = generator(reference.lookup_field) if callable(generator) else reference.lookup_field
                names[reference.lookup_field] = alias
        return names


class Resources(Mapping[str, Resource]):
    """The application's resources by name."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._by_name: dict[str, Resource] = {}
        for resource in resources:
            if resource.name in self._by_name:
                raise ResourceDeclarationError(f"two resources are named {resource.name!r}")
            self._by_name[resource.name] = resource

    def __getitem__(self, name: str) -> Resource:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)
