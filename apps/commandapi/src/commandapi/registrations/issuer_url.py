"""Addresses of an issuer and of its documents (OpenID Connect Discovery 1.0 §3)."""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def is_web_address(url: str) -> bool:
    """Whether `url` is an absolute http or https address with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that are not an IPv6 address, or a port beyond 65535
        return False


def is_insecure(url: str) -> bool:
    """Whether others on the network could change what a web address answers: plain http to another machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True


def _check_issuer(url: str) -> str:
    url = url.strip()
    if not is_web_address(url) or {"?", "#", "@"} & set(url):
        raise ValueError("must be an address such as https://tenant.example/, without a query")
    return url


IssuerUrl = Annotated[str, AfterValidator(_check_issuer)]
"""A web address without a query, a fragment or credentials."""
