"""Pages as responses: the variables of the frame, compression, and error pages."""

import gzip
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bulkport.dashboard.core import cookies, csrf, flash
from bulkport.dashboard.core.error_page import Link
from bulkport.dashboard.core.language import speaking, t
from bulkport.dashboard.core.page import Counts, CountsSource, PageRequest, Query
from bulkport.dashboard.core.render import Renderer
from bulkport.dashboard.core.security import NO_STORE, PAGE_HEADERS
from bulkport.dashboard.core.static_files import accepts_gzip
from bulkport.dashboard.core.viewer import Role, Viewer

logger = logging.getLogger(__name__)

_LEAST_COMPRESSED: Final = 1000
_GZIP_LEVEL: Final = 5
LOOKS: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "theme": (cookies.THEME, ("auto", "light", "dark")),
    "density": (cookies.DENSITY, ("comfortable", "compact")),
    "times": (cookies.TIMES, ("relative", "local", "utc")),
}
"""What a viewer chooses of the look: its cookie and its values, the default first."""
_HEADINGS: Final = {
    400: "This address is not valid",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    500: "Something went wrong",
    503: "Unavailable",
}


class Responses:
    """Makes responses from templates."""

    def __init__(self, renderer: Renderer, counts: CountsSource) -> None:
        self._renderer = renderer
        self._counts = counts

    def page(
        self,
        request: Request,
        viewer: Viewer,
        template: str,
        page_request: PageRequest,
        *,
        counts: Counts,
        variables: Mapping[str, Any],
        section: str = "",
        is_live: bool = False,
        status: int = 200,
    ) -> Response:
        """A page in its frame, for one viewer."""
        key, is_new_key = csrf.form_key(request)
        message = flash.take(request)
        html = self._renderer.page(
            template,
            page_request,
            counts,
            {
                **variables,
                "viewer": viewer,
                "csrf": csrf.token(key, viewer),
                **look_of(request),
                "flash": message,
                "section": section,
                "live": page_request.address if is_live else None,
            },
        )
        response = html_response(request, html, status)
        if is_new_key:
            cookies.set_cookie(response, request, cookies.FORM_KEY, key)
        if message is not None:
            cookies.delete_cookie(response, request, cookies.FLASH)
        return response

    def error_page(self, request: Request, status: int, heading: str, text: str, link: Link | None) -> Response:
        """A page for visitors without access."""
        # A route below the dashboard has the path there; before that the route of the application knows the rest.
        path = request.path_params.get("rest", request.scope["path"].removeprefix("/"))
        page_request = PageRequest(path, {}, Query(), Role.READ_ONLY, cookies.language(request))
        variables = {"heading": heading, "text": text, "link": link, **look_of(request)}
        with speaking(page_request.language):
            html = self._renderer.page("plain.html", page_request, Counts(), variables)
        return html_response(request, html, status)

    async def error(
        self, request: Request, viewer: Viewer, page_request: PageRequest, status: int, text: str
    ) -> Response:
        """An error page in the dashboard's frame."""
        try:
            counts = await self._counts()
        except Exception:
            # The page must come even if the database is unavailable; it reports worse than missing counts.
            logger.debug("no counts for a page that reports a failure", exc_info=True)
            counts = Counts()
        variables = {"status": status, "heading": t(_HEADINGS.get(status, HTTPStatus(status).phrase)), "text": text}
        return self.page(request, viewer, "error.html", page_request, counts=counts, variables=variables, status=status)


def look_of(request: Request) -> dict[str, str]:
    """The look that the viewer chose."""
    given = {name: request.cookies.get(cookie, "") for name, (cookie, _) in LOOKS.items()}
    return {name: given[name] if given[name] in values else values[0] for name, (_, values) in LOOKS.items()}


def html_response(request: Request, html: str, status: int = 200) -> Response:
    """A page with all its headers, compressed where the browser takes it."""
    content = html.encode("utf-8", "replace")
    headers = {**PAGE_HEADERS, **NO_STORE, "Vary": "Accept-Encoding, Accept-Language, Cookie"}
    if len(content) >= _LEAST_COMPRESSED and accepts_gzip(request):
        headers["Content-Encoding"] = "gzip"
        content = gzip.compress(content, _GZIP_LEVEL, mtime=0)
    return Response(content, status, headers, media_type="text/html")
