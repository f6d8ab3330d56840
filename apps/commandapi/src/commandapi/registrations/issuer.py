"""The issuer's signing keys, found as OpenID Connect Discovery 1.0 §4 says and kept for a while.

Tokens come from strangers, and a token may name a key that nobody has. So the issuer is asked at most once in
`refresh_seconds`, by one request at a time while the others wait for its answer, however many such tokens arrive.
"""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.util import base64_to_int

from commandapi.registrations.errors import IssuerUnavailable
from commandapi.registrations.issuer_url import is_web_address

logger = logging.getLogger(__name__)

PublicKey = RSAKey | ECKey | OKPKey

_MAX_DOCUMENT_BYTES: Final = 2**20
_KEY_TYPES: Final = ("RSA", "EC", "OKP")
_MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The issuer's published keys at one time."""

    issuer: str
    """The issuer as its discovery document spells it, and so its tokens' `iss`."""
    jwks_uri: str
    keys: tuple[PublicKey, ...]
    fetched_at: float

    def candidates(self, key_id: str | None) -> list[PublicKey]:
        """The keys a token may be signed with that names `key_id`: all of them when it names none."""
        return [key for key in self.keys if key_id is None or key.kid == key_id]


class _UnusableAnswerError(Exception):
    """The issuer answered with something that cannot be used; the message says what."""


class OidcIssuer:
    """An OpenID Connect issuer over HTTP.

    Parameters
    ----------
    url:
        The issuer's identifier, such as `https://tenant.example/`. A slash at the end makes no difference.
    cache_seconds:
        Age at which the discovery document and the keys are fetched again; a key that the issuer withdraws is accepted
        for as long.
    refresh_seconds:
        Least time between two questions to the issuer that an unknown key or a failure causes.
    timeout_seconds:
        Longest wait for one answer.
    clock:
        Seconds from any point in time.
    """

    def __init__(
        self,
        url: str,
        *,
        cache_seconds: float = 600,
        refresh_seconds: float = 10,
        timeout_seconds: float = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._cache_seconds = cache_seconds
        self._refresh_seconds = refresh_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._tls: ssl.SSLContext | None = None
        self._document: Mapping[str, Any] = {}
        self._current: SigningKeys | None = None
        self._asked_at: float | None = None
        self._has_failed = False

    async def signing_keys(self) -> SigningKeys:
        """The issuer's keys, fetched when they are not known yet or too old.

        Raises
        ------
        IssuerUnavailable
            If the issuer cannot be reached, or its answer cannot be used. The log says why.
        """
        if (current := self._fresh()) is not None:
            return current
        async with self._lock:
            if (current := self._fresh()) is not None:
                return current
            self._refuse_after_failure()
            return await self._ask()

    async def newer_keys(self, than: SigningKeys) -> SigningKeys:
        """The issuer's keys after a token was met whose key is not in `than`: newer ones, or `than` when it is too
        early to ask again.

        Raises
        ------
        IssuerUnavailable
            As `signing_keys`.
        """
        async with self._lock:
            if self._current is not None and self._current is not than:
                return self._current
            self._refuse_after_failure()
            if self._was_asked_lately():
                return than
            return await self._ask(jwks_uri=than.jwks_uri, issuer=than.issuer)

    async def endpoint(self, name: str) -> str:
        """An address of the discovery document, such as its `token_endpoint`.

        Raises
        ------
        IssuerUnavailable
            As `signing_keys`; also if the document has no such address.
        """
        await self.signing_keys()
        url = self._document.get(name)
        if not isinstance(url, str) or not is_web_address(url) or not url.startswith(self._scheme):
            logger.warning("issuer %s: its discovery document has no usable %s, but %.200r", self._url, name, url)
            raise IssuerUnavailable
        return url

    async def supports(self, name: str) -> Sequence[str]:
        """A list of the discovery document, such as its `token_endpoint_auth_methods_supported`; empty if it has
        none.

        Raises
        ------
        IssuerUnavailable
            As `signing_keys`.
        """
        await self.signing_keys()
        listed = self._document.get(name)
        return [entry for entry in listed if isinstance(entry, str)] if isinstance(listed, list) else []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for requests to the issuer."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)  # reads every root certificate
        async with httpx.AsyncClient(timeout=self._timeout_seconds, verify=self._tls) as client:
            yield client

    @property
    def _scheme(self) -> str:
        # What is found through https must not then be read over a connection that anyone can change.
        return "https://" if self._url.startswith("https:") else "http"

    def _fresh(self) -> SigningKeys | None:
        current = self._current
        if current is not None and self._clock() - current.fetched_at < self._cache_seconds:
            return current
        return None

    def _was_asked_lately(self) -> bool:
        return self._asked_at is not None and self._clock() - self._asked_at < self._refresh_seconds

    def _refuse_after_failure(self) -> None:
        if self._has_failed and self._was_asked_lately():
            raise IssuerUnavailable

    async def _ask(self, *, issuer: str | None = None, jwks_uri: str | None = None) -> SigningKeys:
        """Fetch the keys; where `jwks_uri` is not known, through the discovery document. The lock is held."""
        started_at = self._clock()
        try:
            async with self.client() as client:
                if issuer is None or jwks_uri is None:
                    issuer, jwks_uri = await self._discover(client)
                keys = _usable_keys(await self._get(client, jwks_uri))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _UnusableAnswerError) as error:
            logger.warning("issuer %s: %s", self._url, str(error) or type(error).__name__)
            self._asked_at, self._has_failed = self._clock(), True
            raise IssuerUnavailable from error
        self._asked_at, self._has_failed = self._clock(), False
        self._current = SigningKeys(issuer=issuer, jwks_uri=jwks_uri, keys=keys, fetched_at=started_at)
        return self._current

    async def _discover(self, client: httpx.AsyncClient) -> tuple[str, str]:
        document = await self._get(client, f"{self._url}/.well-known/openid-configuration")
        issuer, jwks_uri = document.get("issuer"), document.get("jwks_uri")
        if not isinstance(issuer, str) or issuer.rstrip("/") != self._url:
            raise _UnusableAnswerError(f"its discovery document is of another issuer, {issuer!r:.200}")
        if not isinstance(jwks_uri, str) or not is_web_address(jwks_uri) or not jwks_uri.startswith(self._scheme):
            raise _UnusableAnswerError(f"its discovery document has no usable jwks_uri, but {jwks_uri!r:.200}")
        self._document = document
        return issuer, jwks_uri

    async def _get(self, client: httpx.AsyncClient, url: str) -> dict[str, Any]:
        body = bytearray()
        async with (
            asyncio.timeout(self._timeout_seconds),
            client.stream("GET", url, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise _UnusableAnswerError(f"{url} answered {response.status_code}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise _UnusableAnswerError(f"{url} answered with more than {_MAX_DOCUMENT_BYTES} bytes")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise _UnusableAnswerError(f"{url} answered with no JSON") from None
        if not isinstance(document, dict):
            raise _UnusableAnswerError(f"{url} answered with no JSON object")
        return document


def _usable_keys(jwks: dict[str, Any]) -> tuple[PublicKey, ...]:
    """The asymmetric keys of a JWK set that are for signatures; others, and malformed ones, are passed over (RFC 7517
    §5).
    """
    published = jwks.get("keys")
    if not isinstance(published, list):
        raise _UnusableAnswerError("its JWK set has no list of keys")
    keys = [key for entry in published if (key := _import_key(entry)) is not None]
    if not keys:
        raise _UnusableAnswerError("its JWK set has no key that can verify signatures")
    return tuple(keys)


def _import_key(entry: Any) -> PublicKey | None:
    if not isinstance(entry, dict) or entry.get("kty") not in _KEY_TYPES:
        return None
    try:
        if entry["kty"] == "RSA" and base64_to_int(entry["n"]).bit_length() < _MIN_RSA_BITS:
            return None
        key = JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        logger.warning("a published key was passed over: %s", error)
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None
