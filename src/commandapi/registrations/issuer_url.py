"""What the identifier of an issuer may be (OpenID Connect Discovery 1.0 §3)."""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _check(url: str) -> str:
    url = url.strip()
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an address such as https://tenant.example/, without a query")
    return url


IssuerUrl = Annotated[str, AfterValidator(_check)]
"""An http or https address without a query, a fragment or credentials."""


def is_insecure(url: IssuerUrl) -> bool:
    """Whether others on the network could change what this address answers: plain http to another machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True
