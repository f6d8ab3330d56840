"""Problems in the OpenAPI description: every operation that needs a key says which errors it may
answer, and what they look like."""

from typing import Any, Final

from bulkport.fastapi.problems import MEDIA_TYPE

_TRACE_ID: Final = {"type": ["string", "null"], "description": "Finds this request in the server's log."}

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "traceId"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "The kind of problem."},
        "title": {"type": "string", "description": "The kind of problem, in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "This occurrence, in words."},
        "instance": {"type": "string", "format": "uri-reference", "description": "Path of the request."},
        "traceId": _TRACE_ID,
        "errors": {
            "type": "object",
            "description": "With status 400: messages by the path of the field they are about.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
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
    "401": "The API key is missing or not valid.",
    "414": "The query is too long.",
    "429": "Too many requests; `Retry-After` says when to come again.",
    "503": "The database is unavailable; try again shortly.",
}
_WITH_PATH: Final = {"404": "There is nothing at this address."}
_WITH_BODY: Final = {
    "413": "The body is too large.",
    "415": "The Content-Type or Content-Encoding is not supported.",
}

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
    "limit": "Most items in the answer.",
    "Tus-Resumable": "The version of the protocol: `1.0.0`.",
}
"""What parameters are that say nothing of themselves, by name."""


def describe_parameters(description: dict[str, Any]) -> dict[str, Any]:
    """Say of each parameter of an OpenAPI 3.1 `description`, which is changed and returned, what it is."""
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
        for operation in item.values():
            responses = operation.setdefault("responses", {})
            if "HTTPValidationError" in str(responses.get("422")):
                del responses["422"]
            # What Bulkport's routes say of all errors; here each is named.
            responses.pop("4XX", None)
            expected = {
                **(_SECURED if "security" in operation else {}),
                **(_WITH_PATH if "{" in path else {}),
                **(_WITH_BODY if "requestBody" in operation else {}),
            }
            for status, words in expected.items():
                responses.setdefault(status, {"description": words})
            for status, response in responses.items():
                if status.startswith(("4", "5")):
                    response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return description
