"""Checks that every dashboard endpoint makes, rejections and redirects."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from bulkport.dashboard.core import cookies, csrf
from bulkport.dashboard.core.action import Form
from bulkport.dashboard.core.forms import read_form
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import PageNotFound, PageRequest, Query
from bulkport.dashboard.core.security import NO_STORE, PAGE_HEADERS
from bulkport.dashboard.core.viewer import Viewer

VIEWER: Final = "bulkport.viewer"
"""Where the scope of a request has who sent it."""


class Refused(Exception):
    """The viewer may not do this; the message says why."""


def viewer_of(request: Request) -> Viewer:
    """Who sent a request.

    Raises
    ------
    PageNotFound
        Nobody that may see the dashboard.
    """
    viewer: Viewer | None = request.scope[VIEWER]
    if viewer is None:
        raise PageNotFound
    return viewer


def page_request_of(request: Request, viewer: Viewer) -> PageRequest:
    """A request as pages are given it."""
    return PageRequest(
        path=request.scope["path"].removeprefix("/"),
        params=request.path_params,
        query=Query.parse(request.url.query),
        role=viewer.role,
        language=cookies.language(request),
        actions=viewer.actions,
    )


def lead_to(page_request: PageRequest, address: str) -> Response:
    """An answer that leads to an address relative to the dashboard."""
    # 303: the browser goes on with GET (RFC 9110 §15.4.4). A relative address is right below any prefix.
    return RedirectResponse(page_request.root + address, 303)


def problem(status: int, text: str) -> Response:
    """What is wrong, as RFC 9457 has it."""
    content = {"title": HTTPStatus(status).phrase, "status": status, "detail": text}
    return JSONResponse(content, status, {**PAGE_HEADERS, **NO_STORE}, media_type="application/problem+json")


async def accepted_form(request: Request, viewer: Viewer) -> Form:
    """The fields of a form that comes from a page of this viewer.

    Raises
    ------
    Refused
        It comes from elsewhere.
    """
    form = await read_form(request)
    if reason := csrf.refusal(request, viewer, form.get(csrf.FIELD, "")):
        raise Refused(t("The form was rejected: {reason} Go back, reload the page and try again.", reason=reason))
    return form
