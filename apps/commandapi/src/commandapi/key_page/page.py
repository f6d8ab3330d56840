"""The page's requests: what a user sees of their keys, and what they do with them."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from jinja2 import PackageLoader
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bulkport.dashboard import Action, ActionRefused, ActionRequest, AuditLog, Dashboard, Done, Role, Section, Sessions
from bulkport.dashboard.access.sessions import Way
from bulkport.dashboard.access.sign_in import IdentityProvider, SignInAccess
from bulkport.dashboard.core import cookies
from bulkport.dashboard.core.action import Form, Outcome
from bulkport.dashboard.core.language import add_texts, english, localised, t
from bulkport.dashboard.core.page import Counts, PageRequest, Query
from bulkport.dashboard.core.table import Column
from bulkport.dashboard.core.viewer import Viewer
from bulkport.dashboard.request_context import accepted_form
from bulkport.database.row_security import RowSecurity
from bulkport.errors import Conflict, NotFound
from bulkport.pools import AsyncPool
from commandapi.auth.keys import (
    REGISTERED_SCOPES,
    ApiKeyRecord,
    IssuedKey,
    issue_key,
    list_keys,
    revoke_key,
    rotate_key,
    subject_user,
)
from commandapi.key_page.texts import GERMAN, SPANISH
from commandapi.settings import Settings

add_texts("de", GERMAN)
add_texts("es", SPANISH)

_MOST_SHOWN: Final = 200
_MAX_DESCRIPTION: Final = 200
_LONGEST_DAYS: Final = 3650
_MANY_DIGITS: Final = 10
"""With so many no number of days is read."""


class KeyPageAccess(SignInAccess):
    """Every signed-in user sees their own keys. The session opens nothing else, least of all the dashboard."""

    way: ClassVar[Way] = "keys"
    cookie: ClassVar[str] = cookies.KEYS_SESSION

    def admitted(self, claims: Mapping[str, Any]) -> tuple[str, Role | None]:
        """The user whose keys a token registers, too."""
        return subject_user(str(claims["sub"])), Role.OPERATOR


class KeyPage(Dashboard):
    """The page.

    Parameters
    ----------
    pool:
        Gives the pool of autocommit connections once the application is connected.
    """

    def __init__(self, access: KeyPageAccess, settings: Settings, pool: Callable[[], AsyncPool]) -> None:
        self._audit_log = AuditLog(pool, keep=settings.audit_retention())
        self._pool = pool
        self._security: RowSecurity | None = None
        self._settings = settings
        super().__init__(
            [],
            [Section("keys", "API keys", "")],
            access=access,
            audit=self._audit_log,
            actions=[Action("keys/revoke", "Revoke key", self._revoke, self._question_revoke)],
            title="API keys",
            public_url=settings.key_page_public_url,
            loaders=[PackageLoader("commandapi", "key_page")],
        )
        self._router.routes[:0] = [
            Route("/", self._show),
            Route("/make", self._make, methods=["POST"]),
            Route("/rotate", self._rotate, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        return await self._page(request, self._viewer(request))

    async def _make(self, request: Request) -> Response:
        viewer = self._viewer(request)
        form = await accepted_form(request, viewer)
        description = form.get("description", "").strip()[:_MAX_DESCRIPTION] or None
        scopes = [scope for scope in REGISTERED_SCOPES if scope in form.all("scope")]
        days = form.get("days", "")
        if not scopes:
            problem = t("Choose what the key may do.")
            return await self._page(request, viewer, entered=form, problem=problem, status=400)
        if days and not (
            days.isascii() and days.isdecimal() and len(days) < _MANY_DIGITS and 1 <= int(days) <= _LONGEST_DAYS
        ):
            problem = t(
                "A key is valid for 1 to {days} days, or until it is revoked.", days=localised(f"{_LONGEST_DAYS:,}")
            )
            return await self._page(request, viewer, entered=form, problem=problem, status=400)

        async def make() -> IssuedKey:
            async with self._keys_of(viewer) as connection:
                return await issue_key(
                    connection,
                    viewer.name,
                    description,
                    live_limit=self._settings.max_api_keys,
                    scopes=scopes,
                    seconds=int(days) * 86_400.0 if days else None,
                )

        return await self._issue(request, form, make, action="keys/make", target=description or "")

    async def _rotate(self, request: Request) -> Response:
        viewer = self._viewer(request)
        form = await accepted_form(request, viewer)
        key_id = (form.numbers() or [0])[0]

        async def rotate() -> IssuedKey:
            async with self._keys_of(viewer) as connection:
                issued = await rotate_key(
                    connection,
                    viewer.name,
                    key_id,
                    overlap_seconds=self._settings.key_overlap_seconds,
                    live_limit=self._settings.max_api_keys,
                )
            if issued is None:
                raise NotFound(t("You have no active key {id}.", id=key_id))
            return issued

        return await self._issue(request, form, rotate, action="keys/rotate", target=f"key {key_id}")

    async def _issue(
        self, request: Request, form: Form, make: Callable[[], Awaitable[IssuedKey]], *, action: str, target: str
    ) -> Response:
        """Make a key once for each form, and show it this once: it goes into no cookie, address or audit."""
        viewer = self._viewer(request)
        sent = repr((viewer.name, viewer.session, action, form.fields()))
        identity = hashlib.sha256(sent.encode("utf-8", "surrogatepass")).hexdigest()
        begun = await self._audit_log.begin(viewer.name, action, target, identity)
        if not begun.is_new:
            # Reloading the page that showed the key sends its form once more.
            return RedirectResponse("./", 303)
        try:
            issued = await make()
        except (Conflict, NotFound) as refused:
            await self._audit_log.settle(begun.entry_id, target, Outcome(english(refused.detail)))
            return await self._page(request, viewer, entered=form, problem=t(refused.detail), status=409)
        await self._audit_log.settle(begun.entry_id, f"key {issued.record.id}", Outcome("A key was made."))
        return await self._page(request, viewer, new_key=issued)

    async def _question_revoke(self, request: ActionRequest) -> str:
        return t("Revoke this key? Programs that use it lose access at once.")

    async def _revoke(self, request: ActionRequest) -> Done:
        key_id = (request.form.numbers() or [0])[0]
        async with self._keys_of(request.viewer) as connection:
            if not await revoke_key(connection, request.viewer.name, key_id):
                raise ActionRefused(t("You have no key {id}.", id=key_id))
        return Done(t("The key is revoked."), target=f"key {key_id}", lead_to="")

    async def _page(
        self,
        request: Request,
        viewer: Viewer,
        *,
        new_key: IssuedKey | None = None,
        entered: Form | None = None,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        async with self._keys_of(viewer) as connection:
            keys = await list_keys(connection, viewer.name, limit=_MOST_SHOWN)
        now = datetime.now(UTC)
        # Links lead from the page itself, whichever of its forms was sent.
        page_request = PageRequest("", {}, Query(), viewer.role, cookies.language(request))
        variables = {
            "keys": [(key, _state(key, now)) for key in keys],
            "scopes": [(str(scope), _MEANINGS[scope]) for scope in REGISTERED_SCOPES],
            "new_key": new_key,
            # What was refused stays in the form, to be mended there.
            "entered": entered or Form(()),
            "entered_scopes": REGISTERED_SCOPES if entered is None else entered.all("scope"),
            "problem": problem,
            "columns": _COLUMNS,
            "most": self._settings.max_api_keys,
        }
        return self._responses.page(
            request,
            viewer,
            "keys.html",
            page_request,
            counts=Counts(),
            variables=variables,
            section="keys",
            status=status,
        )

    def _keys_of(self, viewer: Viewer) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """A connection to which PostgreSQL shows the keys of this user alone."""
        if self._security is None:
            self._security = RowSecurity(self._pool())
        return self._security.connection(viewer.name)

    @staticmethod
    def _viewer(request: Request) -> Viewer:
        viewer: Viewer = request.scope["bulkport.viewer"]
        return viewer


_COLUMNS: Final = tuple(map(Column, ("Name", "May", "Made", "Last used", "Expires", "State", "")))
_MEANINGS: Final = {
    "read": "read the catalogue, and follow your imports",
    "write": "add and change single records",
    "import": "import in bulk, and manage uploads and webhooks",
}


def _state(key: ApiKeyRecord, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "live"


def key_page(settings: Settings, provider: IdentityProvider, secret: str, pool: Callable[[], AsyncPool]) -> KeyPage:
    """The page for users who sign in with `provider`.

    Parameters
    ----------
    secret:
        Signs sessions and sign-ins; the same for all servers behind one address.
    """
    access = KeyPageAccess(
        provider,
        Sessions(pool, secret=secret),
        secret=secret,
        session_seconds=settings.dashboard_session_seconds,
        public_url=settings.key_page_public_url,
    )
    return KeyPage(access, settings, pool)
