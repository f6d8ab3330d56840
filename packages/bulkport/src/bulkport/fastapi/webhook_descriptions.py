"""Describes webhook messages for OpenAPI 3.1."""

from typing import Any, Final

from bulkport.webhooks.store import WebhookEvent

_HEADERS: Final = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": words,
        "schema": {"type": "string"},
        "example": example,
    }
    for name, words, example in (
        (
            "webhook-id",
            "Id of the message, the same in every attempt. Respond 2xx to a message that you have already processed.",
            "msg_2Lml9rYwCZ3oXnq3mTzVQm",
        ),
        (
            "webhook-timestamp",
            "Unix time of this attempt, in seconds. Refuse messages that are older than five minutes.",
            "1782914400",
        ),
        (
            "webhook-signature",
            (
                "`v1,` and the base64 HMAC-SHA256 of `webhook-id.webhook-timestamp.body`. The key is the secret "
                "without `whsec_`, base64-decoded. For a day after a secret was rotated there are two signatures, "
                "separated by a space."
            ),
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        ),
    )
]
_TIME: Final = {"type": ["string", "null"], "format": "date-time"}
_IMPORT: Final[dict[str, Any]] = {
    "title": "WebhookImport",
    "description": "The finished import.",
    "type": "object",
    "required": ["id", "resource", "status", "totalRecords", "successCount", "failureCount", "createdAt"],
    "properties": {
        "id": {"type": "integer"},
        "resource": {"type": "string"},
        "status": {"enum": ["Completed", "PartialSuccess", "Failed", "Cancelled"]},
        "name": {"type": ["string", "null"]},
        "clientId": {"type": ["string", "null"]},
        "metadata": {"type": ["object", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "totalRecords": {"type": "integer"},
        "processedRecords": {"type": "integer"},
        "successCount": {"type": "integer"},
        "failureCount": {"type": "integer"},
        "errorSummary": {"type": ["string", "null"]},
        "createdAt": {"type": "string", "format": "date-time"},
        "startedAt": _TIME,
        "completedAt": _TIME,
    },
}
_ENDED: Final[dict[str, Any]] = {
    "id": 9,
    "resource": "platforms",
    "name": "July",
    "clientId": "2026-07/1",
    "metadata": {"batch": "2026-07"},
    "tags": ["nightly"],
    "totalRecords": 10,
    "errorSummary": None,
    "createdAt": "2026-07-01T14:00:00.000000Z",
    "startedAt": "2026-07-01T14:00:00.100000Z",
    "completedAt": "2026-07-01T14:00:01.200000Z",
}
_BAD_ROW: Final = "Platform '': platformName must not be blank"
_EVENTS: Final[dict[WebhookEvent, tuple[str, str, dict[str, Any]]]] = {
    WebhookEvent.COMPLETED: (
        "importCompleted",
        "An import finished and every row was imported",
        {"status": "Completed", "processedRecords": 10, "successCount": 10, "failureCount": 0},
    ),
    WebhookEvent.PARTIAL_SUCCESS: (
        "importPartialSuccess",
        "An import finished and some rows were rejected",
        {
            "status": "PartialSuccess",
            "processedRecords": 10,
            "successCount": 9,
            "failureCount": 1,
            "errorSummary": _BAD_ROW,
        },
    ),
    WebhookEvent.FAILED: (
        "importFailed",
        "An import failed",
        {
            "status": "Failed",
            "processedRecords": 10,
            "successCount": 0,
            "failureCount": 10,
            "errorSummary": _BAD_ROW,
        },
    ),
    WebhookEvent.CANCELLED: (
        "importCancelled",
        "An import was cancelled",
        {"status": "Cancelled", "processedRecords": 4, "successCount": 4, "failureCount": 0},
    ),
    WebhookEvent.PING: ("webhookPing", "A test message", {}),
}
_WORDS: Final = (
    "Sent to each webhook of the user that subscribes to the event, signed according to [Standard Webhooks]"
    "(https://www.standardwebhooks.com), whose libraries verify it. Respond 2xx within 15 seconds, and do the work "
    "afterwards; after any other response the message is sent again, for about a day. 410 disables the webhook. A "
    "message may arrive twice, with the same `webhook-id`."
)


def describe_webhooks(description: dict[str, Any]) -> dict[str, Any]:
    """Add webhook messages to an OpenAPI 3.1 `description`, which is changed and returned."""
    description["webhooks"] = {name: {"post": _operation(event)} for event, (name, _, _) in _EVENTS.items()}
    return description


def _operation(event: WebhookEvent) -> dict[str, Any]:
    name, summary, members = _EVENTS[event]
    is_ping = event is WebhookEvent.PING
    schema = {
        "title": f"{name[0].upper()}{name[1:]}Message",
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": str(event)},
            "timestamp": {"type": "string", "format": "date-time", "description": "Time of the event."},
            "data": {"type": "object", "description": "Empty."} if is_ping else _IMPORT,
        },
    }
    example = {
        "type": str(event),
        "timestamp": "2026-07-01T14:00:01.200000Z",
        "data": {} if is_ping else {**_ENDED, **members},
    }
    return {
        "operationId": name,
        "tags": ["webhooks"],
        "summary": summary,
        "description": _WORDS,
        "parameters": _HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {"2XX": {"description": "Received."}, "410": {"description": "Disable this webhook."}},
    }
