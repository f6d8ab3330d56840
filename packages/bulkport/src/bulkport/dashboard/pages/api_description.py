"""Describes the JSON API: an index at its root and an OpenAPI 3.1 document."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from bulkport.dashboard.core.command import Command
from bulkport.dashboard.core.page import Download, PageRequest
from bulkport.dashboard.pages.job_filters import FILTERS, TAGS

_TITLE: Final = "Bulkport dashboard"
_DESCRIPTION: Final = (
    "Background jobs and imports as the dashboard's pages show them, and what operators do to them. It has the access, "
    "roles, masking and audit of the pages."
)
QUERIES: Final[Mapping[str, Sequence[str]]] = {
    "jobs": ("state", *FILTERS, TAGS, "cursor", "size"),
    "batches": ("before", "size"),
    "imports": ("status", "resource", "user", "tag", "text", "before", "size"),
    "audit": ("actor", "action", "target", "before", "size"),
}
"""Query parameters that a list takes; all others take none."""
_PATHS: Final[Sequence[tuple[str, str]]] = (
    (
        "jobs",
        "Jobs, newest first; the page's filters (`task=a,b`: either; `tags=all`: each tag), and `cursor` and `size`",
    ),
    ("jobs/{job_id}", "One job with its attempts and history"),
    ("imports", "Imports of all users, newest first; the next page begins at `before`"),
    ("imports/{import_id}", "One import with its most frequent errors"),
    ("audit", "What operators did, newest first; the next page begins at `before`"),
    ("failures", "The latest failures, grouped by task, error type and message"),
    ("attention", "Conditions that need an operator's attention now"),
    ("metrics", "The same as gauges, in Prometheus' text format"),
    ("queues", "Queues with what waits in them"),
    ("servers", "Servers with what they run"),
    ("recurring", "Recurring jobs with their schedules"),
    ("batches", "Batches with their progress"),
    ("tasks", "What each task's jobs came to in the last 24 hours"),
)


_PARAMETERS: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
_PROBLEM: Final = {
    "description": "What is wrong, and what to do (RFC 9457)",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    },
}
_DONE: Final = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "description": "What was done, in words"},
        "target": {"type": "string", "description": "To what, as the audit has it"},
        "page": {"type": ["string", "null"], "description": "Page of the dashboard that tells more, relative to it"},
    },
}


def description_downloads(commands: Sequence[Command]) -> list[Download]:
    """`api/v1` with and without a slash at its end, which says where everything is, and `api/v1/openapi.json`."""

    async def index(request: PageRequest) -> Response:
        content = {
            "title": _TITLE,
            "description": _DESCRIPTION,
            "openapi": request.link("api/v1/openapi.json"),
            "resources": [
                {"path": path, "summary": summary} | ({} if "{" in path else {"href": request.link(f"api/v1/{path}")})
                for path, summary in _PATHS
            ],
            "commands": [
                {"path": _PARAMETERS.sub(r"{\1}", one.path.removeprefix("api/v1/")), "summary": one.summary}
                for one in commands
            ],
        }
        return _json(content)

    async def openapi(request: PageRequest) -> Response:
        return _json(openapi_of(commands))

    return [Download("api/v1", index), Download("api/v1/", index), Download("api/v1/openapi.json", openapi)]


def openapi_of(commands: Sequence[Command]) -> Mapping[str, Any]:
    """The description of the API (OpenAPI 3.1)."""
    paths: dict[str, dict[str, Any]] = {}
    for path, summary in _PATHS:
        success = {"description": summary, "content": {"application/json": {"schema": {"type": "object"}}}}
        paths.setdefault(f"/{path}", {})["get"] = {
            "summary": summary,
            "tags": [path.partition("/")[0]],
            "parameters": _parameters(path) + _query_parameters(path),
            "responses": {"200": success, "400": _PROBLEM, "404": _PROBLEM},
        }
    for command in commands:
        path = command.path.removeprefix("api/v1/")
        schema = {
            "type": "object",
            "properties": dict(command.members),
            "required": list(command.required),
            "additionalProperties": False,
        }
        operation: dict[str, Any] = {
            "summary": command.summary,
            "tags": [path.partition("/")[0]],
            "parameters": [
                *_parameters(path),
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "A repeated request with the same key is carried out once.",
                    "schema": {"type": "string"},
                },
            ],
            "responses": {
                "200": {"description": "Done", "content": {"application/json": {"schema": _DONE}}},
                **dict.fromkeys(("400", "403", "404", "409"), _PROBLEM),
            },
        }
        if command.members:
            operation["requestBody"] = {
                "required": bool(command.required),
                "content": {"application/json": {"schema": schema}},
            }
        named = _PARAMETERS.sub(r"{\1}", path)
        paths.setdefault(f"/{named}", {})["post"] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": _TITLE,
            "version": "1",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "."}],
        "paths": paths,
    }


def _query_parameters(path: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in QUERIES.get(path, ())]


def _parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if kind == "int" or name in ("job_id", "import_id") else "string"},
        }
        for name, kind in _PARAMETERS.findall(path)
    ]


def _json(content: Mapping[str, Any]) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), media_type="application/json")
