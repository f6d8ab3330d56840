"""Declare what can be imported.

A resource is a Pydantic model, a table and a few words about them. Nothing else in Bulkport knows what a platform
or a command is::

    platforms = Resource(
        name="platforms", label="Platform", label_field="platform_name", model=PlatformRow, table="platforms"
    )

gives `POST /platforms/bulk`, its status, its error report, and workers that fill the table.
"""

import dataclasses
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel

from bulkport.errors import ResourceDeclarationError
from bulkport.imports.declaration.mode_models import key_model, partial_model
from bulkport.imports.options import ReadingOptions
from bulkport.imports.write_options import WriteMode

UndoScope = Literal["created", "full"]
"""What an undo takes back."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class ConflictPolicy(StrEnum):
    """How to handle a row whose unique key is already in the table, or earlier in the same import."""

    REJECT = "reject"
    """The row is a row error; the stored row stays unchanged."""
    SKIP = "skip"
    """The row counts as a success; the stored row stays unchanged. The first row of a body wins."""
    UPDATE = "update"
    """The row counts as a success and replaces the stored row's imported columns. The last row of a body wins."""


_DEFAULT_MODES: Final = {
    ConflictPolicy.REJECT: WriteMode.INSERT,
    ConflictPolicy.SKIP: WriteMode.SKIP,
    ConflictPolicy.UPDATE: WriteMode.UPSERT,
}


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
    where: str | None = None
    """Condition on the other row, as SQL over `table`'s columns, such as `deleted_at IS NULL`."""
    match: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    """Columns of `table` that must equal the request's context: `{"org_id": "org_id"}` finds rows of the same tenant
    only."""

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
    key:
        Columns by which the modes upsert, update, skip and delete find stored rows, where no unique index is behind
        them: rows are then found under a lock by key, and of several the one with the lowest id is meant.
    conflict_where:
        Condition of the partial unique index behind `conflict_key`, such as `deleted_at IS NULL`.
    modes:
        What a request may choose by `?mode=`, beside what `conflict` says.
    context:
        Columns whose values rows may not choose, each with a FastAPI dependency that gives the request's value:
        `context={"org_id": current_org}`. They belong to every row that is written, and may be part of keys. Rows of
        another context are never found, changed or deleted.
    undo:
        What an undo takes back. `created`: rows that the import created are removed. `full`: rows that it changed or
        deleted get their old values back, too, which are kept for that as long as the import is; the table needs a
        primary key that imports do not change.
    before_row:
        Called in the worker with each valid row, an instance of the model. It may return another one, and raises
        `ValueError` with the message of a bad row. It is pure: it may be called again.
    after_chunk:
        Awaited in the transaction of each chunk with its connection and the primary keys, as text, of the rows that it
        created or changed. What it raises undoes the chunk, which is tried again.
    on_finished:
        Awaited with the import (`ImportJob`) when it has ended, in a background job that is queued with the import.

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
    key: tuple[str, ...] = ()
    conflict_where: str | None = None
    modes: tuple[WriteMode, ...] = ()
    context: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    undo: UndoScope = "created"
    before_row: Callable[[Any], Any] | None = None
    after_chunk: Callable[[Any, list[str]], Awaitable[None]] | None = None
    on_finished: Callable[[Any], Awaitable[None]] | None = None
    mode: WriteMode | None = field(default=None, repr=False)
    """Set by `for_mode`."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ResourceDeclarationError(f"resource name {self.name!r} must match {_NAME.pattern}")
        fields = self.model.model_fields
        named = {self.label_field, *self.columns, *self.aliases, *(reference.field for reference in self.references)}
        if unknown := sorted(named - fields.keys()):
            raise ResourceDeclarationError(
                f"resource {self.name!r}: {self.model.__name__} has no field {', '.join(unknown)}"
            )
        if self.conflict is not ConflictPolicy.REJECT and not self.write_key:
            raise ResourceDeclarationError(f"resource {self.name!r}: SKIP and UPDATE need a conflict_key, or a key")
        if self.conflict is ConflictPolicy.REJECT and self.conflict_key:
            raise ResourceDeclarationError(
                f"resource {self.name!r}: conflict_key is for SKIP and UPDATE; name the key of other modes by key="
            )
        columns = {*self.column_names, *self.context}
        if unknown := sorted(
            part for part in {*self.conflict_key, *self.key} if "(" not in part and part not in columns
        ):
            raise ResourceDeclarationError(
                f"resource {self.name!r}: the key's {', '.join(unknown)} is no imported column of table {self.table}"
            )
        if clash := sorted({*self.column_names} & self.context.keys()):
            raise ResourceDeclarationError(
                f"resource {self.name!r}: {', '.join(clash)} is both in the model and in the context: leave it out of "
                "the model, for rows may not choose it"
            )
        for reference in self.references:
            if unknown := sorted(set(reference.match.values()) - self.context.keys()):
                raise ResourceDeclarationError(
                    f"resource {self.name!r}: the reference {reference.field} matches {', '.join(unknown)}, which the "
                    "context does not have; name it in context="
                )
        if self.undo not in get_args(UndoScope):
            raise ResourceDeclarationError(f"resource {self.name!r}: undo is created or full, not {self.undo!r}")
        if any(mode not in (WriteMode.INSERT, self.default_mode) for mode in self.modes) and not self.write_key:
            raise ResourceDeclarationError(f"resource {self.name!r}: the modes {', '.join(self.modes)} need a key")

    @property
    def default_mode(self) -> WriteMode:
        """What an import does that chooses no mode."""
        return self.mode or _DEFAULT_MODES[self.conflict]

    def for_mode(self, mode: WriteMode) -> "Resource":
        """The resource in this mode: delete accepts only keys, update only the fields to change."""
        if mode is self.default_mode:
            return self
        if mode not in self._in_modes:
            self._in_modes[mode] = in_mode(self, mode)
        return self._in_modes[mode]

    @cached_property
    def _in_modes(self) -> dict[WriteMode, "Resource"]:
        return {}

    @classmethod
    def of(cls, mapped: type, **options: Any) -> "Resource":
        """A resource from a class that SQLAlchemy or SQLModel maps to a table: see `of_model.resource_of`."""
        from bulkport.imports.declaration.of_model import resource_of  # noqa: PLC0415 # which builds resources

        return resource_of(mapped, **options)

    @property
    def allowed_modes(self) -> tuple[WriteMode, ...]:
        """The modes that a request may choose."""
        return tuple(dict.fromkeys((self.default_mode, *map(WriteMode, self.modes))))

    @property
    def keeps_order(self) -> bool:
        """Whether rows are written in the order of the body, as it decides which row of a key stays."""
        return self.conflict is not ConflictPolicy.REJECT

    @property
    def write_key(self) -> tuple[str, ...]:
        """Columns, or expressions over columns, by which stored rows are found."""
        return self.conflict_key or self.key

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


def in_mode(resource: Resource, mode: WriteMode) -> Resource:
    """A resource with a mode other than its own."""
    conflict = ConflictPolicy.REJECT if mode is WriteMode.INSERT else ConflictPolicy.UPDATE
    options: dict[str, Any] = {
        "mode": mode,
        "conflict": conflict,
        "conflict_key": () if mode is WriteMode.INSERT else resource.conflict_key,
        "key": resource.write_key,
    }
    fields = {resource.columns.get(name, name): name for name in resource.model.model_fields}
    key = [fields[part] for part in resource.write_key if part in fields]
    if mode is WriteMode.UPDATE:
        options["model"] = partial_model(resource.model, key)
    elif mode is WriteMode.DELETE and len(key) == len([p for p in resource.write_key if p not in resource.context]):
        model = key_model(resource.model, key)
        options |= {
            "model": model,
            "label_field": resource.label_field if resource.label_field in key else key[0],
            "columns": {name: column for name, column in resource.columns.items() if name in key},
            "references": tuple(reference for reference in resource.references if reference.field in key),
            "aliases": {name: names for name, names in resource.aliases.items() if name in key},
        }
    return dataclasses.replace(resource, **options)


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
