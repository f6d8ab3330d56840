"""Examples of a resource's records, for templates."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bulkport.imports.resource import Resource

_MAX_EXAMPLES: Final = 5
_PLAIN_EXAMPLES: Final[Mapping[str, Any]] = {"integer": 1, "number": 1.5, "boolean": True, "string": "text"}
_FORMAT_EXAMPLES: Final[Mapping[str, str]] = {
    "date": "2026-07-01",
    "date-time": "2026-07-01T14:00:00Z",
    "time": "14:00:00",
    "duration": "PT1H30M",
    "uuid": "8e03978e-40d5-43e8-bc93-6894a57f9324",
    "email": "ada@example.org",
    "uri": "https://example.org",
}


def example_records(resource: Resource) -> list[dict[str, Any]]:
    """Examples of records: the model's own, as many as a field has, or values of the fields' types."""
    schema = resource.model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    properties: Mapping[str, Any] = schema["properties"]
    count = max([1, *(len(description.get("examples", ())) for description in properties.values())])
    return [
        {name: _example(description, definitions, number) for name, description in properties.items()}
        for number in range(min(count, _MAX_EXAMPLES))
    ]


def csv_text(examples: Sequence[Mapping[str, Any]]) -> str:
    """The records as CSV with a header row."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(examples[0])
    writer.writerows([cell_text(value) for value in example.values()] for example in examples)
    return text.getvalue()


def cell_text(value: Any) -> str:
    """A value as a cell of a table has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _example(description: Mapping[str, Any], definitions: Mapping[str, Any], number: int) -> Any:
    if "$ref" in description:
        description = {**definitions[description["$ref"].rpartition("/")[2]], **description}
    for name in ("examples", "enum"):
        if description.get(name):
            return description[name][number % len(description[name])]
    for name in ("default", "const"):
        if description.get(name) is not None:
            return description[name]
    for alternative in description.get("anyOf", ()):
        if alternative.get("type") != "null":
            return _example(alternative, definitions, number)
    if (known := _FORMAT_EXAMPLES.get(description.get("format", ""))) is not None:
        return known
    type_ = description.get("type", "string")
    if type_ in ("integer", "number"):
        return max(_PLAIN_EXAMPLES[type_], description.get("minimum", 1), description.get("exclusiveMinimum", 0) + 1)
    return _PLAIN_EXAMPLES.get(type_, "")
