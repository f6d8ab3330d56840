"""Access policies of the dashboard."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Protocol

from starlette.exceptions import HTTPException
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
        """The viewer who sent the request; None without access."""
        ...

    def refuse(self, request: Request) -> Response:
        """The response to everyone else."""
        ...

    def routes(self) -> Sequence[Route]:
        """Routes that are reached without being a viewer, such as those of a sign-in; paths below the dashboard's."""
        ...


class ClosedAccess:
    """Nobody sees the dashboard or can tell that it exists."""

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
    """The application decides with its own function."""

    def __init__(self, authorize: Authorize) -> None:
        self._authorize = authorize

    async def viewer(self, request: Request) -> Viewer | None:
        """The viewer that the application's function returns."""
        return await self._authorize(request)


class OpenAccess(ClosedAccess):
    """Everyone who can reach the server is an operator: for a private machine and for tests."""

    async def viewer(self, request: Request) -> Viewer | None:
        """The same for every request."""
        return Viewer("local developer", Role.OPERATOR)


def not_found(request: Request) -> Response:
    """What the application answers to a path that does not exist, by its own handler if it has one.

    Raises
    ------
    HTTPException
        As Starlette's router does inside an application, whose handlers then answer.
    """
    if "app" in request.scope:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    # The path as the client sent it: the request that routes see is relative to the dashboard.
    path: str = request.scope.get("bulkport.full_path", request.url.path)
    return response_for(path, NotFound())
