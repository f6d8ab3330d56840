"""JSON Schemas of models as parts of a larger document."""

from typing import Any

from pydantic import BaseModel

_LOCAL = "#/$defs/"


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON Schema without references: those of Pydantic lead to `$defs` at the top of its own document.

    A model that has itself among its parts is described to the depth of one.
    """
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    found: dict[str, Any] = _without_references(schema, definitions, ())
    return found


def _without_references(part: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        return [_without_references(each, definitions, within) for each in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith(_LOCAL):
        name = reference.removeprefix(_LOCAL)
        others = {key: value for key, value in part.items() if key != "$ref"}
        inner = {} if name in within else _without_references(definitions[name], definitions, (*within, name))
        return {**inner, **_without_references(others, definitions, within)}
    return {key: _without_references(value, definitions, within) for key, value in part.items()}
