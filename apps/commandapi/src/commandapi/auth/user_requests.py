"""Limits the concurrent requests of one user in a server process.

Each holds a connection of a client and some memory for as long as it lasts, which may be minutes: an import that is
followed, a body that trickles in. Without a bound one user could take all connections that there may be.
"""

from collections import Counter
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from bulkport.errors import TooManyRequests

_STATE: Final = "counted_user"


class UserRequests:
    """Counts the requests of each user that are under way.

    Parameters
    ----------
    most:
        Of one user.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_user: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Requests of all users that are counted now."""
        return self._of_user.total()

    def enter(self, scope: Scope, user_id: str) -> None:
        """Count a request, once its user is known.

        Raises
        ------
        TooManyRequests
            The user has as many as one user may have.
        """
        state = scope.setdefault("state", {})
        if _STATE in state:
            return
        if self._of_user[user_id] >= self._most:
            raise TooManyRequests(
                f"You have reached the limit of {self._most:,} concurrent requests; try again when one has finished."
            )
        self._of_user[user_id] += 1
        state[_STATE] = user_id

    def leave(self, scope: Scope) -> None:
        """Count it no longer, if it was counted."""
        user_id = scope["state"].pop(_STATE, None)
        if user_id is not None:
            self._of_user[user_id] -= 1
            if not self._of_user[user_id]:
                del self._of_user[user_id]


class CountRequests:
    """Has each request counted until its answer is complete."""

    def __init__(self, app: ASGIApp, *, user_requests: UserRequests) -> None:
        self._app = app
        self._user_requests = user_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        try:
            await self._app(scope, receive, send)
        finally:
            self._user_requests.leave(scope)
