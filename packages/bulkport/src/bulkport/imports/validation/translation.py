"""Which models the fast path understands, and how it sees their fields.

The translation reads the core schema that Pydantic compiled from the model, and knows a field only if it knows every
key of the field's schema: what is not listed here is Pydantic's alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BaseModel

from bulkport.imports.validation.not_blank import NOT_BLANK_PATTERN


@dataclass(frozen=True, slots=True)
class TextRule:
    """What plain text must be."""

    min_length: int
    """In characters."""
    max_length: int | None
    not_blank: bool


@dataclass(frozen=True, slots=True)
class IntRule:
    """What a whole number must be, bounds included."""

    minimum: int | None
    maximum: int | None


class Leaf(StrEnum):
    """The kind of a field, for reading the text of a cell."""

    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    AWARE = "datetime with an offset"
    NAIVE = "datetime without an offset"
    UUID = "uuid"
    CHOICE = "choice"
    JSON = "json"
    JSON_OBJECT = "json object"
    TEXTS = "list of texts"


@dataclass(frozen=True, slots=True)
class CellRule:
    """What the cells of a field without constraints are."""

    leaf: Leaf
    choices: tuple[str, ...] = ()
    """The texts that a choice has."""


@dataclass(frozen=True, slots=True)
class PlainField:
    """A field of a model whose constraints are plain."""

    name: str
    wire_name: str
    type: Any
    """What msgspec checks: the field's type and all of its constraints but `TextRule.not_blank`. None where msgspec
    would convert: such fields are read by `cells` alone."""
    rule: TextRule | IntRule | None
    """The constraints as data, where the field is text or a whole number."""
    is_nullable: bool
    default: Any
    """The value of a missing field; `msgspec.NODEFAULT` if it is required."""
    cells: CellRule | None
    """The type of the field's cells, if neither text nor integer."""
    is_float: bool


@dataclass(frozen=True, slots=True)
class PlainModel:
    """A model whose constraints are plain."""

    fields: tuple[PlainField, ...]
    forbids_unknown_fields: bool


class _NotPlainError(Exception):
    """Only Pydantic understands this."""


# Keys that change nothing of what is accepted, or of the value that comes out.
_MODEL_CONFIG: Final = {
    "title",
    "extra_fields_behavior",
    "validate_by_name",
    "validate_by_alias",
    "populate_by_name",
    "loc_by_alias",
    "from_attributes",
    "frozen",
}
_MODEL: Final = {
    "type",
    "cls",
    "config",
    "schema",
    "custom_init",
    "root_model",
    "frozen",
    "metadata",
    "ref",
    "serialization",
}
_MODEL_FIELDS: Final = {"type", "fields", "model_name", "computed_fields", "extra_behavior", "metadata", "ref"}
_MODEL_FIELD: Final = {
    "type",
    "schema",
    "validation_alias",
    "serialization_alias",
    "serialization_exclude",
    "serialization_exclude_if",
    "frozen",
    "metadata",
}
_ANY_TYPE: Final = {"type", "strict", "metadata", "serialization", "ref"}
_IMMUTABLE: Final = (str, int, float, date, Enum, type(None))


@lru_cache(maxsize=256)
def translate(model: type[BaseModel]) -> PlainModel | None:
    """The model for the fast path; None if only Pydantic supports it."""
    try:
        return _plain_model(model)
    except _NotPlainError:
        return None


def _plain_model(model: type[BaseModel]) -> PlainModel:
    schema: Mapping[str, Any] = model.__pydantic_core_schema__
    config = schema.get("config", {})
    _require(schema["type"] == "model" and schema.keys() <= _MODEL and config.keys() <= _MODEL_CONFIG)
    _require(schema["cls"] is model and not schema.get("custom_init") and not schema.get("root_model"))
    _require(model.__new__ is object.__new__ or model.__new__ is BaseModel.__new__)
    _require(config.get("validate_by_alias", True) is True)
    fields = schema["schema"]
    _require(fields["type"] == "model-fields" and fields.keys() <= _MODEL_FIELDS)
    extra = {config.get("extra_fields_behavior") or "ignore", fields.get("extra_behavior") or "ignore"}
    _require(extra <= {"ignore", "forbid"})
    plain = tuple(_plain_field(name, field) for name, field in fields["fields"].items())
    _require(len({field.wire_name for field in plain}) == len(plain))
    return PlainModel(plain, "forbid" in extra)


def _plain_field(name: str, field: Mapping[str, Any]) -> PlainField:
    _require(field["type"] == "model-field" and field.keys() <= _MODEL_FIELD)
    wire_name = field.get("validation_alias", name)
    _require(isinstance(wire_name, str))
    schema, default = field["schema"], msgspec.NODEFAULT
    if schema["type"] == "default":
        _require(schema.keys() <= _ANY_TYPE | {"schema", "default"} and "default" in schema)
        default = schema["default"]
        _require(isinstance(default, _IMMUTABLE))
        schema = schema["schema"]
    is_nullable = schema["type"] == "nullable"
    if is_nullable:
        _require(schema.keys() <= _ANY_TYPE | {"schema"})
        schema = schema["schema"]
    kind, rule, cells = _plain_type(schema)
    return PlainField(
        name,
        wire_name,
        kind | None if is_nullable and kind is not None else kind,
        rule,
        is_nullable,
        default,
        cells,
        schema["type"] == "float",
    )


def _plain_type(schema: Mapping[str, Any]) -> tuple[Any, TextRule | IntRule | None, CellRule | None]:
    constraints = {key: value for key, value in schema.items() if key not in _ANY_TYPE}
    match schema["type"]:
        case "str":
            return *_plain_text(constraints), None
        case "int":
            return *_plain_int(constraints), None
        case "float":
            _require(constraints.keys() <= {"gt", "ge", "lt", "le", "allow_inf_nan"})
            constraints.pop("allow_inf_nan", None)  # JSON has neither
            return _constrained(float, constraints), None, None if constraints else CellRule(Leaf.FLOAT)
        case "bool":
            _require(not constraints)
            return bool, None, CellRule(Leaf.BOOLEAN)
        case "date":
            _require(not constraints)
            return date, None, CellRule(Leaf.DATE)
        case "enum":
            _require(constraints.keys() <= {"cls", "members", "sub_type"})
            _require(schema.get("sub_type") in ("str", "int", None))
            values = [member.value for member in schema["members"]]
            _require_one_type(values)
            # Aliases and members of a `_missing_` hook are found by Pydantic alone.
            _require(list(schema["cls"]) == schema["members"] and "_missing_" not in vars(schema["cls"]))
            return schema["cls"], None, _choice(values)
        case "literal":
            _require(constraints.keys() <= {"expected"})
            _require_one_type(schema["expected"])
            return Literal[tuple(schema["expected"])], None, _choice(schema["expected"])
    return None, None, _cells_only(schema["type"], constraints)


def _cells_only(kind: str, constraints: Mapping[str, Any]) -> CellRule:
    """Types that msgspec would convert to less exactly than the readers do."""
    match kind:
        case "decimal" | "uuid" | "any":
            _require(not constraints)
            return CellRule({"decimal": Leaf.DECIMAL, "uuid": Leaf.UUID, "any": Leaf.JSON}[kind])
        case "datetime":
            _require(constraints.keys() <= {"tz_constraint", "microseconds_precision"})
            zone = constraints.get("tz_constraint")
            _require(zone in (None, "aware", "naive"))
            return CellRule({None: Leaf.DATETIME, "aware": Leaf.AWARE, "naive": Leaf.NAIVE}[zone])
        case "dict":
            _require(constraints == {"keys_schema": {"type": "str"}, "values_schema": {"type": "any"}})
            return CellRule(Leaf.JSON_OBJECT)
        case "list":
            _require(constraints == {"items_schema": {"type": "str"}})
            return CellRule(Leaf.TEXTS)
    raise _NotPlainError


def _choice(values: list[Any]) -> CellRule:
    return CellRule(Leaf.CHOICE, tuple(value for value in values if isinstance(value, str)))


def _plain_int(constraints: Mapping[str, Any]) -> tuple[Any, IntRule]:
    _require(constraints.keys() <= {"gt", "ge", "lt", "le"})
    lower = [constraints[key] + step for key, step in (("gt", 1), ("ge", 0)) if key in constraints]
    upper = [constraints[key] - step for key, step in (("lt", 1), ("le", 0)) if key in constraints]
    _require(all(type(bound) is int for bound in (*lower, *upper)))
    number = IntRule(max(lower, default=None), min(upper, default=None))
    bounds = {"ge": number.minimum, "le": number.maximum}
    return _constrained(int, {key: bound for key, bound in bounds.items() if bound is not None}), number


def _plain_text(constraints: Mapping[str, Any]) -> tuple[Any, TextRule]:
    _require(constraints.keys() <= {"min_length", "max_length", "pattern"})
    _require(constraints.get("pattern") in (None, NOT_BLANK_PATTERN))
    rule = TextRule(constraints.get("min_length") or 0, constraints.get("max_length"), "pattern" in constraints)
    lengths = {"min_length": rule.min_length or None, "max_length": rule.max_length}
    return _constrained(str, {key: length for key, length in lengths.items() if length is not None}), rule


def _constrained(kind: type, constraints: dict[str, Any]) -> Any:
    return Annotated[kind, msgspec.Meta(**constraints)] if constraints else kind


def _require_one_type(values: list[Any]) -> None:
    _require({type(value) for value in values} in ({str}, {int}))


def _require(condition: bool) -> None:
    if not condition:
        raise _NotPlainError
