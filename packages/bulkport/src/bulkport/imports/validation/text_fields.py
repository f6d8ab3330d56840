"""The meaning of an empty cell for each field of a model."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel

from bulkport.imports.values.options import Blank


class EmptyCell(Enum):
    """What an empty cell means."""

    ABSENT = "absent"
    """The row does not have the field: its default, or an error."""
    NULL = "null"
    """The field is null."""
    TEXT = "text"
    """The field is the empty text."""


# Types of which a text of blanks alone is not a value.
_BLANKLESS: Final = frozenset(
    {"int", "float", "decimal", "bool", "date", "datetime", "time", "timedelta", "uuid"},
)
_WRAPPERS: Final = ("function-before", "function-after", "function-wrap", "default")


def empty_cells(model: type[BaseModel], blank: Blank | None = None) -> dict[str, EmptyCell]:
    """What an empty cell means for each field.

    Parameters
    ----------
    blank:
        What the import says; without it the field's default, else null if it may be null, else empty text.
    """
    schemas = field_schemas(model)
    meanings = {name: _meaning(schemas.get(name, {"type": "unknown"})) for name in model.model_fields}
    match blank:
        case Blank.KEEP:
            return dict.fromkeys(meanings, EmptyCell.ABSENT)
        case Blank.NULL:
            return {
                name: EmptyCell.NULL if _is_nullable(schemas.get(name, {"type": "unknown"})) else EmptyCell.ABSENT
                for name in meanings
            }
        case Blank.EMPTY:
            return {
                name: EmptyCell.TEXT if is_text(schemas.get(name, {"type": "unknown"})) else meaning
                for name, meaning in meanings.items()
            }
    return {
        name: EmptyCell.ABSENT if not info.is_required() else meanings[name]
        for name, info in model.model_fields.items()
    }


def blankless_fields(model: type[BaseModel]) -> frozenset[str]:
    """Fields for which a cell of blanks is as good as an empty one: blanks around their values are passed over."""
    schemas = field_schemas(model)
    return frozenset(name for name, schema in schemas.items() if _is_blankless(schema))


def _is_blankless(schema: Mapping[str, Any]) -> bool:
    if schema["type"] in ("default", "nullable", "function-after"):
        return _is_blankless(schema["schema"])
    return schema["type"] in _BLANKLESS


def _is_nullable(schema: Mapping[str, Any]) -> bool:
    kind = schema["type"]
    if kind in _WRAPPERS:
        return _is_nullable(schema["schema"])
    if kind == "union":
        return any(_is_nullable(part[0] if isinstance(part, tuple) else part) for part in schema["choices"])
    return kind in ("nullable", "none", "any")


def is_text(schema: Mapping[str, Any], *, alone: bool = False) -> bool:
    """Whether a field may be text, or is nothing else (`alone`) but for null."""
    kind = schema["type"]
    if kind in _WRAPPERS or kind == "nullable":
        return is_text(schema["schema"], alone=alone)
    if kind == "chain":
        return is_text(schema["steps"][0], alone=alone)
    if kind == "union":
        parts = [is_text(part[0] if isinstance(part, tuple) else part) for part in schema["choices"]]
        return all(parts) if alone else any(parts)
    return bool(kind == "str")


def _meaning(schema: Mapping[str, Any]) -> EmptyCell:
    kind = schema["type"]
    if kind in _WRAPPERS:
        return _meaning(schema["schema"])
    if kind == "chain":
        return _meaning(schema["steps"][0])
    if kind == "nullable":
        return EmptyCell.NULL
    if kind == "union":
        parts = {_meaning(part[0] if isinstance(part, tuple) else part) for part in schema["choices"]}
        return EmptyCell.TEXT if EmptyCell.TEXT in parts else EmptyCell.ABSENT
    return EmptyCell.TEXT if kind in ("str", "any", "function-plain") else EmptyCell.ABSENT


def field_schemas(model: type[BaseModel]) -> dict[str, Mapping[str, Any]]:
    """The core schemas of a model's fields, wherever its validators and shared definitions have put them."""
    return _field_schemas(model.__pydantic_core_schema__)


def _field_schemas(schema: Any) -> dict[str, Mapping[str, Any]]:
    """The schemas of the fields, wherever the model's validators and shared definitions have put them."""
    if "fields" in schema and schema["type"] == "model-fields":
        return {name: field["schema"] for name, field in schema["fields"].items()}
    if schema["type"] == "definition-ref":
        return {}
    return _field_schemas(schema["schema"]) if "schema" in schema else {}
