"""Problem details (RFC 9457): the one shape of every error that leaves over HTTP.

`install` registers the translation with an application, after which a route only raises: an error of Bulkport's own
tree, FastAPI's `HTTPException`, or nothing at all when a parameter does not validate.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import psycopg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from bulkport.errors import BulkportError, NotFound, ServiceUnavailable, ValidationFailed
from bulkport.fastapi.trace import trace_id_of_request
from bulkport.fastapi.validation_errors import messages_by_path

MEDIA_TYPE: Final = "application/problem+json"

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

logger = logging.getLogger(__name__)


def problem_response(
    path: str,
    *,
    status: int,
    title: str,
    detail: str,
    problem_type: str = "about:blank",
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response with a problem body.

    Parameters
    ----------
    path:
        Path of the request, percent-decoded; becomes `instance`.
    members:
        Extension members (RFC 9457 §3.2). They cannot replace the standard ones.
    """
    body = {
        **(members or {}),
        "type": problem_type,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": quote(path),
        "traceId": trace_id_of_request.get(),
    }
    # What a client sent may be quoted in a message, and need not be encodable.
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(content, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def response_for(path: str, error: BulkportError) -> Response:
    """The response that `error` becomes; `path` is the request's."""
    return problem_response(
        path,
        status=error.status,
        title=error.title,
        detail=error.detail,
        problem_type=error.problem_type,
        members=error.members(),
        headers=error.headers(),
    )


def internal_error(path: str) -> Response:
    """The response to an error nobody expected. It says nothing of the error: that is in the log, under `traceId`."""
    return response_for(path, BulkportError("Something went wrong on the server; its log has the traceId."))


def install(app: FastAPI, *, database_errors: Iterable[type[Exception]] = ()) -> None:
    """Make every error of `app` a problem.

    `bulkport.fastapi.middleware.EdgeMiddleware` turns unexpected exceptions into problems, since Starlette's own
    place for them lies outside of all middleware.

    Parameters
    ----------
    database_errors:
        Further exceptions that mean "the database cannot be reached now", such as SQLAlchemy's `OperationalError`.
        psycopg's own, those of its pool included, are known. They are answered 503.
    """
    app.add_exception_handler(BulkportError, _bulkport_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    unreachable: list[type[Exception]] = [psycopg.OperationalError, psycopg.InterfaceError, *database_errors]
    for error in unreachable:
        app.add_exception_handler(error, _database_error)


async def _bulkport_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BulkportError)
    if error.status == BulkportError.status:
        logger.error("unexpected error", exc_info=error)
        return internal_error(request.url.path)
    return response_for(request.url.path, error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return response_for(request.url.path, ValidationFailed(messages_by_path(error.errors(), skip=1)))


async def _database_error(request: Request, error: Exception) -> Response:
    logger.warning("the database cannot be reached: %s", error)
    return response_for(request.url.path, ServiceUnavailable())


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        return response_for(path, NotFound(None if error.detail == HTTPStatus.NOT_FOUND.phrase else error.detail))
    headers = dict(error.headers or {})
    detail = error.detail
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed = _allowed_methods(request)
        if request.method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        detail = f"{request.method} is not possible here; use {allowed}."
    title = HTTPStatus(error.status_code).phrase
    return problem_response(path, status=error.status_code, title=title, detail=detail, headers=headers)


def _allowed_methods(request: Request) -> str:
    """Methods that some route takes at the request's path (RFC 9110 §10.2.1).

    Starlette names those of the first route that matches the path, and an application has a route for each method.
    """
    allowed = [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.router.routes
        )
    ]
    if "GET" in allowed:
        allowed.insert(1, "HEAD")
    return ", ".join([*allowed, "OPTIONS"])
