"""What an empty cell means for each field of a model."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel


class EmptyCell(Enum):
    """What an empty cell means."""

    ABSENT = "absent"
    """The row does not have the field: its default, or an error."""
    NULL = "null"
    """The field is null."""
    TEXT = "text"
    """The field is the empty text."""


_WRAPPERS: Final = ("function-before", "function-after", "function-wrap", "default")


def empty_cells(model: type[BaseModel]) -> dict[str, EmptyCell]:
    """What an empty cell means for each field: its default; else null where it may be null; else empty text."""
    schemas = _field_schemas(model.__pydantic_core_schema__)
    return {
        name: EmptyCell.ABSENT if not info.is_required() else _meaning(schemas.get(name, {"type": "unknown"}))
        for name, info in model.model_fields.items()
    }


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


def _field_schemas(schema: Any) -> dict[str, Mapping[str, Any]]:
    """The schemas of the fields, wherever the model's validators and shared definitions have put them."""
    if "fields" in schema and schema["type"] == "model-fields":
        return {name: field["schema"] for name, field in schema["fields"].items()}
    return _field_schemas(schema["schema"]) if "schema" in schema else {}
