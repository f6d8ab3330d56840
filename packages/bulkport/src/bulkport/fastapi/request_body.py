"""The body of a request as it arrives, with its digests and fingerprint."""

import asyncio
import base64
import binascii
import hashlib
import re
import time
from collections.abc import AsyncIterator
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from bulkport.errors import BadRequest, DigestMismatch, UnsupportedMediaType, UploadInterrupted
from bulkport.fastapi.form_body import form_boundary
from bulkport.fastapi.headers import field_value

_ALGORITHMS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_DIGEST: Final = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*")
_READS_ALIKE: Final = ("content-type", "content-encoding", "prefer", "upload-length", "upload-metadata")
"""Headers that say how a body is read: the same bytes with others are another request."""
_FORM: Final = "multipart/form-data"


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _FormHash:
    """The digest of a form, whatever its boundary."""

    def __init__(self, boundary: bytes) -> None:
        self._boundary = boundary
        self._hash = hashlib.sha256()
        self._rest = b""

    def update(self, data: bytes, /) -> None:
        *before, last = (self._rest + data).split(self._boundary)
        for part in before:
            self._hash.update(part + b"\0")
        # A boundary may continue in the next part.
        known = max(0, len(last) - len(self._boundary) + 1)
        self._hash.update(last[:known])
        self._rest = last[known:]

    def digest(self) -> bytes:
        whole = self._hash.copy()
        whole.update(self._rest)
        return whole.digest()


def _boundary(content_type: str) -> bytes | None:
    try:
        return form_boundary(content_type)
    except UnsupportedMediaType:
        return None


class RequestBody:
    """Reads a request's body once, checks its digests, and computes its fingerprint if requested.

    Parameters
    ----------
    fingerprints:
        Whether `fingerprint` is wanted, which costs a pass over the bytes.

    Raises
    ------
    BadRequest
        `Content-Digest` or `Repr-Digest` (RFC 9530) is no dictionary of byte sequences.
    """

    def __init__(self, request: Request, *, fingerprints: bool = False) -> None:
        self._request = request
        self._expected = _expected_digests(request.headers)
        self._hashes: dict[str, _Hash] = {name: _ALGORITHMS[name]() for name, _ in self._expected}
        self._content_type = field_value(request.headers, "content-type") or ""
        self._content: _Hash | None = None
        if fingerprints:
            self._content = self._hashes.setdefault("sha-256", hashlib.sha256())
            if (boundary := _boundary(self._content_type)) is not None:
                self._content = self._hashes["form"] = _FormHash(boundary)
                self._content_type = _FORM
        self._waits_since: float | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body's parts.

        Raises
        ------
        UploadInterrupted
            The client went away.
        DigestMismatch
            The body is complete and is not the one whose digest was sent.
        """
        self._waits_since = time.monotonic()
        try:
            async for data in self._request.stream():
                self._waits_since = None
                for hash_ in self._hashes.values():
                    hash_.update(data)
                yield data
                # uvicorn hands over what has arrived without giving way; a fast upload must not starve the others.
                await asyncio.sleep(0)
                self._waits_since = time.monotonic()
        except ClientDisconnect:
            raise UploadInterrupted from None
        finally:
            self._waits_since = None
        for name, digest in self._expected:
            if self._hashes[name].digest() != digest:
                raise DigestMismatch(
                    f"The body's {name} digest does not match the header; nothing was stored. Send the body again."
                )

    async def drain(self) -> None:
        """Read the body to its end, for its fingerprint alone."""
        async for _ in self:
            pass

    @property
    def silent_seconds(self) -> float:
        """How long the client has sent nothing although its body is incomplete."""
        return 0.0 if self._waits_since is None else time.monotonic() - self._waits_since

    @property
    def fingerprint(self) -> bytes:
        """Digest of the body that was read and of all that says how to read it (32 bytes).

        The boundary of a form, which clients generate for each request, does not count.
        """
        assert self._content is not None
        whole = hashlib.sha256(self._content.digest())
        for name in _READS_ALIKE:
            value = self._content_type if name == "content-type" else field_value(self._request.headers, name)
            whole.update(b"\0" + (value or "").encode())
        whole.update(b"\0" + self._request.url.query.encode())
        return whole.digest()


def keep_fingerprint(request: Request, body: RequestBody) -> None:
    """Keep the fingerprint of a small body that was read, for `small_fingerprint`."""
    request.state.fingerprint = body.fingerprint


def small_fingerprint(request: Request) -> bytes:
    """The fingerprint of a request whose body `JsonBody` has read, or which has none."""
    kept: bytes | None = getattr(request.state, "fingerprint", None)
    return RequestBody(request, fingerprints=True).fingerprint if kept is None else kept


def _expected_digests(headers: Headers) -> list[tuple[str, bytes]]:
    expected: list[tuple[str, bytes]] = []
    for field in ("content-digest", "repr-digest"):
        value = field_value(headers, field)
        if value is None:
            continue
        for member in value.split(","):
            found = _DIGEST.fullmatch(member)
            try:
                digest = base64.b64decode(found[2], validate=True) if found else b""
            except binascii.Error:
                digest = b""
            if found is None or not digest:
                raise BadRequest(f"{field.title()} must look like sha-256=:BASE64: (RFC 9530).")
            if found[1] in _ALGORITHMS:
                expected.append((found[1], digest))
    return expected
