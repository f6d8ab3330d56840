"""Schemathesis hooks that add to the API description; `st` loads them (`SCHEMATHESIS_HOOKS`)."""

import re
from typing import Any, Final

import schemathesis
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks

# Refusals of requests that the schema allows: what is wrong depends on what is stored, on signatures, on names that the
# system knows, or on two parameters together. By parameter or field, as the problem's `errors` name it.
_BY_CONTENT: Final = {
    *("cursor", "url", "platformId", "charset", "comment", "dateFormat", "timeZone", "map", "set", "metadata"),
    *("trueWords", "falseWords", "nullWords", "name", "clientId", "startAt", "every", "cron", "source", "schedule"),
    *("headerRow", "dataRow", "skipRows", "delimiter", "quote", "escape", "decimal", "sheet", "excelDates"),
    *("key", "by", "timezone", "resource", "X-Import-Metadata", "search", "expiresInDays"),
}
_LISTS: Final = {"platforms", "commands"}
_HEADERS: Final = (
    *("Idempotency-Key", "Content-Digest", "Repr-Digest", "X-Import-Metadata", "Upload-Metadata", "Upload-Checksum"),
    *("Prefer", "Upload-Length", "Upload-Offset", "Tus-Resumable", "What the file is can be told neither"),
    # Rows before `dataRow` are none.
    "The body contains no records",
)
_BEYOND_SCHEMAS: Final = re.compile(
    r"must not contain the character NUL|must be a whole number, not [\d.e+-]+$"
    r"|tag must have printable|sortBy must be one of"
)
"""NUL is not a character of PostgreSQL; to JSON Schema 2.0 is an integer, which it is in no column here; Unicode alone
knows which characters are printable, and the table which columns are never null."""
_PROBLEMS: Final = {"/problems/csv-header-error", "/problems/malformed-body"}
"""The message about a text body that contradicts its Content-Type, which no schema can express."""
_REFUSALS: Final = {408, 411, 412, 413, 414, 422, 431, 460, 507}
"""Besides those that Schemathesis knows."""


@schemathesis.serializer("application/offset+octet-stream")
def send_bytes(context: Any, value: Any) -> bytes:
    """Bodies of binary types as they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.check
def valid_is_accepted(ctx: Any, response: Any, case: Any) -> None:
    """A valid request is accepted, unless the schema cannot express why it is not."""
    try:
        checks.positive_data_acceptance(ctx, response, case)
    except (Failure, FailureGroup):
        if not _is_about_content(response):
            raise


@schemathesis.check
def invalid_is_refused(ctx: Any, response: Any, case: Any) -> None:
    """An invalid request is rejected; unknown headers and parameters are ignored."""
    if response.status_code in _REFUSALS or _has_empty_parameter(case):
        return
    try:
        checks.negative_data_rejection(ctx, response, case)
    except (Failure, FailureGroup) as failure:
        if "unexpected properties" not in str(failure):
            raise


@schemathesis.check
def required_headers_are_required(ctx: Any, response: Any, case: Any) -> None:
    """A request without a required header is refused."""
    if response.status_code not in _REFUSALS:
        checks.missing_required_header(ctx, response, case)


@schemathesis.check
def deleted_is_gone(ctx: Any, response: Any, case: Any) -> None:
    """Deleted objects are not found; a revoked key is still listed with its time."""
    if "/registrations" not in case.path:
        checks.use_after_free(ctx, response, case)


def _has_empty_parameter(case: Any) -> bool:
    """Whether a query parameter has no value: it is as good as one that is not given."""
    values = (case.query or {}).values()
    return any((not value and value not in (0, False)) or (isinstance(value, list) and "" in value) for value in values)


def _is_about_content(response: Any) -> bool:
    if response.status_code in _REFUSALS:
        return True
    if response.status_code not in {400, 415}:
        return False
    try:
        problem = response.json()
    except ValueError:
        return False
    if problem.get("type") in _PROBLEMS:
        return True
    # A report may be any object; its rows are in one of these.
    if response.request.url.partition("?")[0].endswith("/retry") and problem.get("errors", {}).keys() & _LISTS:
        return True
    errors = {path.partition("[")[0].partition(".")[0] for path in problem.get("errors", {})}
    detail = str(problem.get("detail", ""))
    messages = [message for messages in problem.get("errors", {}).values() for message in messages]
    if messages and all(_BEYOND_SCHEMAS.search(message) for message in messages):
        return True
    return (bool(errors) and errors <= _BY_CONTENT) or detail.startswith(_HEADERS)
