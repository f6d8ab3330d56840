"""Sign-in with OpenID Connect: authorization code flow with PKCE, `state` and `nonce` (OpenID Connect Core 1.0 §3.1,
RFC 7636, RFC 9700), and a session afterwards.

What belongs to the provider (its addresses, its keys) is behind `IdentityProvider`. A session ends with its time, with
signing out, when an operator ends it, or when the secret changes.
"""

import base64
import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bulkport.dashboard.access.sessions import Sessions, Way
from bulkport.dashboard.access.sign_out import signed_out, signing_out
from bulkport.dashboard.core import cookies
from bulkport.dashboard.core.error_page import URL, error_page
from bulkport.dashboard.core.forms import is_inside
from bulkport.dashboard.core.viewer import Role, Viewer
from bulkport.errors import BulkportError
from bulkport.fastapi.error_responses import status_of
from bulkport.slots import Slots

logger = logging.getLogger(__name__)

_FLOW_SECONDS: Final = 600
_MAX_NAME_CHARACTERS: Final = 255
_REDEEMED_AT_ONCE: Final = 32
_REDEEMED_AT_ONCE_OF_ADDRESS: Final = 8
_PATIENCE_SECONDS: Final = 5.0


class SignInFailed(Exception):
    """The provider's answer cannot be trusted; the message, for the log, says why."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One attempt to sign in."""

    state: str
    nonce: str
    code_verifier: str
    redirect_uri: str

    @property
    def code_challenge(self) -> str:
        """S256 of the verifier (RFC 7636 §4.2)."""
        digest = hashlib.sha256(self.code_verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class IdentityProvider(Protocol):
    """The OpenID Connect provider."""

    async def authorization_url(self, flow: Flow) -> str:
        """Where the browser is sent to sign in. Raises a `BulkportError` if the provider is away."""
        ...

    async def claims(self, flow: Flow, code: str) -> Mapping[str, Any]:
        """Redeem the code, and verify the ID token, its nonce included. Raises `SignInFailed`, or a `BulkportError` if
        the provider is away.
        """
        ...


@dataclass(frozen=True, slots=True)
class RoleClaim:
    """How claims become a role."""

    name: str = "roles"
    """Of the claim; if there is none of this name, dots lead into objects: `realm_access.roles`."""
    operator: str = "operator"
    read_only: str = "viewer"

    def role_in(self, claims: Mapping[str, Any]) -> Role | None:
        """The role, or None."""
        found = claims.get(self.name)
        if found is None:
            found = claims
            for part in self.name.split("."):
                found = found.get(part) if isinstance(found, Mapping) else None
        values = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
        if self.operator in values:
            return Role.OPERATOR
        return Role.READ_ONLY if self.read_only in values else None


class SignInAccess:
    """Admits users who sign in with the provider and have a role.

    Parameters
    ----------
    sessions:
        Where sessions are kept.
    secret:
        Signs the cookie of a sign-in that is under way; the same for all servers behind one address.
    session_seconds:
        How long a sign-in lasts.
    public_url:
        Address of the dashboard as browsers know it, where a proxy hides it; None: what the request says.
    """

    way: ClassVar[Way] = "openid"
    cookie: ClassVar[str] = cookies.SESSION

    def __init__(
        self,
        provider: IdentityProvider,
        sessions: Sessions,
        *,
        secret: str,
        roles: RoleClaim | None = None,
        session_seconds: float = 8 * 3600,
        public_url: str | None = None,
    ) -> None:
        self._provider = provider
        self._roles = roles or RoleClaim()
        self._session_seconds = session_seconds
        self._public_url = public_url.rstrip("/") if public_url else None
        self._sessions = sessions
        self._flows = URLSafeTimedSerializer(secret, salt="bulkport dashboard sign-in")
        # Anybody can begin a sign-in and come back with made-up codes: each is a request to the provider.
        self._redeeming = Slots(
            "sign-ins",
            in_all=_REDEEMED_AT_ONCE,
            per_user=_REDEEMED_AT_ONCE_OF_ADDRESS,
            wait_seconds=_PATIENCE_SECONDS,
        )

    async def viewer(self, request: Request) -> Viewer | None:
        """Whom the session cookie names."""
        return await self._sessions.find(cookies.read(request, self.cookie), self.way)

    def refuse(self, request: Request) -> Response:
        """To the sign-in, and back afterwards."""
        path: str | None = request.path_params.get("rest")
        if request.method != "GET" or request.headers.get("accept", "").startswith("text/event-stream"):
            return error_page(request, 401, "Sign in again", "Your sign-in has ended.", ("Sign in", "sign-in"))
        if path is None:
            return RedirectResponse(request.url.path.rpartition("/")[2] + "/", 307)
        query = f"?{request.url.query}" if request.url.query else ""
        response = RedirectResponse("../" * path.count("/") + "sign-in", 303)
        cookies.set_cookie(response, request, cookies.RETURN, path + query, max_age=_FLOW_SECONDS)
        return response

    def routes(self) -> Sequence[Route]:
        """Sign in, come back from the provider, sign out."""
        return (
            Route("/sign-in", self._sign_in),
            Route("/sign-in/callback", self._come_back),
            Route("/sign-out", signing_out(self, self._sessions, self.cookie), methods=["POST"]),
            Route("/signed-out", signed_out),
        )

    async def _sign_in(self, request: Request) -> Response:
        flow = Flow(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            code_verifier=secrets.token_urlsafe(48),
            redirect_uri=self._callback_url(request),
        )
        try:
            address = await self._provider.authorization_url(flow)
        except BulkportError as error:
            return error_page(request, status_of(error), "Sign-in unavailable", error.detail, ("Try again", "sign-in"))
        response = RedirectResponse(address, 303, headers={"Cache-Control": "no-store"})
        content = [flow.state, flow.nonce, flow.code_verifier, flow.redirect_uri]
        cookies.set_cookie(response, request, cookies.SIGN_IN, self._flows.dumps(content), max_age=_FLOW_SECONDS)
        return response

    async def _come_back(self, request: Request) -> Response:
        response = await self._try_to_finish(request)
        cookies.delete_cookie(response, request, cookies.SIGN_IN)
        cookies.delete_cookie(response, request, cookies.RETURN)
        return response

    async def _try_to_finish(self, request: Request) -> Response:
        again = ("Sign in", "sign-in")
        match _loads(self._flows, cookies.read(request, cookies.SIGN_IN), _FLOW_SECONDS):
            case [str(state), str(nonce), str(verifier), str(redirect_uri)]:
                flow = Flow(state, nonce, verifier, redirect_uri)
            case _:
                return error_page(request, 400, "Sign-in expired", "It was not started in this browser.", again)
        if not secrets.compare_digest(request.query_params.get("state", "").encode(), flow.state.encode()):
            return error_page(request, 400, "Sign-in failed", "The answer belongs to another sign-in.", again)
        code = request.query_params.get("code")
        if not code:
            reason = request.query_params.get("error_description") or request.query_params.get("error") or ""
            logger.info("sign-in was refused by the provider: %.200s", reason)
            return error_page(request, 403, "Sign-in failed", "The sign-in service refused it.", again)
        try:
            async with self._redeeming.slot(request.client.host if request.client else ""):
                claims = await self._provider.claims(flow, code)
        except SignInFailed as error:
            logger.warning("sign-in failed: %s", error)
            return error_page(request, 403, "Sign-in failed", "The sign-in service's answer was not accepted.", again)
        except BulkportError as error:
            return error_page(request, status_of(error), "Sign-in unavailable", error.detail, again)
        return await self._admit(request, claims)

    async def _admit(self, request: Request, claims: Mapping[str, Any]) -> Response:
        name, role = self.admitted(claims)
        if role is None:
            logger.warning("%s signed in and has no role for the dashboard", name)
            text = f"You are signed in as {name}, who has no role here. An administrator can give you one."
            return error_page(request, 403, "No access", text, ("Sign in as somebody else", "sign-in"))
        wanted = cookies.read(request, cookies.RETURN) or ""
        response = RedirectResponse("../" + (wanted if is_inside(wanted) else ""), 303)
        session = await self._sessions.begin(request, self.way, name, role, seconds=self._session_seconds)
        cookies.set_cookie(response, request, self.cookie, session, max_age=int(self._session_seconds))
        return response

    def admitted(self, claims: Mapping[str, Any]) -> tuple[str, Role | None]:
        """Who signed in, with the role, or None without a role."""
        return _name_in(claims), self._roles.role_in(claims)

    def _callback_url(self, request: Request) -> str:
        if self._public_url:
            return f"{self._public_url}/sign-in/callback"
        return f"{request.scope[URL]}/sign-in/callback"


def _loads(serializer: URLSafeTimedSerializer, text: str | None, max_age: float) -> Any:
    if not text:
        return None
    try:
        return serializer.loads(text, max_age=int(max_age))
    except BadData:
        return None


def _name_in(claims: Mapping[str, Any]) -> str:
    """Whom the audit names: what the provider vouches for (`sub`), and a readable name before it."""
    subject = str(claims.get("sub", ""))
    for claim in ("email", "preferred_username", "name"):
        if isinstance(value := claims.get(claim), str) and value.strip() and value != subject:
            return f"{value.strip()} ({subject})"[:_MAX_NAME_CHARACTERS]
    return subject[:_MAX_NAME_CHARACTERS]
