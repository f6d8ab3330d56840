"""Response headers in the OpenAPI description."""

from typing import Any, Final

LOCATION: Final[dict[str, Any]] = {
    "Location": {"description": "Path of what was created.", "schema": {"type": "string", "format": "uri-reference"}}
}
STATUS_LOCATION: Final[dict[str, Any]] = {
    "Location": {
        "description": "Path of the import's status.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/api/platforms/bulk/9/status",
    }
}
RETRY_AFTER: Final[dict[str, Any]] = {
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    }
}
PREFERENCE_APPLIED: Final[dict[str, Any]] = {
    "Preference-Applied": {
        "description": "The preferences that were applied (RFC 7240).",
        "schema": {"type": "string"},
        "example": "handling=lenient, respond-async, wait=10",
    }
}
ATTACHMENT: Final[dict[str, Any]] = {
    "Content-Disposition": {
        "description": "Name of the file.",
        "schema": {"type": "string"},
        "example": 'attachment; filename="platforms.csv"',
    }
}
IDEMPOTENT_REPLAYED: Final[dict[str, Any]] = {
    "Idempotent-Replayed": {
        "description": "`true` if this is the stored response to an earlier request with the same `Idempotency-Key`.",
        "schema": {"type": "string", "const": "true"},
    }
}
UPLOAD_STATE: Final[dict[str, Any]] = {
    "Tus-Resumable": {"description": "Version of the protocol.", "schema": {"type": "string", "const": "1.0.0"}},
    "Upload-Offset": {
        "description": "Number of bytes received: the offset of the next part.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Upload-Expires": {
        "description": "When the upload expires, unless it is imported before (RFC 9110 §5.6.7).",
        "schema": {"type": "string"},
        "example": "Thu, 02 Jul 2026 14:00:00 GMT",
    },
}
UPLOAD_LENGTH: Final[dict[str, Any]] = {
    "Upload-Length": {"description": "Total length in bytes.", "schema": {"type": "integer", "minimum": 0}},
    "Upload-Metadata": {"description": "As it was sent, if at all.", "schema": {"type": "string"}},
}
TUS_SUPPORT: Final[dict[str, Any]] = {
    "Tus-Resumable": UPLOAD_STATE["Tus-Resumable"],
    "Tus-Version": {"description": "Versions of the protocol.", "schema": {"type": "string", "const": "1.0.0"}},
    "Tus-Extension": {
        "description": "Extensions of the protocol.",
        "schema": {"type": "string"},
        "example": "creation,creation-with-upload,expiration,checksum,termination",
    },
    "Tus-Max-Size": {"description": "Maximum size of an upload in bytes.", "schema": {"type": "integer"}},
    "Tus-Checksum-Algorithm": {
        "description": "Algorithms of `Upload-Checksum`.",
        "schema": {"type": "string"},
        "example": "sha256,sha1,sha512,md5",
    },
}
