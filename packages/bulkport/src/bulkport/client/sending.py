"""Sends requests: which failures are retried, after which delay, and what a broken connection means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from bulkport.backoff import wait_after
from bulkport.client.errors import ClientError, ServerUnreachable, UnexpectedAnswer, UploadLost
from bulkport.client.operations import Call

# The server answers an upload when it is stored, which may take a while for many millions of rows.
TIMEOUT: Final = httpx.Timeout(connect=10.0, write=300.0, read=300.0, pool=10.0)
_BUSY: Final = frozenset({409, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed; 409 only where it says when to come back."""
RESUMABLE_BYTES: Final = 64 * 1024 * 1024
"""Size of a file from which on it is uploaded in parts."""
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Attempts:
    """The attempts of one call, and how long to wait before the next."""

    call: Call
    url: str
    patience_seconds: float
    sent: int = 0
    """Bytes of the body that went out in the present attempt."""
    is_read: bool = False
    """Whether the body was read to its end in the present attempt."""
    _failures: int = 0

    def pause_after_answer(self, response: httpx.Response) -> float | None:
        """Seconds until the call is retried because of its response; None if the response is final.

        Raises
        ------
        UnexpectedAnswer
            The server is somewhere else.
        """
        if response.is_redirect:
            raise UnexpectedAnswer(f"{response.url} redirects to {response.headers.get('location')}; use that.")
        wanted = _retry_after(response)
        if response.status_code not in _BUSY or (response.status_code == 409 and wanted is None):
            return None
        if self.call.source is not None and not self.call.is_repeatable and self.sent:
            return None
        return self._next_pause(wanted)

    def pause_after_error(self, error: httpx.TransportError) -> float:
        """Seconds until the call is sent again after a broken connection.

        Raises
        ------
        ServerUnreachable, UploadLost
            It is impossible, or the time is up.
        """
        was_refused = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        pause = self._next_pause(None) if was_refused or self.call.is_repeatable else None
        if pause is not None:
            return pause
        reason = str(error) or type(error).__name__
        if self.call.source is None or was_refused:
            if isinstance(error, httpx.TimeoutException):
                raise ServerUnreachable(f"{self.url} does not answer.") from error
            raise ServerUnreachable(f"{self.url} cannot be reached: {reason}") from error
        if self.is_complete:
            raise UploadLost(
                f"The connection was lost before the server answered ({reason}). It may have accepted the import.",
                may_be_accepted=True,
            ) from error
        raise UploadLost(
            f"The connection was lost after {self.sent:,} bytes ({reason}). Nothing of them was kept.",
            may_be_accepted=False,
        ) from error

    @property
    def is_complete(self) -> bool:
        """Whether the server may have received the end of the body, by its length or the last chunk."""
        size = None if self.call.source is None else self.call.source.size
        return self.is_read or self.sent == size

    def _next_pause(self, wanted: float | None) -> float | None:
        self._failures += 1
        own = wait_after(self._failures, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
        pause = own if wanted is None else max(wanted, own)
        if pause > self.patience_seconds:
            return None
        self.patience_seconds -= pause
        return pause


def checked_url(url: str) -> str:
    """The server's URL without a trailing slash; raises ClientError if invalid."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ClientError(f"{url} is not an address: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ClientError(f"{url} is not an address; it looks like http://127.0.0.1:8000.")
    return url.rstrip("/")


def checked_prefix(prefix: str) -> str:
    """The path prefix of the API without a trailing slash; raises ClientError if invalid."""
    prefix = prefix.rstrip("/")
    if prefix and not prefix.startswith("/"):
        raise ClientError(f"{prefix} is not a path; it looks like /api.")
    return prefix


def headers_with(api_key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of every request; raises ClientError for an invalid key."""
    known = {} if api_key is None else {"x-api-key": api_key}
    for name, value in {**known, **(headers or {})}.items():
        if not (value.isascii() and value.isprintable()):
            raise ClientError(f"The value for {'the API key' if value == api_key else name} holds signs that none has.")
    return {**known, **(headers or {})}


def is_on_this_machine(url: str) -> bool:
    """Whether the address leads to this machine: a proxy set for the internet does not."""
    host = httpx.URL(url).host
    return host in {"localhost", "::1"} or host.startswith("127.")


OnSent = Callable[[int], None]
"""Called with the number of bytes sent so far, 0 when an upload begins again."""


def _retry_after(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds (RFC 9110 §10.2.3); a proxy may write it as a date."""
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment.tzinfo is not None else None
