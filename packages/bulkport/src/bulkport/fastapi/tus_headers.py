"""Headers of the tus protocol: validation and description."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers

from bulkport.errors import BadRequest, BulkportError
from bulkport.fastapi.headers import field_value

VERSION: Final = "1.0.0"
CONTENT_TYPE: Final = "application/offset+octet-stream"
ALGORITHMS: Final = ("sha256", "sha1", "sha512", "md5")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_METADATA_KEY: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,100}")
_MAX_METADATA: Final = 4096


class TusVersionUnsupported(BulkportError):
    """The request needs the header Tus-Resumable: 1.0.0."""

    status = 412
    title = "tus version not supported"

    def headers(self) -> Mapping[str, str]:
        """What is supported."""
        return {"Tus-Version": VERSION}


@dataclass(frozen=True, slots=True)
class Checksum:
    """`Upload-Checksum`: what a body's digest must be."""

    algorithm: str
    digest: bytes


TUS_RESUMABLE: Final[dict[str, Any]] = {
    "name": "Tus-Resumable",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "const": VERSION},
}
_CHECKSUM: Final[dict[str, Any]] = {
    "name": "Upload-Checksum",
    "in": "header",
    "required": False,
    "description": "Algorithm and base64 digest of the body; a body that does not match is not stored.",
    "schema": {"type": "string", "pattern": "^(sha256|sha1|sha512|md5) [A-Za-z0-9+/]+={0,2}$"},
}
_PART: Final[dict[str, Any]] = {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}
CREATION: Final[dict[str, Any]] = {
    "requestBody": {"required": False, "content": _PART},
    "parameters": [
        TUS_RESUMABLE,
        {
            "name": "Upload-Length",
            "in": "header",
            "required": True,
            "description": "Total length in bytes.",
            "schema": {"type": "integer", "minimum": 0},
        },
        {
            "name": "Upload-Metadata",
            "in": "header",
            "required": False,
            "description": "Pairs of a key and base64 text: `filename` and `filetype` say how the bytes are read.",
            "schema": {"type": "string", "maxLength": _MAX_METADATA},
            "example": "filename cGxhdGZvcm1zLmNzdg==",
        },
        _CHECKSUM,
    ],
}
APPENDING: Final[dict[str, Any]] = {
    "parameters": [
        TUS_RESUMABLE,
        {
            "name": "Upload-Offset",
            "in": "header",
            "required": True,
            "description": "Bytes received so far.",
            "schema": {"type": "integer", "minimum": 0},
        },
        _CHECKSUM,
    ],
    "requestBody": {"required": True, "content": _PART},
}


def require_version(headers: Headers) -> None:
    """Raise TusVersionUnsupported for a request of another version, or of another protocol."""
    if field_value(headers, "tus-resumable") != VERSION:
        raise TusVersionUnsupported


def parse_number(headers: Headers, name: str) -> int:
    """A header that is a number of bytes; raises BadRequest."""
    value = field_value(headers, name) or ""
    if not _NUMBER.fullmatch(value):
        raise BadRequest(f"{name.title()} must be a number of bytes.")
    return int(value)


def parse_metadata(value: str | None) -> dict[str, str]:
    """The pairs of `Upload-Metadata`; raises BadRequest."""
    metadata: dict[str, str] = {}
    if value is None:
        return metadata
    problem = BadRequest("Upload-Metadata must be pairs of a key and base64 of UTF-8 text, separated by commas.")
    if len(value) > _MAX_METADATA:
        raise BadRequest(f"Upload-Metadata must have at most {_MAX_METADATA} characters.")
    for pair in value.split(","):
        key, _, encoded = pair.strip().partition(" ")
        try:
            text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except ValueError:  # no base64, no ASCII, or no UTF-8
            raise problem from None
        if not _METADATA_KEY.fullmatch(key) or key in metadata or "\0" in text:
            raise problem
        metadata[key] = text
    return metadata


def parse_checksum(headers: Headers) -> Checksum | None:
    """The checksum that the body must have, if any; raises BadRequest."""
    if "upload-checksum" not in headers:
        return None
    # An empty one is refused: a client that means to have the body checked must not take it for that.
    value = field_value(headers, "upload-checksum") or ""
    algorithm, _, encoded = value.partition(" ")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:  # no base64, or no ASCII
        digest = b""
    if algorithm not in ALGORITHMS or not digest:
        raise BadRequest(f"Upload-Checksum must be one of {', '.join(ALGORITHMS)} and base64 of the digest.")
    return Checksum(algorithm, digest)
