"""Problem details (RFC 9457): the one shape of every error of Bulkport's routes.

`problem_of` makes a problem of an exception; Bulkport's routes use it (`route.py`), and `install` has a whole
application use it. A route only raises: an error of Bulkport's own tree, FastAPI's `HTTPException`, or nothing at all
when a parameter does not validate.
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

from bulkport.errors import (
    BadRequest,
    BulkportError,
    InsufficientStorage,
    NotFound,
    ServiceUnavailable,
    ValidationFailed,
)
from bulkport.fastapi.error_responses import headers_of, problem_type_of, status_of
from bulkport.fastapi.paths import client_path
from bulkport.fastapi.trace import trace_id_of_request
from bulkport.fastapi.validation_errors import messages_by_path
from bulkport.jobs.errors import NotConnected

MEDIA_TYPE: Final = "application/problem+json"

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_TOO_SLOW: Final = "The database took too long; narrow the search, or try again later."
_FORBIDDEN: Final = "The server's database role lacks a privilege; bulkport doctor names it."
_NO_SUCH_SIGN: Final = (
    "The name of a column or file, or a parameter, has a character that the database's encoding cannot store."
)
_READ_ONLY: Final = "The database is read-only at the moment; try again shortly."

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
    """The response for `error`; `path` is the request's."""
    return problem_response(
        path,
        status=status_of(error),
        title=error.title,
        detail=error.detail,
        problem_type=problem_type_of(error),
        members=error.members(),
        headers=headers_of(error),
    )


def internal_error(path: str) -> Response:
    """The response to an unexpected error. It reveals nothing: the log has the error under `traceId`."""
    return response_for(
        path, BulkportError("Something went wrong on the server; its log has details under the traceId.")
    )


def install(app: FastAPI, *, database_errors: Iterable[type[Exception]] = ()) -> None:
    """Make every error of `app` a problem, not only those of Bulkport's routes.

    `bulkport.fastapi.middleware.EdgeMiddleware` turns unexpected exceptions into problems, since Starlette's own
    place for them lies outside of all middleware.

    Parameters
    ----------
    database_errors:
        Further exceptions that mean "the database cannot be reached now", such as SQLAlchemy's `OperationalError`.
        psycopg's own, those of its pool included, are known. They are answered 503.
    """
    unreachable = tuple(database_errors)

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(request, error, unreachable=unreachable)
        if problem is None:
            raise error
        return problem

    for kind in (
        *(BulkportError, HTTPException, RequestValidationError, NotConnected),
        *(psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction),
        *(psycopg.errors.InsufficientPrivilege, psycopg.errors.UntranslatableCharacter),
        *unreachable,
    ):
        app.add_exception_handler(kind, answer)


def problem_of(request: Request, error: Exception, *, unreachable: tuple[type[Exception], ...] = ()) -> Response | None:
    """The problem for an exception; None if it has none.

    Parameters
    ----------
    unreachable:
        Further exceptions that mean "the database cannot be reached now".
    """
    path = client_path(request)
    match error:
        case NotConnected():
            logger.error("%s", error)
            return response_for(path, ServiceUnavailable(str(error)))
        case BulkportError():
            if status_of(error) == HTTPStatus.INTERNAL_SERVER_ERROR:
                logger.error("unexpected error", exc_info=error)
                return internal_error(path)
            return response_for(path, error)
        case RequestValidationError():
            return response_for(path, ValidationFailed(messages_by_path(error.errors(), skip=1)))
        case HTTPException():
            return _http_problem(request, error)
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName() if "bulkport" in str(error):
            logger.error("%s Run: bulkport migrate", error.diag.message_primary)
            return response_for(path, ServiceUnavailable("The database lacks Bulkport's tables. Run: bulkport migrate"))
    # SQLAlchemy wraps the driver's error.
    match getattr(error, "orig", None) or error:
        case psycopg.errors.InsufficientPrivilege() as refused:
            logger.error("the database's role may not do this: %s", refused.diag.message_primary)
            return response_for(path, ServiceUnavailable(_FORBIDDEN))
        case psycopg.errors.UntranslatableCharacter():
            return response_for(path, BadRequest(_NO_SUCH_SIGN))
        case psycopg.errors.QueryCanceled():
            return response_for(path, ServiceUnavailable(_TOO_SLOW))
        case psycopg.errors.ReadOnlySqlTransaction():
            return response_for(path, ServiceUnavailable(_READ_ONLY))
        case psycopg.errors.DiskFull():
            return response_for(path, InsufficientStorage())
        case psycopg.OperationalError() | psycopg.InterfaceError():
            logger.warning("the database cannot be reached: %s", error)
            return response_for(path, ServiceUnavailable())
    if isinstance(error, unreachable):
        logger.warning("the database cannot be reached: %s", error)
        return response_for(path, ServiceUnavailable())
    return None


def _http_problem(request: Request, error: HTTPException) -> Response:
    path = client_path(request)
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
    return problem_response(path, status=error.status_code, title=title, detail=str(detail), headers=headers)


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
