"""Access to the Command API's dashboard according to the settings."""

import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from bulkport.dashboard import (
    Access,
    ClosedAccess,
    LinkAccess,
    OpenAccess,
    Sessions,
)
from bulkport.dashboard.access.sign_in import IdentityProvider, RoleClaim, SignInAccess
from bulkport.pools import AsyncPool
from commandapi.registrations.signed_in_user import make_issuer
from commandapi.settings import Environment, Settings

if TYPE_CHECKING:
    from commandapi.key_page import KeyPage

logger = logging.getLogger(__name__)


def access_by(settings: Settings, pool: Callable[[], AsyncPool]) -> Access:
    """Who may see the dashboard: those who sign in, where that is configured; else everyone, if it is opened to them;
    else in development those who have the link that the server prints, and in production nobody.
    """
    if (sign_in := _sign_in(settings)) is not None:
        provider, secret = sign_in
        return SignInAccess(
            provider,
            Sessions(pool, secret=secret),
            secret=secret,
            roles=RoleClaim(
                settings.dashboard_role_claim, settings.dashboard_operator_role, settings.dashboard_viewer_role
            ),
            session_seconds=settings.dashboard_session_seconds,
            public_url=settings.dashboard_public_url,
        )
    if settings.dashboard_open:
        if settings.environment is Environment.PRODUCTION:
            logger.warning("the dashboard is open to everyone who reaches this server: COMMANDAPI_DASHBOARD_OPEN")
        return OpenAccess()
    if settings.environment is Environment.PRODUCTION:
        return ClosedAccess()
    return LinkAccess(
        Sessions(pool),
        how="The server printed it when it started, after its addresses; `commandapi dashboard link` prints a new one.",
    )


def key_page_by(settings: Settings, pool: Callable[[], AsyncPool]) -> "KeyPage | None":
    """The page where users manage their API keys; None without sign-in."""
    if (sign_in := _sign_in(settings)) is None:
        return None
    from commandapi.key_page import key_page  # noqa: PLC0415  # few servers need it

    return key_page(settings, *sign_in, pool)


def _sign_in(settings: Settings) -> "tuple[IdentityProvider, str] | None":
    """The provider that browsers sign in with, and the secret of their sessions; None if none is configured."""
    if settings.dashboard_oidc_client_id is None or settings.oidc_issuer is None:
        return None
    from commandapi.registrations.identity_provider import OidcIdentityProvider  # noqa: PLC0415  # large

    client_secret, session_secret = settings.dashboard_oidc_client_secret, settings.dashboard_session_secret
    provider = OidcIdentityProvider(
        make_issuer(settings, settings.oidc_issuer),
        client_id=settings.dashboard_oidc_client_id,
        client_secret=client_secret.get_secret_value() if client_secret else None,
        scope=settings.dashboard_oidc_scope,
    )
    # In development a restart of the server may end all sign-ins.
    return provider, session_secret.get_secret_value() if session_secret else secrets.token_urlsafe(32)
