"""The body of a request as it arrives, with what is learnt of it on the way: its digests and its fingerprint."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from bulkport.errors import BadRequest, DigestMismatch, UploadInterrupted
from bulkport.fastapi.headers import field_value

_ALGORITHMS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_DIGEST: Final = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*")
_READS_ALIKE: Final = ("content-type", "content-encoding", "prefer", "upload-length", "upload-metadata")
"""Headers that say how a body is read: the same bytes with others are another request."""


class RequestBody:
    """Reads a request's body once, checks its digests, and fingerprints it where that is asked for.

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
        self._hashes = {name: _ALGORITHMS[name]() for name, _ in self._expected}
        if fingerprints:
            self._hashes.setdefault("sha-256", hashlib.sha256())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body's parts.

        Raises
        ------
        UploadInterrupted
            The client went away.
        DigestMismatch
            The body is complete and is not the one whose digest was sent.
        """
        try:
            async for data in self._request.stream():
                for hash_ in self._hashes.values():
                    hash_.update(data)
                yield data
                # uvicorn hands over what has arrived without giving way; a fast upload must not starve the others.
                await asyncio.sleep(0)
        except ClientDisconnect:
            raise UploadInterrupted from None
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
    def fingerprint(self) -> bytes:
        """Digest of the body that was read and of all that says how to read it (32 bytes)."""
        whole = hashlib.sha256(self._hashes["sha-256"].digest())
        for name in _READS_ALIKE:
            whole.update(b"\0" + (field_value(self._request.headers, name) or "").encode())
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
