"""Signatures of webhooks (Standard Webhooks 1.0.0, "Signature scheme"): HMAC-SHA256 over id, time and body."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


def new_secret() -> str:
    """A new signing secret, as receivers' libraries take it: `whsec_` and base64 of 32 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def signature_headers(message_id: str, timestamp: int, body: bytes, signing_secrets: Sequence[str]) -> dict[str, str]:
    """The headers that prove a message.

    Parameters
    ----------
    timestamp:
        Seconds since 1970 of this attempt; receivers refuse old ones.
    signing_secrets:
        One signature each: while a secret is being replaced, receivers may hold the old or the new one.
    """
    signed = b"%b.%d.%b" % (message_id.encode("ascii"), timestamp, body)
    signatures = [
        base64.b64encode(hmac.digest(base64.b64decode(secret.removeprefix(_PREFIX)), signed, hashlib.sha256)).decode()
        for secret in signing_secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
