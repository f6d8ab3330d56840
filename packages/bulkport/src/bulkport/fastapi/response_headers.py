"""Response headers that handlers set before the response exists."""

from contextvars import ContextVar
from typing import Final

headers_of_response: Final[ContextVar[list[tuple[bytes, bytes]] | None]] = ContextVar(
    "bulkport_response_headers", default=None
)
"""Set for each request by `EdgeMiddleware`."""


def add_response_header(name: str, value: str) -> None:
    """Add a header to the response of the current request; has no effect outside of a request."""
    headers = headers_of_response.get()
    if headers is not None:
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
