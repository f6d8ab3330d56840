"""Requests to addresses that users name, kept out of private networks.

A name is resolved here, each of its addresses is checked, and the connection goes to the address that was checked: a
name that resolves to another one a moment later gains nothing. A POST follows no redirect; a GET follows a few, and
checks the address of each anew (OWASP, "Server-Side Request Forgery Prevention").
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias
from urllib.parse import urljoin

import httpcore

from bulkport.errors import ValidationFailed

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_URL: Final = 2000
_READ_BYTES: Final = 16_384
_MOST_REDIRECTS: Final = 5
_MOST_RESOLVED: Final = 16
"""Names that are resolved concurrently."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# RFC 6052 §2.1 and RFC 6146: an address in here is an IPv4 address on the other side of a translator.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# What Python takes for public: addresses of protocols (RFC 6890 §2.2.2), documentation (RFC 9637) and segment routing
# (RFC 9602), the old private ones of IPv6 (RFC 3879), and Azure's channel between machines and their host.
_INSIDE: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "168.63.129.16/32", "3fff::/20", "5f00::/16", "fec0::/10"))
)
_LOOPBACK: Final = ipaddress.IPv4Address("127.0.0.1")


class EgressRefused(Exception):
    """The address is one that users may not have this server ask."""


class EgressFailed(Exception):
    """No answer came: the name is unknown, the connection was refused or broke, or time ran out."""


class EgressUntrusted(EgressFailed):
    """The server's TLS certificate is not valid for it."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which addresses may be connected to.

    Parameters
    ----------
    allowed_networks:
        Private networks that may be asked all the same, such as `10.1.0.0/16`.
    allow_http:
        Whether addresses without TLS are taken.
    """

    allowed_networks: tuple[Network, ...] = ()
    allow_http: bool = False

    @classmethod
    def of(cls, networks: Iterable[str], *, allow_http: bool = False) -> "EgressPolicy":
        """The policy with networks given as text; raises ValueError for an invalid network."""
        return cls(tuple(ipaddress.ip_network(network) for network in networks), allow_http)

    def allows(self, address: Address) -> bool:
        """Whether a connection to `address` may be made."""
        real = _real_address(address)
        if any(real in network for network in self.allowed_networks if network.version == real.version):
            return True
        is_inside = any(real in network for network in _INSIDE if network.version == real.version)
        return real.is_global and not (is_inside or real.is_multicast or real.is_reserved)

    def check_url(self, url: str, field_name: str) -> None:
        """Check an address as far as possible without a lookup.

        Raises
        ------
        ValidationFailed
            It is not an address that may be asked.
        """
        problem = self._problem_of(url)
        if problem is not None:
            raise ValidationFailed({field_name: [f"{field_name} {problem}"]})

    def _problem_of(self, url: str) -> str | None:
        if len(url) > _MAX_URL:
            return f"must have at most {_MAX_URL} characters"
        if not url.isascii() or any(character <= " " or character in '"<>\\^`{|}' for character in url):
            return "must be an address in ASCII, such as https://example.org/hooks"
        try:
            parsed = httpcore.URL(url)
            host = parsed.host.decode("ascii")
            port = parsed.port
        except (ValueError, TypeError, UnicodeError):
            return "must be an address such as https://example.org/hooks"
        if parsed.scheme != b"https" and not (self.allow_http and parsed.scheme == b"http"):
            return "must begin with https://"
        if not host or (port is not None and not 0 < port < 65536):
            return "must be an address such as https://example.org/hooks"
        if "@" in url.split("/")[2]:
            return "must not contain a user name or password"
        address = _written_address(host)
        return None if address is None or self.allows(address) else "must not lead into a private network"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    """The first 16 KiB."""


@dataclass(frozen=True, slots=True)
class Download:
    """A response whose body has not been read yet."""

    url: str
    """Where it came from: the last of the redirects."""
    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: AsyncIterator[bytes] = field(repr=False)
    """Raises EgressFailed when the connection breaks before its end."""


class Egress:
    """Sends requests to addresses that a policy allows.

    Parameters
    ----------
    seconds:
        Longest time for each of: connecting, sending, and waiting for an answer's next part.
    """

    def __init__(self, policy: EgressPolicy, *, seconds: float = 15.0) -> None:
        self._policy = policy
        self._seconds = seconds
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a POST.

        Raises
        ------
        EgressRefused
            The address, or what its name resolves to, may not be asked.
        EgressFailed
            No answer came.
        """
        try:
            async with asyncio.timeout(self._seconds), self._asked("POST", url, headers, content) as response:
                body = bytearray()
                with _plain_failures():
                    async for part in response.aiter_stream():
                        body += part
                        if len(body) >= _READ_BYTES:
                            break
                return Answer(response.status, _headers(response), bytes(body[:_READ_BYTES]))
        except TimeoutError:
            raise EgressFailed("no response in time") from None

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Download]:
        """Send a GET, follow redirects, and give the answer while its body arrives.

        The caller bounds the time and the size of the body as a whole.

        Raises
        ------
        EgressRefused
            The address, that of a redirect, or what one of their names resolves to, may not be asked; or there are
            more than five redirects.
        EgressFailed
            No answer came.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._asked("GET", url, headers) as response:
                found = _headers(response)
                if response.status in _REDIRECTS and "location" in found:
                    url = urljoin(url, found["location"])
                    continue
                yield Download(url, response.status, found, _body(response))
                return
        raise EgressRefused(f"more than {_MOST_REDIRECTS} redirects")

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncIterator[httpcore.Response]:
        try:
            self._policy.check_url(url, "url")
        except ValidationFailed as error:
            raise EgressRefused("; ".join(error.errors["url"])) from None
        if self._tls is None:
            self._tls = ssl.create_default_context()  # reads every root certificate
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=1,
            network_backend=_JudgingBackend(self._policy),
        )
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
        extensions = {"timeout": timeout}
        async with pool, AsyncExitStack() as stack:
            with _plain_failures():
                asking = pool.stream(method, url, headers=list(headers.items()), content=content, extensions=extensions)
                response = await stack.enter_async_context(asking)
            yield response


async def _body(response: httpcore.Response) -> AsyncIterator[bytes]:
    with _plain_failures():
        async for part in response.aiter_stream():
            yield part


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


@contextmanager
def _plain_failures() -> Iterator[None]:
    """Raise what goes wrong on the way as EgressFailed."""
    try:
        yield
    except httpcore.TimeoutException:
        raise EgressFailed("no response in time") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise EgressUntrusted(f"the server's TLS certificate is not valid: {cause.verify_message}") from error
        raise EgressFailed(str(error) or type(error).__name__) from error


class _JudgingBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no name."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 # httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers; all of them must be allowed."""
        addresses = await _resolve(host, port)
        for address in addresses:
            if not self._policy.allows(address):
                raise EgressRefused(f"{host} is in a private network")
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._backend.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: no address of a user's is a socket of this machine."""
        raise EgressRefused("sockets of this machine are not asked")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


async def _resolve(host: str, port: int) -> Sequence[Address]:
    try:
        return [ipaddress.ip_address(host.strip("[]"))]
    except ValueError:
        pass
    try:
        asked = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(_resolvers(), asked)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} is not known: {error}") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(address[4][0]).partition("%")[0]) for address in found))


@lru_cache
def _resolvers() -> ThreadPoolExecutor:
    """Threads for name resolution, kept separate because a name server may not respond for a long time."""
    return ThreadPoolExecutor(_MOST_RESOLVED, thread_name_prefix="resolver")


def _written_address(host: str) -> Address | None:
    """The address that a host is, however it is written; None: it is a name, which is resolved later.

    `127.1`, `2130706433` and `0x7f.0.0.1` are addresses to the resolver, too (inet_aton), and `localhost` is one to
    everybody (RFC 6761 §6.3).
    """
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return _LOOPBACK
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _real_address(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only wraps it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
