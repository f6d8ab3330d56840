"""The OpenAPI description of the bulk endpoint."""

import json
from typing import Any, Final

from bulkport.fastapi.described_headers import PREFERENCE_APPLIED, RETRY_AFTER, STATUS_LOCATION
from bulkport.fastapi.examples import csv_text, example_records
from bulkport.fastapi.import_examples import status_answer
from bulkport.fastapi.job_views import JobViews
from bulkport.fastapi.json_schema import schema_of
from bulkport.imports.body.options_query import openapi_parameters
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.formats.media_type import MULTIPART
from bulkport.imports.resource import Resource

MESSAGE: Final = "Bulk import job successfully queued"


def answers_description(views: JobViews) -> dict[int | str, dict[str, Any]]:
    """The answers, by status."""
    return {**_OTHER_ANSWERS, 200: _in_time(views), 202: accepted_answer(views.job_id_name)}


def _in_time(views: JobViews) -> dict[str, Any]:
    headers = {**STATUS_LOCATION, **PREFERENCE_APPLIED}
    return {"model": views.status, "description": _IN_TIME, "headers": headers, **status_answer(views)}


def accepted_answer(job_id_name: str) -> dict[str, Any]:
    """The answer 202 to a body that was accepted."""
    schema = {
        "title": "AcceptedImport",
        "type": "object",
        "required": ["id", job_id_name, "message", "totalRecords"],
        "properties": {
            "id": {"type": "integer", "description": "The import's id."},
            job_id_name: {"type": "string", "maxLength": 100, "description": "Id of the import's background job."},
            "message": {"type": "string", "const": MESSAGE},
            "totalRecords": {"type": "integer", "description": "Rows of the body; 0 if a worker fetches it."},
        },
    }
    return {
        "description": "The whole body is stored and its import job is queued.",
        "headers": {**STATUS_LOCATION, **RETRY_AFTER, **PREFERENCE_APPLIED},
        "content": {
            "application/json": {
                "schema": schema,
                "example": {"id": 9, job_id_name: "9", "message": MESSAGE, "totalRecords": 10},
            }
        },
    }


_SOURCE: Final[dict[str, Any]] = {
    "title": "Source",
    "description": "Where a worker fetches the body from: a URL, or the path of an object in a configured store.",
    "type": "object",
    "required": ["source"],
    "additionalProperties": False,
    "properties": {
        "source": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "url": {"type": "string", "format": "uri", "maxLength": 2000},
                "store": {"type": "string"},
                "path": {"type": "string", "maxLength": 1024},
                "contentType": {
                    "type": "string",
                    "description": "Media type of the file, if its server and its name do not tell.",
                },
                "contentEncoding": {"type": "string", "enum": ["gzip", "zstd", "identity"]},
            },
        }
    },
}
_COMPRESSED: Final = "may be compressed, with the header `Content-Encoding: gzip` or `zstd`"
_IN_TIME: Final = "With `Prefer: wait=…`: the import finished within that time."
_OTHER_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    403: {"description": "The user may not import in this mode, or the key lacks the scope."},
    404: {"description": "The upload or store does not exist."},
    408: {"description": "The body arrived too slowly."},
    409: {"description": "The `clientId` is taken, or a request with this `Idempotency-Key` is in progress."},
    414: {"description": "The query is too long."},
    422: {"description": "The `Idempotency-Key` was used for a different request."},
    507: {"description": "The server is low on disk space, or the user's storage quota is used up."},
}
IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to repeat, even after a broken connection: it takes effect once. The same "
    "request gets the same response (with `Idempotent-Replayed: true`); a different one with the same key gets 422.",
    "schema": {"type": "string", "maxLength": 257},
    "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
}
_SENDING_HEADERS: Final[list[dict[str, Any]]] = [
    {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": "`handling=strict`: any invalid row fails the import. `handling=lenient`: invalid rows are "
        "skipped, counted and reported. `respond-async, wait=10`: the response is 200 with the final status "
        "if the import finishes within ten seconds, otherwise 202 (RFC 7240).",
        "schema": {"type": "string"},
        "examples": {
            **{str(handling): {"value": f"handling={handling}"} for handling in Handling},
            "wait": {"value": "respond-async, wait=10"},
        },
    },
    IDEMPOTENCY_KEY,
    {
        "name": "Content-Digest",
        "in": "header",
        "required": False,
        "description": "Digest of the body as sent, `sha-256=:BASE64:` (RFC 9530). A body that does not match is "
        "refused.",
        "schema": {"type": "string"},
    },
]
_UPLOAD: Final[dict[str, Any]] = {
    "title": "Upload",
    "type": "object",
    "required": ["upload"],
    "additionalProperties": False,
    "properties": {"upload": {"type": "string", "format": "uuid", "description": "Id of a resumable upload."}},
}


def retry_answers(views: JobViews) -> dict[int | str, dict[str, Any]]:
    """The answers to a retry that is accepted, by status."""
    accepted = accepted_answer(views.job_id_name)
    return {
        200: _in_time(views),
        202: {**accepted, "description": "The rows are stored and queued as a new import."},
    }


def retry_description() -> dict[str, Any]:
    """Body and headers of a retry."""
    binary = {"type": "string", "format": "binary"}
    return {
        "requestBody": {
            "required": False,
            "content": {
                BodyFormat.CSV.media_type: {
                    "schema": {"type": "string", "description": "The corrected report; `row` and `error` are ignored."},
                    "example": "platformName,row,error\r\nDocker,17,platformName must not be blank\r\n",
                },
                BodyFormat.NDJSON.media_type: {
                    "schema": {"type": "string", "description": "Records, or lines of the report."}
                },
                BodyFormat.EXCEL.media_type: {"schema": binary},
                BodyFormat.JSON.media_type: {
                    "schema": {"anyOf": [{"type": "object"}, _UPLOAD]},
                    "example": {"upload": "8e03978e-40d5-43e8-bc93-6894a57f9324"},
                },
                MULTIPART: {"schema": {"type": "object", "required": ["file"], "properties": {"file": binary}}},
            },
        },
        "parameters": [*openapi_parameters(None), *_SENDING_HEADERS],
    }


def request_description(resource: Resource) -> dict[str, Any]:
    """Body and parameters of the request, as an OpenAPI operation has them."""
    record = schema_of(resource.model)
    examples = example_records(resource)
    envelope = {
        "type": "object",
        "required": [resource.name],
        "properties": {resource.name: {"type": "array", "minItems": 1, "items": record}},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                BodyFormat.JSON.media_type: {
                    "schema": {"anyOf": [envelope, _SOURCE, _UPLOAD]},
                    "examples": {
                        "records": {"summary": "Records", "value": {resource.name: examples}},
                        "pull": {
                            "summary": "A worker fetches the body from a URL",
                            "value": {"source": {"url": "https://example.org/exports/rows.csv.gz"}},
                        },
                        "pull from a store": {
                            "summary": "A worker fetches the body from a configured store",
                            "value": {"source": {"store": "exports", "path": "2026/07/rows.parquet"}},
                        },
                        "upload": {
                            "summary": "A completed resumable upload",
                            "value": {"upload": "8e03978e-40d5-43e8-bc93-6894a57f9324"},
                        },
                    },
                },
                BodyFormat.NDJSON.media_type: {
                    "schema": {"type": "string", "description": f"One JSON object per line; {_COMPRESSED}."},
                    "example": "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in examples),
                },
                BodyFormat.CSV.media_type: {
                    "schema": {"type": "string", "description": f"RFC 4180 with a header row; {_COMPRESSED}."},
                    "example": csv_text(examples),
                },
                BodyFormat.JSON_SEQ.media_type: {
                    "schema": {"type": "string", "description": "A JSON text sequence (RFC 7464)."},
                },
                BodyFormat.EXCEL.media_type: {
                    "schema": {"type": "string", "format": "binary", "description": "A workbook; also .xlsb and .ods."},
                },
                BodyFormat.PARQUET.media_type: {
                    "schema": {"type": "string", "format": "binary", "description": "A Parquet file."},
                },
                MULTIPART: {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {
                                "type": "string",
                                "format": "binary",
                                "description": "A file of one of these formats, recognized by its type or name. "
                                "Fields before it are read like query parameters.",
                            },
                            "name": {"type": "string"},
                            "clientId": {"type": "string"},
                            "metadata": {
                                "type": "string",
                                "description": "A small JSON object, like `X-Import-Metadata`; comes before the file.",
                            },
                        },
                    }
                },
            },
        },
        "parameters": [
            *openapi_parameters(resource.wire_names[resource.label_field]),
            *_SENDING_HEADERS,
            {
                "name": "X-Import-Metadata",
                "in": "header",
                "required": False,
                "description": "A small JSON object, stored with the import.",
                "schema": {"type": "string"},
                "example": '{"batch": "2026-07"}',
            },
        ],
    }
