"""Mounts a dashboard in an application: the routes below its path, and its own address."""

from typing import Protocol

from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send


class AnswersBelow(Protocol):
    """What answers requests below a path."""

    async def answer(self, path: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; the path is relative, None: the place itself without its last slash."""
        ...


class NamedRoute(Route):
    """A route that says in the scope which one it is, as FastAPI's do, for those who count requests."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return match, {**child_scope, "route": self} if match is not Match.NONE else child_scope


class Below:
    """The dashboard below a path of the application, as an ASGI endpoint: a route calls functions with a request."""

    def __init__(self, dashboard: AnswersBelow, prefix: str | None) -> None:
        self._dashboard = dashboard
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = None if self._prefix is None else self._prefix + scope["path_params"]["rest"]
        await self._dashboard.answer(path, scope, receive, send)


def own_url(scope: Scope, path: str | None) -> str:
    """The dashboard's URL according to the request, without a trailing slash."""
    url = Request(scope).url
    below = "" if path is None else path
    own = url.path.removesuffix(below).rstrip("/")
    root: str = scope.get("root_path", "")
    # A proxy that removes a prefix of the path leaves it in the root path alone (ASGI: `root_path`).
    prefix = "" if own.startswith(root) else root.rstrip("/")
    return f"{url.scheme}://{url.netloc}{prefix}{own}"


def path_below_mount(scope: Scope) -> str | None:
    """The path below a mount, without a slash at its beginning; None: the mount's own, without its last slash."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # Where a proxy removes a prefix, the mount alone is part of the path, and the prefix is in the root path only.
    mount = root.removeprefix(scope.get("app_root_path", ""))
    below = path.removeprefix(root if path.startswith(root) else mount)
    return below[1:] if below.startswith("/") else None
