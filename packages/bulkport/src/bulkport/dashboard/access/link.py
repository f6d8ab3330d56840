"""Sign-in by a link with a one-time token that the server prints, as notebooks do: for development."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bulkport.dashboard.access.sessions import Sessions
from bulkport.dashboard.access.sign_out import signed_out, signing_out
from bulkport.dashboard.core import cookies
from bulkport.dashboard.core.error_page import error_page
from bulkport.dashboard.core.viewer import Role, Viewer

LINK_SECONDS: Final = 24 * 3600
"""How long a link waits for its browser."""
_SESSION_SECONDS: Final = 30 * 24 * 3600
_NAME: Final = "developer"


class LinkAccess:
    """Signs in the browser that opens a link which the server printed, as operator or in the given `role`.

    Where a request comes from proves nothing: behind a proxy on the same machine every visitor comes from there.

    Parameters
    ----------
    sessions:
        Where sessions and links are kept.
    how:
        What to do for a link, for the page that others see.
    role:
        Of those who sign in.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        how: str = "The server prints it when it starts.",
        role: Role = Role.OPERATOR,
    ) -> None:
        self._sessions = sessions
        self._role = role
        self._how = how

    async def new_link(self) -> str:
        """A link that signs one browser in, relative to the dashboard; it waits for a day."""
        return f"sign-in?token={await self._sessions.offer_link(seconds=LINK_SECONDS)}"

    async def viewer(self, request: Request) -> Viewer | None:
        """Whom the session cookie names."""
        return await self._sessions.find(cookies.read(request, cookies.SESSION), "link")

    def refuse(self, request: Request) -> Response:
        """Says where the link is."""
        return self._ask(request, f"This browser is not signed in. Open the dashboard\u2019s sign-in link. {self._how}")

    def routes(self) -> Sequence[Route]:
        """Sign in, sign out."""
        return (
            Route("/sign-in", self._sign_in),
            Route("/sign-out", signing_out(self, self._sessions), methods=["POST"]),
            Route("/signed-out", signed_out),
        )

    async def _sign_in(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if await self.viewer(request) is not None:
            return _to_the_dashboard()
        if not token or not await self._sessions.redeem_link(token):
            return self._ask(request, f"This link was used before, or is too old. {self._how}")
        response = _to_the_dashboard()
        session = await self._sessions.begin(request, "link", _NAME, self._role, seconds=_SESSION_SECONDS)
        cookies.set_cookie(response, request, cookies.SESSION, session, max_age=_SESSION_SECONDS)
        return response

    def _ask(self, request: Request, text: str) -> Response:
        return error_page(request, 403, "Sign in by the link", text)


def _to_the_dashboard() -> Response:
    # The token does not stay in the address and is not sent as a referrer.
    return RedirectResponse("./", 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
