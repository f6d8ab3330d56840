"""Actions for programs: a path below `api/v1` and a JSON object instead of a form."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from bulkport.dashboard.core.action import Form
from bulkport.dashboard.core.json_members import problem_in
from bulkport.dashboard.core.language import t
from bulkport.errors import BadRequest

_MAX_BODY_BYTES: Final = 1_000_000
_CROSS_SITE: Final = "cross-site"

Fields = Callable[[Mapping[str, Any], Mapping[str, Any]], Sequence[tuple[str, str]]]
"""The fields of an action's form, from the parameters of the path and the members of the body."""


@dataclass(frozen=True, slots=True)
class Command:
    """An action with its own path."""

    path: str
    """Relative to the dashboard, with parameters as Starlette's routes have them."""
    action: str
    """Its name."""
    summary: str
    fields: Fields
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON Schemas of the members that the body may have."""
    required: Sequence[str] = ()
    refused_status: int = 409
    """Of the answer where the action is not carried out."""


async def command_form(command: Command, request: Request) -> Form:
    """The form that a request for a command means.

    A browser sends JSON to another origin only after it has asked for leave (CORS), which is not given, so that no
    token is needed.

    Raises
    ------
    BadRequest
        The body is not a JSON object, or has members that the command does not know or of another type.
    """
    if request.headers.get("sec-fetch-site") == _CROSS_SITE:
        raise BadRequest(t("Requests from other sites are not accepted."))
    body = await request.body()
    members: Any = {}
    if body.strip():
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise BadRequest(t("Send the body as application/json."))
        if len(body) > _MAX_BODY_BYTES:
            raise BadRequest(t("The body is too large."))
        try:
            members = json.loads(body)
        except (ValueError, RecursionError):
            members = None
    elif request.headers.get("content-type", "").startswith(("application/x-www-form-urlencoded", "multipart/")):
        raise BadRequest(t("Send the body as application/json."))
    if not isinstance(members, dict):
        raise BadRequest(t("The body must be a JSON object."))
    if problem := problem_in(members, command.members, command.required):
        raise BadRequest(problem)
    fields = [(name, value) for name, value in command.fields(request.path_params, members) if value != ""]
    # One request does one thing: a key of the client's keeps a repeated one from doing it again.
    key = request.headers.get("idempotency-key") or secrets.token_hex(16)
    return Form([*fields, ("again", key), ("confirmed", "yes")])
