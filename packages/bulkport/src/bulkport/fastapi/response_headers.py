"""Headers that whatever handles a request adds to its answer, whichever answer that will be."""

from contextvars import ContextVar
from typing import Final

headers_of_response: Final[ContextVar[list[tuple[bytes, bytes]] | None]] = ContextVar(
    "bulkport_response_headers", default=None
)
"""Set for each request by `EdgeMiddleware`."""


def add_response_header(name: str, value: str) -> None:
    """Have the answer to the current request carry a header; nothing happens outside of a request."""
    headers = headers_of_response.get()
    if headers is not None:
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
