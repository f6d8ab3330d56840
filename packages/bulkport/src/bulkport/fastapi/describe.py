"""What a resource takes, for clients, importer pages and people: a JSON Schema, and a template to fill in."""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.resource import Resource
from bulkport.imports.runtime import ImportRuntime

_SCHEMA_MEDIA_TYPE: Final = "application/schema+json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
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


def describe_router(resource: Resource, runtime: Callable[[], ImportRuntime], authenticate: Authenticate) -> APIRouter:
    """`…/bulk/schema` and `…/bulk/template.csv`. The parameters are those of `bulk_router`."""
    router = APIRouter(
        prefix=f"/{resource.name}/bulk",
        tags=[resource.name],
        dependencies=[Depends(authenticate)],
        route_class=BulkportRoute,
    )

    @router.get("/schema", name=f"{resource.name}_schema", responses={200: _SCHEMA}, response_class=Response)
    async def get_schema() -> Response:
        """What one record looks like, as JSON Schema; `x-bulkport` has the formats, the key and the limits."""
        limits = runtime().intake.limits
        description = record_schema(resource) | {
            "x-bulkport": {
                "resource": resource.name,
                "label": resource.label,
                "mediaTypes": list(dict.fromkeys(body_format.media_type for body_format in BodyFormat)),
                "contentEncodings": ["gzip", "zstd"],
                "handlings": [str(handling) for handling in Handling],
                "onConflict": str(resource.conflict),
                "key": [_wire_of_column(resource, column) for column in resource.conflict_key],
                "references": [
                    {
                        "field": resource.wire_names[reference.field],
                        "label": reference.label,
                        "lookupField": reference.lookup_field and resource.wire_names[reference.lookup_field],
                    }
                    for reference in resource.references
                ],
                "limits": {
                    "maxEnvelopeRecords": limits.max_envelope_records,
                    "maxEnvelopeBytes": limits.max_envelope_bytes,
                    "maxBodyBytes": limits.max_body_bytes,
                    "maxRecordBytes": limits.max_record_bytes,
                },
            }
        }
        return JSONResponse(description, media_type=_SCHEMA_MEDIA_TYPE)

    @router.get("/template.csv", name=f"{resource.name}_template", responses={200: _CSV}, response_class=Response)
    async def get_template() -> Response:
        """A CSV file with the header row and an example to replace."""
        text = io.StringIO()
        writer = csv.writer(text)
        example = example_record(resource)
        writer.writerow(example)
        writer.writerow(["true" if value is True else value for value in example.values()])
        return Response(
            text.getvalue(),
            media_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{resource.name}-template.csv"'},
        )

    return router


def record_schema(resource: Resource) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one record of a resource, with the names on the wire."""
    schema = resource.model.model_json_schema(by_alias=True)
    properties: dict[str, Any] = schema["properties"]
    required: list[str] = schema.get("required", [])
    alternatives = []
    for reference in resource.references:
        if reference.lookup_field is None:
            continue
        field, lookup = resource.wire_names[reference.field], resource.wire_names[reference.lookup_field]
        properties[lookup] = {
            "title": reference.label,
            "description": f"Names the {reference.label} in place of {field}, in NDJSON and CSV.",
            "type": "string",
        }
        if field in required:
            required.remove(field)
            alternatives.append({"anyOf": [{"required": [field]}, {"required": [lookup]}]})
    return {
        "$schema": _DIALECT,
        **schema,
        "title": resource.label,
        **({"required": required} if "required" in schema else {}),
        **({"allOf": alternatives} if alternatives else {}),
    }


def example_record(resource: Resource) -> dict[str, Any]:
    """An example of a record: the models' own examples, or values of the fields' types."""
    schema = resource.model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    return {name: _example(description, definitions) for name, description in schema["properties"].items()}


def _example(description: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    if "$ref" in description:
        description = {**definitions[description["$ref"].rpartition("/")[2]], **description}
    for name in ("examples", "enum"):
        if description.get(name):
            return description[name][0]
    for name in ("default", "const"):
        if description.get(name) is not None:
            return description[name]
    for alternative in description.get("anyOf", ()):
        if alternative.get("type") != "null":
            return _example(alternative, definitions)
    if (known := _FORMAT_EXAMPLES.get(description.get("format", ""))) is not None:
        return known
    type_ = description.get("type", "string")
    if type_ in ("integer", "number"):
        return max(_PLAIN_EXAMPLES[type_], description.get("minimum", 1), description.get("exclusiveMinimum", 0) + 1)
    return _PLAIN_EXAMPLES.get(type_, "")


def _wire_of_column(resource: Resource, column: str) -> str:
    by_column = dict(zip(resource.column_names, resource.field_names, strict=True))
    return resource.wire_names[by_column[column]] if column in by_column else column


_SCHEMA: Final[dict[str, Any]] = {
    "description": "JSON Schema of one record.",
    "content": {_SCHEMA_MEDIA_TYPE: {"schema": {"type": "object"}}},
}
_CSV: Final[dict[str, Any]] = {
    "description": "The template.",
    "content": {"text/csv": {"schema": {"type": "string"}}},
}
