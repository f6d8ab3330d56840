"""Maps errors to HTTP: status, problem type (RFC 9457) and headers.

Errors of the library know nothing of HTTP; this table does. An error that an application, or the HTTP edge itself,
defines may say it by itself: by a class attribute `status` and a method `headers`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol, runtime_checkable

from bulkport import errors
from bulkport.jobs import errors as job_errors

_STATUS: Final[Mapping[type[errors.BulkportError], int]] = {
    errors.BadRequest: 400,
    errors.ValidationFailed: 400,
    job_errors.InvalidSchedule: 400,
    errors.AuthenticationRequired: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    job_errors.UnknownRecurringJob: 404,
    errors.UploadTimedOut: 408,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.UriTooLong: 414,
    errors.UnsupportedMediaType: 415,
    errors.IdempotencyKeyReused: 422,
    errors.TooManyRequests: 429,
    errors.HeadersTooLarge: 431,
    # Of the tus protocol's extension "Checksum".
    errors.ChecksumMismatch: 460,
    errors.NotConfigured: 501,
    errors.ServiceUnavailable: 503,
    job_errors.SearchTookTooLong: 503,
    errors.InsufficientStorage: 507,
}
"""By class; a class that is not named has its parent's."""

_RETRY_AFTER: Final[Mapping[type[errors.BulkportError], int]] = {
    errors.IdempotencyKeyInUse: 1,
    errors.ServiceUnavailable: 1,
    errors.InsufficientStorage: 60,
}
"""Seconds after which it is worth asking again (RFC 9110 §10.2.3)."""


@runtime_checkable
class _SaysHeaders(Protocol):
    def headers(self) -> Mapping[str, str]: ...


def status_of(error: errors.BulkportError) -> int:
    """The HTTP status (RFC 9110 §15) of an error; 500 for an unexpected one."""
    own: Any = getattr(error, "status", None)
    if isinstance(own, int):
        return own
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return int(HTTPStatus.INTERNAL_SERVER_ERROR)


def headers_of(error: errors.BulkportError) -> Mapping[str, str]:
    """Response headers that go with an error."""
    if isinstance(error, _SaysHeaders):
        return error.headers()
    if isinstance(error, errors.TooManyRequests):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, errors.AuthenticationRequired):
        return {"WWW-Authenticate": "Bearer"}
    for kind in type(error).__mro__:
        if kind in _RETRY_AFTER:
            return {"Retry-After": str(_RETRY_AFTER[kind])}
    return {}


def problem_type_of(error: errors.BulkportError) -> str:
    """A relative URI naming the kind of problem (RFC 9457 §3.1.1), such as `/problems/record-too-large`."""
    name = type(error).__name__
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    return f"/problems/{words.strip('-')}"
