"""A model's validator without Pydantic's conversions: Bulkport reads values, Pydantic checks constraints.

Pydantic takes digits for a moment since 1970 and `4_0` for 40. So the core schema that it compiled from the model is
rewritten: in front of each type that it would convert to stands an exact reader (`exact_leaves`), and the type itself
takes nothing but what the reader gives.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, EncodedBytes, IPvAnyAddress, IPvAnyInterface, IPvAnyNetwork
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from bulkport.imports.validation import exact_leaves as leaves
from bulkport.imports.validation.literals import literal_reader, read_json_cell
from bulkport.imports.values.arrays import TextArray
from bulkport.imports.values.column_type import ColumnType, TypeKind
from bulkport.imports.values.composite_text import TextRecord
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.options import ValueOptions

Schema: TypeAlias = Mapping[str, Any]

FAULT_TYPE: Final = "bulkport_fault"
"""Type of the errors that readers raise; their context has `text` and `value` (see `ValueFault`)."""
TEXT_ITEMS: Final = "bulkport:text"
JSON_ITEMS: Final = "bulkport:json"
"""Steps in an error's place that are the schema's own."""

_ADDRESS_TYPES: Final[Any] = (IPvAnyAddress, IPvAnyInterface, IPvAnyNetwork)
_LISTS: Final = frozenset({"list", "set", "frozenset", "tuple", "generator"})
_OBJECTS: Final = frozenset({"dict", "typed-dict", "model", "dataclass", "tagged-union"})
# Where a schema's parts stand; all else is data of its own.
_ONE: Final = (
    *("schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "extras_keys_schema"),
    *("arguments_schema", "json_schema", "python_schema", "lax_schema", "strict_schema"),
)
_MANY: Final = ("choices", "steps", "fields", "items_schema")
_COMPILING: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Place:
    """The location of a schema in the model."""

    is_text: bool
    """Whether values come as text; else as JSON."""
    is_top: bool
    """Whether the fields of the row are still to come."""
    column: ColumnType | None = None
    bytes_encoding: str = "utf8"


def exact_validator(
    model: type[BaseModel], options: ValueOptions, columns: Mapping[str, ColumnType], *, is_text: bool
) -> SchemaValidator:
    """The validator of a model for rows of JSON values or of text cells, as Python values by key.

    Parameters
    ----------
    columns:
        Type of each field's column, as far as it is known.
    """
    return _exact_validator(model, options, tuple(columns.items()), is_text)


@lru_cache(maxsize=512)
def _exact_validator(
    model: type[BaseModel],
    options: ValueOptions,
    columns: tuple[tuple[str, ColumnType], ...],
    is_text: bool,
) -> SchemaValidator:
    schema: Schema = model.__pydantic_core_schema__
    definitions: Sequence[Schema] = ()
    if schema["type"] == "definitions":
        definitions, schema = schema["definitions"], schema["schema"]
    rewriting = _Rewriting(options, dict(columns), {definition["ref"]: definition for definition in definitions})
    if schema["type"] == "definition-ref":
        schema = rewriting.definitions[schema["schema_ref"]]
    exact: Any = rewriting.rewrite(schema, _Place(is_text=is_text, is_top=True))
    if definitions:
        nested = _Place(is_text=False, is_top=False)
        inner: Any = [{**rewriting.rewrite(part, nested), "ref": part["ref"]} for part in definitions]
        exact = core_schema.definitions_schema(exact, inner)
    return _compiled(exact)


def _compiled(schema: Any) -> SchemaValidator:
    try:
        # Else the validators that Pydantic has made of nested models would be used as they are.
        return SchemaValidator(schema, None, _use_prebuilt=False)
    except TypeError:
        # Before Pydantic 2.13 it can only be kept from them by classes that look unfinished meanwhile.
        with _COMPILING, _unfinished(set(_classes_in(schema))):
            return SchemaValidator(schema)


@contextmanager
def _unfinished(classes: set[type]) -> Iterator[None]:
    finished = [kind for kind in classes if vars(kind).get("__pydantic_complete__") is True]
    for kind in finished:
        kind.__pydantic_complete__ = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for kind in finished:
            kind.__pydantic_complete__ = True  # type: ignore[attr-defined]


def _classes_in(schema: Any) -> Iterator[type]:
    """The classes of models and dataclasses in a schema."""
    if isinstance(schema, Mapping):
        if schema.get("type") in ("model", "dataclass") and isinstance(schema.get("cls"), type):
            yield schema["cls"]
        parts: Any = [part for name, part in schema.items() if name != "metadata"]
    else:
        parts = schema if isinstance(schema, list | tuple) else ()
    for part in parts:
        yield from _classes_in(part)


class _Rewriting:
    def __init__(
        self, options: ValueOptions, columns: Mapping[str, ColumnType], definitions: Mapping[str, Schema]
    ) -> None:
        self._options = options
        self._columns = columns
        self.definitions = definitions
        self._open: list[str] = []

    def rewrite(self, schema: Schema, place: _Place) -> dict[str, Any]:
        kind = schema["type"]
        schema = {key: value for key, value in schema.items() if key != "ref"}
        if kind == "definition-ref":
            return self._inlined(schema, place)
        if kind == "lax-or-strict":
            return self.rewrite(schema["lax_schema" if place.is_text else "strict_schema"], place)
        if kind == "json-or-python":
            return self.rewrite(schema["json_schema"], place)
        if kind in {"nullable", "default"}:
            return {**schema, "schema": self.rewrite(schema["schema"], place)}
        if kind == "model-fields" and place.is_top:
            fields = {name: self._field(name, field, place) for name, field in schema["fields"].items()}
            return {**schema, "fields": fields}
        if not place.is_top and place.is_text and (kind in _LISTS or kind in _OBJECTS):
            return self._container(schema, place)
        if kind == "any" and place.is_text and leaves.is_json_column(place.column):
            return _read_by(read_json_cell, schema)
        leaf = self._leaf(schema, place)
        return self._parts(schema, place) if leaf is None else leaf

    def _field(self, name: str, field: Schema, place: _Place) -> dict[str, Any]:
        inner = replace(place, is_top=False, column=self._columns.get(name))
        if place.is_text:  # a cell has the name of its field; aliases are for members of objects in it
            field = {key: value for key, value in field.items() if key != "validation_alias"}
        return {**field, "schema": self.rewrite(field["schema"], inner)}

    def _inlined(self, schema: dict[str, Any], place: _Place) -> dict[str, Any]:
        """A definition itself where it is read from text: the shared one reads JSON."""
        name = schema["schema_ref"]
        if not place.is_text or name in self._open:
            return schema
        self._open.append(name)
        try:
            return self.rewrite(self.definitions[name], place)
        finally:
            self._open.pop()

    def _parts(self, schema: dict[str, Any], place: _Place) -> dict[str, Any]:
        if "strict" in schema:
            schema = {**schema, "strict": False}
        if "config" in schema:
            config = schema["config"]
            place = replace(place, bytes_encoding=config.get("val_json_bytes", place.bytes_encoding))
            schema = {**schema, "config": {key: value for key, value in config.items() if key != "strict"}}
        if schema["type"] == "function-after" and _is_of(schema["function"]["function"], (EncodedBytes,)):
            place = replace(place, bytes_encoding=leaves.AS_TEXT)
        if place.column is not None and schema["type"] in _LISTS:
            place = replace(place, column=place.column.element)
        elif schema["type"] in _OBJECTS and not place.is_top:
            place = replace(place, column=None)
        elif schema["type"] == "json":
            place = replace(place, column=None, is_text=False)
        found = {key: self.rewrite(schema[key], place) for key in _ONE if isinstance(schema.get(key), Mapping)}
        for key in _MANY:
            if key in schema and key not in found:
                found[key] = self._several(schema[key], place)
        if schema["type"] == "union":
            # Errors name the alternative by its type, not by the reader in front of it.
            named = zip(schema["choices"], self._several(schema["choices"], place), strict=True)
            choices: Any = [part if isinstance(part, tuple) else (part, old["type"]) for old, part in named]
            found["choices"] = choices
        return {**schema, **found}

    def _several(self, parts: Any, place: _Place) -> Any:
        if isinstance(parts, Mapping):
            return {name: self.rewrite(part, place) if _is_schema(part) else part for name, part in parts.items()}
        if not isinstance(parts, list | tuple):
            return parts
        return [
            (self.rewrite(part[0], place), *part[1:])
            if isinstance(part, tuple)
            else self.rewrite(part, place)
            if _is_schema(part)
            else part
            for part in parts
        ]

    def _container(self, schema: dict[str, Any], place: _Place) -> dict[str, Any]:
        """A list or an object in a cell: JSON, or PostgreSQL's literal for the column, whose elements are text."""
        as_json = self.rewrite(schema, replace(place, is_text=False))
        read = literal_reader(place.column, is_object=schema["type"] in _OBJECTS)
        if read is None:
            return _read_by(read_json_cell, as_json)
        items: Any = {TEXT_ITEMS: self._parts(schema, place), JSON_ITEMS: as_json}
        return _read_by(read, core_schema.tagged_union_schema(items, _items_tag))

    def _leaf(self, schema: dict[str, Any], place: _Place) -> dict[str, Any] | None:
        """A type that Pydantic converts to, behind its exact reader."""
        options, is_text = self._options, place.is_text
        strict = {**schema, "strict": True}
        match schema["type"]:
            case "int":
                return _read_by(leaves.integer_reader(options), strict) if is_text else strict
            case "float":
                allowed = allows_special_floats(schema) and _is_float_column(place.column)
                reader = leaves.float_reader(options, is_text=is_text, allow_special=allowed)
                return _read_by(reader, {**strict, "allow_inf_nan": allowed}, keeps=True)
            case "decimal":
                return _read_by(leaves.decimal_reader(options), strict)
            case "bool":
                return _read_by(leaves.boolean_reader(options), strict) if is_text else strict
            case "str":
                text = leaves.text_reader(options)
                return strict if text is None else _read_by(text, strict)
            case "date":
                return _read_by(leaves.date_reader(options), {**schema, "strict": False})
            case "datetime":
                is_aware = schema.get("tz_constraint") not in (None, "naive")
                return _read_by(leaves.datetime_reader(options, place.column, is_aware=is_aware), strict)
            case "time":
                return _read_by(leaves.time_reader(), strict)
            case "timedelta":
                return _read_by(leaves.duration_reader(), strict)
            case "uuid":
                return _read_by(leaves.uuid_reader(), strict)
            case "bytes":
                return _read_by(leaves.bytes_reader(place.bytes_encoding), strict)
            case "enum":
                return _read_by(leaves.enum_reader(schema, is_text=is_text), {**schema, "strict": False})
            case "function-plain" if _is_of(schema["function"]["function"], _ADDRESS_TYPES):
                return _read_by(leaves.address_reader(), schema)
            case "literal" if is_text:
                return _read_by(leaves.literal_reader(schema), schema)
        return None


def allows_special_floats(schema: Schema) -> bool:
    """Whether the model says that a float may be NaN or infinite; Pydantic's own default says nothing."""
    return schema.get("allow_inf_nan") is True


def _is_of(function: Any, owners: tuple[type, ...]) -> bool:
    """Whether a function is a method of one of Pydantic's own types."""
    owner = getattr(function, "__self__", None)
    return isinstance(owner, owners) or (isinstance(owner, type) and issubclass(owner, owners))


def _items_tag(value: Any) -> str:
    return TEXT_ITEMS if isinstance(value, TextArray | TextRecord) else JSON_ITEMS


def _is_float_column(column: ColumnType | None) -> bool:
    return column is None or (column.kind is TypeKind.BASE and column.name in ("float4", "float8"))


def _is_schema(part: Any) -> bool:
    return isinstance(part, Mapping) and "type" in part


def _read_by(read: leaves.Reader, schema: Any, *, keeps: bool = False) -> dict[str, Any]:
    """A schema behind a reader.

    Parameters
    ----------
    keeps:
        Whether what was read stays the value where the schema gives an equal one, because it knows more than that.
    """

    def check(value: Any) -> Any:
        try:
            return read(value)
        except ValueFault as fault:
            context = {"text": fault.message, "value": fault.value}
            raise PydanticCustomError(FAULT_TYPE, "{text}", context) from None

    def check_and_keep(value: Any, handler: Any) -> Any:
        found = check(value)
        checked = handler(found)
        return found if isinstance(found, float) and found == checked else checked

    if keeps:
        return dict(core_schema.no_info_wrap_validator_function(check_and_keep, schema))
    return dict(core_schema.no_info_before_validator_function(check, schema))
