"""Problems in the OpenAPI description: every operation that needs a key says which errors it may
answer, and what they look like."""

from collections.abc import Mapping
from typing import Any, Final

from bulkport.fastapi.described_headers import IDEMPOTENT_REPLAYED, LOCATION, RETRY_AFTER
from bulkport.fastapi.problems import MEDIA_TYPE

_TRACE_ID: Final = {"type": ["string", "null"], "description": "Identifies this request in the server's log."}

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "traceId"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "The kind of problem."},
        "title": {"type": "string", "description": "A summary of the kind of problem."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "An explanation of this occurrence."},
        "instance": {"type": "string", "format": "uri-reference", "description": "Path of the request."},
        "traceId": _TRACE_ID,
        "errors": {
            "type": "object",
            "description": "With status 400: messages by field path.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
    "examples": [
        {
            "type": "/problems/validation-failed",
            "title": "Validation failed",
            "status": 400,
            "detail": "One or more fields are not valid.",
            "instance": "/api/platforms/bulk",
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "errors": {"platforms[3].platformName": ["platformName must not be blank"]},
        }
    ],
}

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {
        "description": "What is wrong with the request (RFC 9457).",
        "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}},
    }
}
"""The answers to bad requests that every route of Bulkport's has, for an application with other errors elsewhere."""

_SECURED: Final = {
    "400": "The request is malformed.",
    "401": "The API key is missing or invalid.",
    "414": "The query is too long.",
    "429": "Too many requests; try again after `Retry-After`.",
    "503": "The server or its database is busy or away; try again after `Retry-After`.",
}
_WITH_KEY: Final = {"403": "The key lacks the scope, or this belongs to another user."}
_WITH_PATH: Final = {"404": "Not found."}
_WITH_BODY: Final = {
    "413": "The body is too large.",
    "415": "The Content-Type or Content-Encoding is not supported.",
}

_REPEATED: Final = {
    "409": "A request with this `Idempotency-Key` is in progress.",
    "422": "The `Idempotency-Key` was used for a different request.",
}
_STORED: Final = {"507": "The server is low on disk space."}
_RETRIED: Final = frozenset({"409", "429", "503"})
"""Statuses after which the same request may succeed; 409 only where `Retry-After` is there."""

_PARAMETERS: Final = {
    "job_id": "The import's id.",
    "row": "The row's number in the file, from 1.",
    "webhook_id": "The webhook's id.",
    "delivery_id": "The delivery's id.",
    "upload_id": "The upload's id.",
    "pull_id": "The recurring pull's id.",
    "platform_id": "The platform's id.",
    "command_id": "The command's id.",
    "registration_id": "The API key's id.",
    "limit": "Maximum number of items in the response.",
    "Tus-Resumable": "Version of the tus protocol: `1.0.0`.",
}
"""Descriptions of parameters that have none of their own, by name."""


def describe_parameters(description: dict[str, Any]) -> dict[str, Any]:
    """Describe each parameter of an OpenAPI 3.1 `description`, which is changed and returned."""
    for item in description.get("paths", {}).values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter.get("name") in _PARAMETERS:
                    parameter.setdefault("description", _PARAMETERS[parameter["name"]])
    return description


def describe_problems(description: dict[str, Any]) -> dict[str, Any]:
    """Add the problem responses to an OpenAPI 3.1 `description`, which is changed and returned.

    FastAPI's own answer to a parameter that does not validate (422) is taken out: here it is a problem with status 400.
    What an operation already says of a status is kept, as words about the problem.
    """
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM_SCHEMA
    for path, item in description.get("paths", {}).items():
        for method, operation in item.items():
            responses = operation.setdefault("responses", {})
            if "HTTPValidationError" in str(responses.get("422")):
                del responses["422"]
            # What Bulkport's routes say of all errors; here each is named.
            responses.pop("4XX", None)
            expected = {
                **(_SECURED if "security" in operation else {}),
                **(_WITH_KEY if {"ApiKey": []} in operation.get("security", ()) else {}),
                **(_WITH_PATH if "{" in path else {}),
                **(_WITH_BODY if "requestBody" in operation else {}),
            }
            if any(parameter.get("name") == "Idempotency-Key" for parameter in operation.get("parameters", ())):
                expected |= _REPEATED if method == "delete" else {**_REPEATED, **_STORED}
                for status, response in responses.items():
                    if status.startswith("2"):
                        response.setdefault("headers", {}).update(IDEMPOTENT_REPLAYED)
            for status, words in expected.items():
                responses.setdefault(status, {"description": words})
            if (created := responses.get("201")) is not None:
                created["headers"] = {**LOCATION, **created.get("headers", {})}
            for status, response in responses.items():
                if status in _RETRIED:
                    response["headers"] = {**RETRY_AFTER, **response.get("headers", {})}
                if status.startswith(("4", "5")):
                    response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return description


def complete_examples(description: dict[str, Any]) -> dict[str, Any]:
    """Give the examples of an OpenAPI 3.1 `description`, which is changed and returned, their members that are null.

    FastAPI leaves them out.
    """
    schemas = description.get("components", {}).get("schemas", {})
    for item in description.get("paths", {}).values():
        for operation in item.values():
            for response in operation.get("responses", {}).values():
                for content in response.get("content", {}).values():
                    if "example" in content:
                        _add_nulls(content["example"], content.get("schema", {}), schemas)
    return description


def _add_nulls(example: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    if (name := schema.get("$ref")) is not None:
        return _add_nulls(example, schemas[name.rpartition("/")[2]], schemas)
    for alternative in schema.get("anyOf", ()):
        if example is not None:
            _add_nulls(example, alternative, schemas)
    if isinstance(example, list) and "items" in schema:
        for item in example:
            _add_nulls(item, schema["items"], schemas)
    elif isinstance(example, dict):
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            example.setdefault(name, None)
        for name, value in example.items():
            _add_nulls(value, properties.get(name, {}), schemas)
    return None
