"""What decides who may see the dashboard."""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bulkport.dashboard.core.viewer import Role, Viewer
from bulkport.errors import NotFound
from bulkport.fastapi.problems import response_for

Authorize = Callable[[Request], Awaitable[Viewer | None]]
"""An application's own decision who may see the dashboard; None: nobody who sent this request."""


class Access(Protocol):
    """Decides about each request to the dashboard."""

    async def viewer(self, request: Request) -> Viewer | None:
        """Who sent the request; None: one who may not see the dashboard."""
        ...

    def refuse(self, request: Request) -> Response:
        """The answer to one who may not."""
        ...

    def routes(self) -> Sequence[Route]:
        """Routes that are reached without being a viewer, such as those of a sign-in; paths below the dashboard's."""
        ...


class ClosedAccess:
    """Nobody sees the dashboard, and nobody can tell that there is one."""

    async def viewer(self, request: Request) -> Viewer | None:
        """None."""
        return None

    def refuse(self, request: Request) -> Response:
        """The same answer as for a path that does not exist."""
        return not_found(request)

    def routes(self) -> Sequence[Route]:
        """None."""
        return ()


class HookAccess(ClosedAccess):
    """The application decides, by a function of its own."""

    def __init__(self, authorize: Authorize) -> None:
        self._authorize = authorize

    async def viewer(self, request: Request) -> Viewer | None:
        """Whom the application's function says."""
        return await self._authorize(request)


class LoopbackAccess(ClosedAccess):
    """Whoever sits at this machine is an operator, for development. Others get 404.

    A request that came through a proxy is from somebody else, even if the proxy runs here: one with forwarding headers,
    or for a host that is not this machine's own. The latter also keeps out web pages whose host name was made to lead
    to this machine (DNS rebinding).
    """

    async def viewer(self, request: Request) -> Viewer | None:
        """The one at this machine, if it is they."""
        return Viewer("local developer", Role.OPERATOR) if _is_from_here(request) else None


_FORWARDING_HEADERS: Final = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")
_FORWARDING_PREFIX: Final = "x-forwarded-"
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[0-9a-z.-]+))(?::\d{1,5})?", re.IGNORECASE)


def _is_from_here(request: Request) -> bool:
    if any(name in _FORWARDING_HEADERS or name.startswith(_FORWARDING_PREFIX) for name in request.headers):
        return False
    # Not the URL's host, which is the server's own where the header is none that a URL can have.
    host = _HOST.fullmatch(request.headers.get("host", ""))
    if host is None or request.client is None:
        return False
    return _is_loopback(request.client.host) and _is_loopback(host["v6"] or host["name"])


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def not_found(request: Request) -> Response:
    """What the application answers to a path that does not exist."""
    # The path as the client sent it: the request that routes see is relative to the dashboard.
    path: str = request.scope.get("bulkport.full_path", request.url.path)
    return response_for(path, NotFound())
