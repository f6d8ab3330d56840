"""Fixtures of the authentication tests."""

from collections.abc import Iterator

import pytest
from issuer_server import IssuerServer, rsa_key, serve_issuer
from joserfc.jwk import RSAKey


@pytest.fixture(scope="session")
def issuer_key() -> RSAKey:
    """The key that the issuer of each test starts with."""
    return rsa_key()


@pytest.fixture
def issuer(issuer_key: RSAKey) -> Iterator[IssuerServer]:
    """An issuer over HTTP with one key."""
    with serve_issuer(issuer_key) as server:
        yield server
