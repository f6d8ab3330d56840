"""Proof that a form was sent from one of the dashboard's own pages (OWASP: signed double-submit, and fetch metadata).

The browser holds a random key in a cookie that neither scripts nor other sites can read. A form's token is an HMAC of
the viewer and their sign-in under that key, so it is of no use to another viewer, in another browser or after another
sign-in. Each page carries it masked anew: the length of compressed pages reveals nothing about it (BREACH).
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from bulkport.dashboard.core import cookies
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.viewer import Viewer

FIELD: Final = "csrf"
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 32


def form_key(request: Request) -> tuple[str, bool]:
    """The browser's key, and whether it is new, so that its cookie must be set."""
    known = cookies.read(request, cookies.FORM_KEY)
    if known is not None and len(known) == 2 * _KEY_BYTES and known.isalnum() and known.isascii():
        return known, False
    return secrets.token_hex(_KEY_BYTES), True


def token(key: str, viewer: Viewer) -> str:
    """A token for the forms of one page."""
    digest = _digest(key, viewer)
    pad = secrets.token_bytes(_DIGEST_BYTES)
    return base64.urlsafe_b64encode(pad + _xor(pad, digest)).decode()


def comes_from_another_site(request: Request) -> bool:
    """Whether the browser says that another site made it send the request."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        # Where the browser has said that the origin is the same, a proxy may have changed the host.
        return site != "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()


def refusal(request: Request, viewer: Viewer, given: str) -> str | None:
    """Why a form is not accepted; None: it is."""
    if comes_from_another_site(request):
        return t("It was sent from another site.")
    key, is_new = form_key(request)
    if is_new or not _is_token(given, key, viewer):
        return t("Its token is missing or belongs to an earlier sign-in.")
    return None


def _is_token(given: str, key: str, viewer: Viewer) -> bool:
    try:
        raw = base64.b64decode(given.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return False
    if len(raw) != 2 * _DIGEST_BYTES:
        return False
    return hmac.compare_digest(_xor(raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]), _digest(key, viewer))


def _digest(key: str, viewer: Viewer) -> bytes:
    # The lengths keep one pair of name and session from reading like another.
    message = f"{len(viewer.name)}:{viewer.name}{viewer.session}"
    return hmac.digest(key.encode(), message.encode(), hashlib.sha256)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
