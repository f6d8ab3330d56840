"""Examples of responses for the API description; the library provides those of imports."""

from collections.abc import Mapping
from typing import Any, Final

_AT: Final = "2026-07-01T08:30:00.000Z"
_PLATFORM: Final = {"id": 1, "platformName": "Docker", "createdAt": _AT}
_COMMAND: Final = {
    "id": 7,
    "howTo": "List all containers, stopped ones too",
    "commandLine": "docker ps --all",
    "platformId": 1,
    "createdAt": _AT,
}
_PAGE: Final = {
    "pageIndex": 1,
    "pageSize": 20,
    "totalCount": 1,
    "totalPages": 1,
    "hasPreviousPage": False,
    "hasNextPage": False,
}
_WEBHOOK: Final = {
    "id": 3,
    "url": "https://hooks.example.com/imports",
    "events": ["import.completed", "import.failed"],
    "description": "warehouse",
    "isActive": True,
    "createdAt": _AT,
}
_SECRET: Final = {**_WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
_DELIVERY: Final = {
    "id": 12,
    "messageId": "msg_0f9d3b1c5e7a4d2f8b6c1a3e5d7f9b0c",
    "event": "import.completed",
    "importId": 9,
    "state": "delivered",
    "attempts": 1,
    "lastStatus": 204,
    "lastError": None,
    "createdAt": _AT,
    "lastAttemptAt": _AT,
    "deliveredAt": _AT,
}
_PULL: Final = {
    "id": 2,
    "resource": "platforms",
    "source": {"url": "https://files.example.com/platforms.csv"},
    "cron": "0 3 * * *",
    "timezone": "Europe/Berlin",
    "name": "Nightly platforms",
    "metadata": None,
    "mode": "upsert",
    "isActive": True,
    "nextAt": "2026-07-02T01:00:00.000Z",
    "lastCheckedAt": _AT,
    "lastOutcome": "imported",
    "lastImportId": 9,
    "createdAt": _AT,
}
_KEY: Final = {
    "id": 5,
    "description": "nightly import",
    "createdAt": _AT,
    "scopes": ["import", "read"],
    "expiresAt": None,
}
_NEW_KEY: Final = {**_KEY, "apiKey": "0198c2b4-6e4f-7a31-9f5e-3d2b1c0a9e87Zm9yIHRoZSBkb2N1bWVudGF0aW9uLCBubyBrZXkgb2Y"}
_REGISTRATION: Final = {
    **_KEY,
    "keyIndex": "0198c2b4-6e4f-7a31-9f5e-3d2b1c0a9e87",
    "lastUsedAt": _AT,
    "revokedAt": None,
}

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "PlatformView": _PLATFORM,
    "CommandView": _COMMAND,
    "Page_PlatformView_": {"items": [_PLATFORM], **_PAGE},
    "Page_CommandView_": {"items": [_COMMAND], **_PAGE},
    "WebhookView": _WEBHOOK,
    "WebhookList": {"items": [_WEBHOOK]},
    "WebhookWithSecret": _SECRET,
    "DeliveryView": _DELIVERY,
    "DeliveryPage": {"items": [_DELIVERY], "nextCursor": None},
    "PullView": _PULL,
    "PullList": {"items": [_PULL]},
    "NewRegistration": _NEW_KEY,
    "Registration": _REGISTRATION,
    "RegistrationList": {"items": [_REGISTRATION], "nextCursor": None},
    "Health": {"status": "ok"},
}
"""By the name of the schema."""
_TEXTS: Final = {
    "text/csv": {
        "platforms": "platformName\nDocker\n",
        "commands": "howTo,commandLine,platformId\nList all containers,docker ps --all,1\n",
    },
    "application/x-ndjson": {
        "platforms": '{"platformName":"Docker"}\n',
        "commands": '{"howTo":"List all containers","commandLine":"docker ps --all","platformId":1}\n',
    },
}


def show_examples(description: dict[str, Any]) -> None:
    """Give each answer that has no example its own."""
    detail = _example(description["paths"].get("/api/imports/{job_id}", {}).get("get", {}))
    cancelled = None if detail is None else {**detail, "status": "Cancelled"}
    for path, operations in description["paths"].items():
        for operation in operations.values():
            if not isinstance(operation, dict):
                continue
            for status, answer in operation.get("responses", {}).items():
                for media_type, content in answer.get("content", {}).items() if status.startswith("2") else ():
                    if "example" in content or "examples" in content:
                        continue
                    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                    example: Any = cancelled if name == "JobDetail" else EXAMPLES.get(name)
                    if example is None and path.endswith("/export"):
                        example = _TEXTS.get(media_type, {}).get(path.split("/")[2])
                    if example is not None:
                        content["example"] = example


def _example(operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The example of a JSON answer."""
    content = operation.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
    if "example" in content:
        example: Mapping[str, Any] = content["example"]
        return example
    return next((one["value"] for one in content.get("examples", {}).values()), None)
