"""A resource from a mapped class of SQLAlchemy or SQLModel: its columns become the rows' model, its keys references.

SQLAlchemy is not a dependency: a mapped class brings all that is read of it.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from importlib import import_module
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from bulkport.errors import ResourceDeclarationError
from bulkport.imports.resource import ConflictPolicy, Reference, Resource

_PLAIN: Final = frozenset({int, str, float, bool, bytes, Decimal, date, datetime, time, timedelta, UUID})
_LITERALS: Final = {"true": True, "false": False, "null": None}


def resource_of(
    mapped: type,
    *,
    exclude: Collection[str] = (),
    lookups: Mapping[str, str] | None = None,
    **options: Any,
) -> Resource:
    """A resource whose rows go to a mapped class's table.

    Left out are what the database makes (primary keys that it numbers, identity and generated columns, defaults that
    are functions of the database), columns of the context, and `exclude`.

    Parameters
    ----------
    mapped:
        A class with a `__table__`, mapped by SQLAlchemy or SQLModel.
    exclude:
        Attributes that are not to be imported.
    lookups:
        Column of the other table by which rows may name it, for each attribute with a foreign key:
        `{"maker_id": "name"}` lets a row say `maker`.
    options:
        What `Resource` takes; what is not given is read off the class.

    Raises
    ------
    ResourceDeclarationError
        If it is not a mapped class, or an attribute does not exist.
    """
    table = getattr(mapped, "__table__", None)
    mapper = getattr(mapped, "__mapper__", None)
    if table is None or mapper is None:
        raise ResourceDeclarationError(f"{mapped.__name__} is not a class that SQLAlchemy or SQLModel maps to a table")
    if len(mapper.tables) > 1:
        tables = " and ".join(each.name for each in mapper.tables)
        raise ResourceDeclarationError(f"{mapped.__name__} has columns in {tables}: a resource writes to one table")
    # Other attributes are expressions, such as those of `column_property`.
    attributes = {
        attribute.key: attribute.columns[0]
        for attribute in mapper.column_attrs
        if getattr(attribute.columns[0], "table", None) is table
    }
    wished = {*exclude, *(lookups or {})}
    if unknown := sorted(wished - attributes.keys()):
        raise ResourceDeclarationError(f"{mapped.__name__} has no attribute {', '.join(unknown)}")
    context = options.get("context", {})
    imported = {
        name: column
        for name, column in attributes.items()
        if name not in exclude and column.name not in context and not _is_made_by_the_database(column, table)
    }
    kinds = _discriminator(mapper)
    fields: dict[str, Any] = {
        name: kinds if kinds and column is mapper.polymorphic_on else _field(column)
        for name, column in imported.items()
    }
    model: type[BaseModel] = create_model(
        f"{mapped.__name__}Row", __config__=ConfigDict(alias_generator=to_camel, populate_by_name=True), **fields
    )
    keys = [key for key in _unique_keys(table) if set(key) <= {c.name for c in imported.values()} | set(context)]
    by_column = {column.name: name for name, column in imported.items()}
    settings: dict[str, Any] = {
        "name": (mapped.__name__ if mapper.single else table.name).replace("_", "-").lower(),
        "label": _words(mapped.__name__),
        "label_field": _label_field(model, keys, by_column),
        "model": model,
        "table": f"{table.schema}.{table.name}" if table.schema else table.name,
        "columns": {name: column.name for name, column in imported.items() if column.name != name},
        "references": tuple(_references(mapped, imported, lookups or {})),
    }
    if keys and "key" not in options and "conflict_key" not in options:
        rejects = options.get("conflict", ConflictPolicy.REJECT) is ConflictPolicy.REJECT
        settings["key" if rejects else "conflict_key"] = keys[0]
    return Resource(**{**settings, **options})


def _discriminator(mapper: Any) -> tuple[Any, Any] | None:
    """Type and default of the column that distinguishes a class from its heirs in one table; None: no such column."""
    own = mapper.polymorphic_identity
    if mapper.polymorphic_on is None or own is None:
        return None
    heirs = [heir for heir in mapper.self_and_descendants if heir.local_table is mapper.local_table]
    return Literal[tuple(heir.polymorphic_identity for heir in heirs if heir.polymorphic_identity is not None)], own


def _is_made_by_the_database(column: Any, table: Any) -> bool:
    if column.computed is not None or column.identity is not None or column is table.autoincrement_column:
        return True
    return column.server_default is not None and column.default is None and _literal(column) is ...


def _literal(column: Any) -> Any:
    """The value of a server default that is a constant; `...` if it is not."""
    argument = getattr(column.server_default, "arg", None)
    text = str(argument) if argument is not None else ""
    if text.strip("'").lower() in _LITERALS:
        return _LITERALS[text.strip("'").lower()]
    if isinstance(argument, str):
        quoted: str | None = argument
    else:
        found = re.fullmatch(r"'((?:[^']|'')*)'(?:::[\w ]+)?|(-?\d+(?:\.\d+)?)", text)
        quoted = (found[2] or found[1].replace("''", "'")) if found else None
    if quoted is None:
        return ...
    try:
        return column.type.python_type(quoted)
    except (NotImplementedError, TypeError, ValueError, ArithmeticError):
        return ...


def _field(column: Any) -> tuple[Any, Any]:
    own = column.type
    if _python_type(own) not in _PLAIN:
        own = getattr(own, "impl_instance", own)  # what a `TypeDecorator` decorates
    kind: Any = _type(own)
    if hasattr(column.type, "impl_instance") and (convert := _conversion(column.type)) is not None:
        # How long the stored text is, the column says. Bytes are mostly made of something else.
        kind = {str: str, bytes: Any}.get(_python_type(own), kind)
        kind = Annotated[kind, AfterValidator(convert)]
    if column.nullable:
        kind = kind | None
    default = column.default
    if default is not None and default.is_scalar:
        return kind, default.arg
    if default is not None and default.is_callable:
        return kind, Field(default_factory=lambda: default.arg(None))
    if column.server_default is not None and (value := _literal(column)) is not ...:
        return kind, value
    return kind, None if column.nullable else ...


def _conversion(kind: Any) -> Callable[[Any], Any] | None:
    """What a `TypeDecorator` makes of a value before it is stored; None if it has nothing to do."""
    decorator: Any = next((base for base in type(kind).__mro__ if base.__name__ == "TypeDecorator"), None)
    if decorator is None or type(kind).process_bind_param is decorator.process_bind_param:
        return None
    package = decorator.__module__.partition(".")[0]
    dialect = import_module(f"{package}.dialects.postgresql").dialect()
    return lambda value: kind.process_bind_param(value, dialect)


def _type(kind: Any) -> Any:
    """The Python type of a column, with its constraints."""
    if (enum := getattr(kind, "enum_class", None)) is not None and issubclass(enum, Enum):
        # The database has the members' names, or what the type was set to store.
        return Literal[tuple(kind.enums)]
    if getattr(kind, "enums", None):
        return Literal[tuple(kind.enums)]
    if (item := getattr(kind, "item_type", None)) is not None:
        kinds: Any = _type(item)
        for _ in range(kind.dimensions or 1):
            kinds = list[kinds]
        return kinds
    python = _python_type(kind)
    if python is dict or kind.__class__.__name__.upper() in ("JSON", "JSONB"):
        return Any
    if python not in _PLAIN:  # a class of SQLAlchemy's own, such as that for strings of bits
        python = str if isinstance(python, type) and issubclass(python, str) else Any
    if python is str and getattr(kind, "length", None):
        return Annotated[str, Field(max_length=kind.length)]
    if python is Decimal and getattr(kind, "precision", None):
        return Annotated[Decimal, Field(max_digits=kind.precision, decimal_places=kind.scale or 0)]
    return python


def _python_type(kind: Any) -> Any:
    try:
        return kind.python_type
    except NotImplementedError:
        return Any


def _unique_keys(table: Any) -> Iterator[tuple[str, ...]]:
    """Natural keys first: columns of unique constraints and indexes, then the primary key."""
    for column in table.columns:
        if column.unique:
            yield (column.name,)
    for constraint in sorted(table.constraints, key=lambda found: str(found.name)):
        if type(constraint).__name__ == "UniqueConstraint":
            yield tuple(column.name for column in constraint.columns)
    for index in sorted(table.indexes, key=lambda found: str(found.name)):
        is_plain = all(hasattr(part, "name") and hasattr(part, "table") for part in index.expressions)
        is_partial = index.dialect_options["postgresql"].get("where") is not None
        if index.unique and is_plain and not is_partial:
            yield tuple(column.name for column in index.columns)
    yield tuple(column.name for column in table.primary_key.columns)


def _references(mapped: Any, imported: Mapping[str, Any], lookups: Mapping[str, str]) -> Iterator[Reference]:
    labels = {mapper.local_table: _words(mapper.class_.__name__) for mapper in mapped.__mapper__.registry.mappers}
    for name, column in imported.items():
        keys = [key for key in column.foreign_keys if key.constraint is None or len(key.constraint.elements) == 1]
        if not keys:
            if name in lookups:
                raise ResourceDeclarationError(f"{mapped.__name__}.{name} has no foreign key to look up")
            continue
        other = keys[0].column
        lookup = lookups.get(name)
        yield Reference(
            name,
            table=f"{other.table.schema}.{other.table.name}" if other.table.schema else other.table.name,
            label=labels.get(other.table, _words(other.table.name.rstrip("s").title())),
            column=other.name,
            lookup_field=None if lookup is None else _lookup_field(name, lookup),
            lookup_column=lookup,
        )


def _lookup_field(name: str, column: str) -> str:
    return name.removesuffix("_id") if name.endswith("_id") else f"{name}_{column}"


def _label_field(model: type[BaseModel], keys: list[tuple[str, ...]], by_column: Mapping[str, str]) -> str:
    for key in keys:
        for column in reversed(key):
            if column in by_column:
                return by_column[column]
    names = list(model.model_fields)
    if not names:
        raise ResourceDeclarationError(f"{model.__name__}: nothing is left to import")
    return names[0]


def _words(name: str) -> str:
    """`OrderLine` → `Order line`, `order_lines` → `Order lines`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).strip().lower()
    return words[:1].upper() + words[1:]
