"""Error pages for visitors without access, which reveal nothing of the dashboard."""

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

Link = tuple[str, str]
"""Words and an address relative to the dashboard."""

SHOW: Final = "bulkport.error_page"
"""Where the scope of a request has the dashboard's function that makes such a page."""
URL: Final = "bulkport.dashboard_url"
"""Where it has the dashboard's own address, as far as the request says, without a slash at its end."""


def error_page(request: Request, status: int, heading: str, text: str, link: Link | None = None) -> Response:
    """A page that says one thing.

    Parameters
    ----------
    status:
        HTTP status.
    link:
        What to do next.
    """
    show: Callable[[Request, int, str, str, Link | None], Response] = request.scope[SHOW]
    return show(request, status, heading, text, link)
