"""The trace id of a request, used in its problem body, its log lines and its caller's trace.

A caller that traces sends the header `traceparent` (W3C Trace Context §3.2), whose trace id is taken over. Every other
request gets a random one.
"""

import os
import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

# Version ff is forbidden and ids of zeros are invalid (W3C Trace Context §3.2.2).
_TRACEPARENT: Final = re.compile(
    rb"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<later>-.*)?"
)

trace_id_of_request: ContextVar[str | None] = ContextVar("trace_id_of_request", default=None)
"""Trace id of the request being served, 32 hex digits; None outside of one."""


def trace_id_from(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's trace id where the raw ASGI `headers` carry exactly one valid `traceparent`, else a random one."""
    sent = [value for name, value in headers if name == b"traceparent"]
    found = _TRACEPARENT.fullmatch(sent[0]) if len(sent) == 1 else None
    # Members behind the flags are for versions to come (§3.2.4); version 00 has none.
    if found is None or (found["version"] == b"00" and found["later"]):
        return os.urandom(16).hex()
    return found["trace"].decode("ascii")
