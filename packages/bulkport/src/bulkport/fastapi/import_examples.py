"""Examples of imports, for OpenAPI."""

from typing import Any, Final

from bulkport.fastapi.job_views import JobViews

_STATUS: Final[dict[str, Any]] = {
    "status": "PartialSuccess",
    "totalRecords": 10,
    "processedRecords": 10,
    "successCount": 9,
    "failureCount": 1,
    "createdAt": "2026-07-01T14:00:00.000000Z",
    "startedAt": "2026-07-01T14:00:00.100000Z",
    "completedAt": "2026-07-01T14:00:01.200000Z",
    "errorSummary": "Platform '': platformName must not be blank",
}
_DETAIL: Final[dict[str, Any]] = {
    "startAt": None,
    "resource": "platforms",
    "format": "csv",
    "handling": "lenient",
    "bytes": 1234,
    "mode": "insert",
    "dryRun": False,
    "differences": None,
    "undone": None,
    "created": 9,
    "updated": 0,
    "unchanged": 0,
    "skipped": 0,
    "deleted": 0,
    "rowsPerSecond": 9.1,
    "etaSeconds": None,
    "attempts": 1,
    "warnings": ["The column note is unknown and was ignored."],
    "name": "July",
    "clientId": "2026-07/1",
    "metadata": {"batch": "2026-07"},
    "tags": ["nightly"],
    "retryOf": None,
    "reading": {"encoding": "utf-8", "delimiter": ",", "detected": ["encoding", "delimiter"]},
    "fileName": "platforms.csv",
    "links": {
        "self": "/api/imports/9",
        "status": "/api/platforms/bulk/9/status",
        "errors": "/api/imports/9/errors",
    },
}
ROW_EXAMPLE: Final[dict[str, Any]] = {
    "row": 3,
    "errors": [{"field": "platformName", "message": "platformName must not be blank"}],
    "record": {"platformName": ""},
}


def status_answer(views: JobViews) -> dict[str, Any]:
    """The answer that is an import's status."""
    return _answer({"id": 9, views.job_id_name: "9", **_STATUS})


def detail_answer(views: JobViews, **members: Any) -> dict[str, Any]:
    """The answer that is an import in full, with other values of some members."""
    return _answer(_detail(views) | members)


def page_answer(views: JobViews) -> dict[str, Any]:
    """The answer that is a page of imports."""
    return _answer({"items": [_detail(views)], "nextCursor": "9"})


def _detail(views: JobViews) -> dict[str, Any]:
    known = {field.alias or name for name, field in views.detail.model_fields.items()}
    example: dict[str, Any] = {"id": 9, views.job_id_name: "9", **_STATUS, **_DETAIL}
    return {name: value for name, value in example.items() if name in known}


def _answer(example: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}
