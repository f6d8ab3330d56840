"""Cookies of the dashboard. Over https their names keep other hosts of the domain from setting them (RFC 6265bis)."""

from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from bulkport.dashboard.core.language import preferred

FLASH: Final = "bulkport_flash"
FORM_KEY: Final = "bulkport_form"
RETURN: Final = "bulkport_return"
SESSION: Final = "bulkport_session"
SIGN_IN: Final = "bulkport_sign_in"
KEYS_SESSION: Final = "bulkport_keys_session"
"""Of a page for an application's own users, who are not let into the dashboard by it."""
LANGUAGE: Final = "bulkport_language"
THEME: Final = "bulkport_theme"
DENSITY: Final = "bulkport_density"
TIMES: Final = "bulkport_times"
_OF_THE_SCRIPT: Final = frozenset({THEME, DENSITY, TIMES})
"""The script sets these as well, so they have no prefix."""


def language(request: Request) -> str:
    """The language of the pages for a request."""
    return preferred(request.headers.get("accept-language", ""), read(request, LANGUAGE) or "")


SECURE: Final = "bulkport.dashboard_is_secure"
"""Where the scope of a request says whether browsers know the dashboard by an https address."""


def is_secure(request: Request) -> bool:
    """Whether the browser reaches the dashboard over https: as its public address says, else as the request does."""
    secure: bool | None = request.scope.get(SECURE)
    return request.url.scheme == "https" if secure is None else secure


def read(request: Request, name: str) -> str | None:
    """The cookie's value."""
    return request.cookies.get(_full_name(request, name))


def set_cookie(
    response: Response,
    request: Request,
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    same_site: Literal["lax", "strict"] = "lax",
) -> None:
    """Set a cookie that scripts cannot read.

    Parameters
    ----------
    max_age:
        Seconds; None: until the browser ends.
    """
    response.set_cookie(
        _full_name(request, name),
        value,
        max_age=max_age,
        path="/",
        secure=is_secure(request),
        httponly=name not in _OF_THE_SCRIPT,
        samesite=same_site,
    )


def delete_cookie(response: Response, request: Request, name: str) -> None:
    """Make the browser forget a cookie."""
    set_cookie(response, request, name, "", max_age=0)


def _full_name(request: Request, name: str) -> str:
    return f"__Host-{name}" if is_secure(request) and name not in _OF_THE_SCRIPT else name
