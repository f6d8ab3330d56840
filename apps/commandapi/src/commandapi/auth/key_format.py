"""What an API key looks like: `GUID(36)` + 43 characters of base64url (RFC 4648 §5) of 32 random bytes.

    0b0c1f0e-6f0f-4d6c-9a3e-2f8f5d1f7c11 + 3q2-7wAAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk

The secret is hashed as its characters, not as the bytes they stand for: the last of 43 characters carries two bits that
decoders ignore, so the bytes would have four spellings.
"""

import base64
import hashlib
import os
import re
import uuid
from dataclasses import dataclass, field
from typing import Final

INDEX_CHARACTERS: Final = 36
SECRET_CHARACTERS: Final = 43
KEY_CHARACTERS: Final = INDEX_CHARACTERS + SECRET_CHARACTERS

_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A whole key, secret included. It is never stored, logged or part of a `repr`."""

    index: uuid.UUID
    """Finds the key; no secret."""
    secret: str = field(repr=False)
    """43 characters of base64url."""

    @property
    def text(self) -> str:
        """The key as clients send it, 79 characters."""
        return f"{self.index}{self.secret}"

    @property
    def secret_hash(self) -> bytes:
        """SHA-256 of the secret, 32 bytes: 256 random bits cannot be guessed, so a slow hash would gain nothing."""
        return hashlib.sha256(self.secret.encode("ascii")).digest()


def generate() -> ApiKey:
    """A new key from the operating system's random source."""
    secret = base64.urlsafe_b64encode(os.urandom(_SECRET_BYTES)).rstrip(b"=").decode("ascii")
    return ApiKey(index=uuid.uuid4(), secret=secret)


def parse(text: str) -> ApiKey | None:
    """The key that `text` spells, or None when no key looks like that. Only the spelling that was issued is a key."""
    if len(text) != KEY_CHARACTERS or (found := _KEY.fullmatch(text)) is None:
        return None
    return ApiKey(index=uuid.UUID(found[1]), secret=found[2])
