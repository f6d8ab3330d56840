"""Describes a resource for clients and people: a JSON Schema and a template to fill in."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from bulkport.fastapi.described_headers import ATTACHMENT
from bulkport.fastapi.examples import csv_text, example_records
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.write_query import wire_key
from bulkport.imports.exports.writing import FileFormat, require_writer
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.resource import Resource
from bulkport.imports.runtime import ImportRuntime

_SCHEMA_MEDIA_TYPE: Final = "application/schema+json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def describe_router(resource: Resource, runtime: Callable[[], ImportRuntime], authenticate: Authenticate) -> APIRouter:
    """`…/bulk/schema`, `…/bulk/template.csv` and `.xlsx`. The parameters are those of `bulk_router`."""
    router = APIRouter(
        prefix=f"/{resource.name}/bulk",
        tags=[resource.name],
        dependencies=[Depends(authenticate)],
        route_class=BulkportRoute,
    )

    @router.get("/schema", name=f"{resource.name}_schema", responses={200: _SCHEMA}, response_class=Response)
    async def get_schema() -> Response:
        """JSON Schema of one record; its member `x-bulkport` has formats, modes, key, aliases and limits."""
        limits = runtime().intake.limits
        description = record_schema(resource) | {
            "x-bulkport": {
                "resource": resource.name,
                "label": resource.label,
                "mediaTypes": list(dict.fromkeys(body_format.media_type for body_format in BodyFormat)),
                "contentEncodings": ["gzip", "zstd"],
                "handlings": [str(handling) for handling in Handling],
                "modes": [str(mode) for mode in resource.allowed_modes],
                "defaultMode": str(resource.default_mode),
                "aliases": {resource.wire_names[name]: list(names) for name, names in resource.aliases.items()},
                "onConflict": str(resource.conflict),
                "key": wire_key(resource),
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
                    "maxRows": limits.max_rows,
                    "maxFileBytes": limits.max_file_bytes,
                    "maxFileCells": limits.max_file_cells,
                },
            }
        }
        return JSONResponse(description, media_type=_SCHEMA_MEDIA_TYPE)

    @router.get("/template.csv", name=f"{resource.name}_template", responses={200: _CSV}, response_class=Response)
    async def get_template() -> Response:
        """A CSV file with a header row and example rows to replace."""
        return Response(
            csv_text(example_records(resource)), media_type="text/csv", headers=_attachment(resource, "csv")
        )

    @router.get(
        "/template.xlsx",
        name=f"{resource.name}_template_workbook",
        responses={200: _XLSX, 501: {"description": "The server lacks the extra `excel`."}},
        response_class=Response,
    )
    async def get_template_workbook() -> Response:
        """A workbook with a header row and example rows to replace; its second sheet describes each field."""
        require_writer(FileFormat.XLSX)
        from bulkport.fastapi.template_workbook import template_workbook  # noqa: PLC0415 # needs the extra

        content = await asyncio.to_thread(template_workbook, record_schema(resource), example_records(resource))
        return Response(content, media_type=FileFormat.XLSX.media_type, headers=_attachment(resource, "xlsx"))

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
            "description": f"Name of the {reference.label}, instead of {field}; in NDJSON and CSV only.",
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


def _attachment(resource: Resource, suffix: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{resource.name}-template.{suffix}"'}


_SCHEMA: Final[dict[str, Any]] = {
    "description": "JSON Schema of one record.",
    "content": {_SCHEMA_MEDIA_TYPE: {"schema": {"type": "object"}}},
}
_CSV: Final[dict[str, Any]] = {
    "description": "The template.",
    "headers": ATTACHMENT,
    "content": {"text/csv": {"schema": {"type": "string"}}},
}
_XLSX: Final[dict[str, Any]] = {
    "description": "The template.",
    "headers": ATTACHMENT,
    "content": {FileFormat.XLSX.media_type: {"schema": {"type": "string", "format": "binary"}}},
}
