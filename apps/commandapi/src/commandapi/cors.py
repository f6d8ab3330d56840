"""Requests of web pages that other servers deliver (Fetch Standard, "CORS protocol").

A page of one of the configured origins may call the API with a key of its own. The dashboard and the key page, which
know their users by cookies, are for their own pages alone.
"""

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS: Final = (
    "x-api-key",
    "authorization",
    "content-type",
    "content-encoding",
    "content-digest",
    "repr-digest",
    "idempotency-key",
    "last-event-id",
    "prefer",
    "x-import-metadata",
    "tus-resumable",
    "upload-checksum",
    "upload-length",
    "upload-metadata",
    "upload-offset",
)
_RESPONSE_HEADERS: Final = (
    "content-disposition",
    "idempotent-replayed",
    "location",
    "preference-applied",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "tus-checksum-algorithm",
    "tus-extension",
    "tus-max-size",
    "tus-resumable",
    "tus-version",
    "upload-expires",
    "upload-length",
    "upload-metadata",
    "upload-offset",
)
_PREFLIGHT_SECONDS: Final = 7200
"""How long browsers keep the answer; they keep none for longer."""


class CrossOrigin:
    """Lets pages of other origins use the routes below a path (ASGI middleware).

    Parameters
    ----------
    origins:
        Such as `https://shop.example`, separated by commas; `*`: every one.
    path:
        Of the API. Everything else is answered as without this.
    """

    def __init__(self, app: ASGIApp, *, origins: str, path: str) -> None:
        self._app = app
        self._path = path
        self._with_headers = CORSMiddleware(
            app,
            allow_origins=[origin.strip().rstrip("/") for origin in origins.split(",")],
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
            max_age=_PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI 3)."""
        is_below = scope["type"] == "http" and scope["path"].startswith(f"{self._path}/")
        await (self._with_headers if is_below else self._app)(scope, receive, send)
