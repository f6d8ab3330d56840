"""The members of a JSON object that a program sent, checked against their JSON Schemas (draft 2020-12).

Of its keywords those are known that the API uses: `type`, `maxLength`, and `additionalProperties` and `items` as
schemas. The others describe and do not restrict.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bulkport.dashboard.core.language import joined, t
from bulkport.sanitize import NotStorable, require_storable

Schema = Mapping[str, Any]

_TYPES: Final[Mapping[str, type]] = {"string": str, "integer": int, "object": dict, "array": list, "null": type(None)}
_NAMES: Final = {
    "string": "a text",
    "integer": "a whole number",
    "object": "a JSON object",
    "array": "a list",
    "null": "null",
}


def problem_in(members: Mapping[str, Any], schemas: Mapping[str, Schema], required: Sequence[str] = ()) -> str | None:
    """The first thing that is wrong with the members of an object; None: nothing is."""
    if unknown := sorted(set(members) - set(schemas)):
        return t("Unknown members: {names}.", names=", ".join(unknown)[:200])
    if missing := [name for name in required if members.get(name) in (None, "", {})]:
        return t("Missing members: {names}.", names=", ".join(missing))
    return next((problem for name, value in members.items() for problem in _problems(name, value, schemas[name])), None)


def _problems(name: str, value: Any, schema: Schema) -> Iterator[str]:
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not any(_is(value, one) for one in types):
        yield t("{name} must be {types}.", name=name, types=joined(f" {t('or')} ", [t(_NAMES[one]) for one in types]))
        return
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield t("{name} has at most {count} characters.", name=name, count=schema["maxLength"])
    try:
        require_storable(value)
    except NotStorable as error:
        yield t("{name} cannot be stored: {reason}.", name=name, reason=error)
    if isinstance(value, dict) and "additionalProperties" in schema:
        for inner_name, inner in value.items():
            yield from _problems(f"{name}.{inner_name}", inner, schema["additionalProperties"])
    if isinstance(value, list) and "items" in schema:
        for position, inner in enumerate(value):
            yield from _problems(f"{name}[{position}]", inner, schema["items"])


def _is(value: Any, name: str) -> bool:
    # To Python, true and false are whole numbers.
    return isinstance(value, _TYPES[name]) and not isinstance(value, bool)
