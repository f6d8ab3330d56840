"""Limits on every request: its target, headers, Host and the pace of its body."""

import re
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

from bulkport.errors import BadRequest, BulkportError, HeadersTooLarge, UriTooLong
from bulkport.fastapi import problems

# `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2); empty if the target has no authority.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a request may be. Sizes are in bytes, times in seconds."""

    max_path_bytes: int = 8 * 1024
    max_query_bytes: int = 8 * 1024
    """All query parameters together, as they are sent; more is answered 414."""
    max_header_bytes: int = 64 * 1024
    """All headers together; more is answered 431."""
    max_headers: int = 200
    """How many there may be; each that is looked up is looked for in all of them."""
    body_idle_seconds: float = 60.0
    """Longest pause in the middle of a body; then 408."""
    body_min_rate: int = 1024
    """Bytes a second that a body must arrive with, once `body_grace_seconds` were spent on waiting for it; else 408."""
    body_grace_seconds: float = 30.0

    def refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is beyond the limits; None: it is within them."""
        error = self._error(scope)
        return None if error is None else problems.response_for(scope["path"][:200], error)

    def _error(self, scope: Scope) -> BulkportError | None:
        if len(scope["path"]) > self.max_path_bytes:
            return UriTooLong(f"The path is longer than {self.max_path_bytes:,} bytes.")
        if len(scope.get("query_string", b"")) > self.max_query_bytes:
            return UriTooLong(f"The query is longer than {self.max_query_bytes:,} bytes.")
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if len(headers) > self.max_headers:
            return HeadersTooLarge(f"There are more than {self.max_headers:,} headers.")
        if sum(len(name) + len(value) for name, value in headers) > self.max_header_bytes:
            return HeadersTooLarge(f"The headers are larger than {self.max_header_bytes:,} bytes.")
        hosts = [value for name, value in headers if name == b"host"]
        # Proxies and servers that each choose another one of two are how requests get to where they must not.
        if len(hosts) > 1 or (not hosts and scope.get("http_version", "1.1") == "1.1"):
            return BadRequest("A request must have exactly one Host header.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            return BadRequest("The Host header must be a host's name or address, and its port.")
        # The server undoes the chunked coding alone; any other would be imported as it is (RFC 9112 §6.1).
        if any(name == b"transfer-encoding" and value.lower() != b"chunked" for name, value in headers):
            return BadRequest("Transfer-Encoding must be chunked; compress a body with Content-Encoding.")
        return None
