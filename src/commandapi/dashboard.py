"""The Command API's dashboard: what it shows, and who may see it by the settings."""

import secrets
from collections.abc import Callable

from bulkport.dashboard import Access, AuditLog, ClosedAccess, Dashboard, LoopbackAccess, PageRequest, Section
from bulkport.dashboard.access.sign_in import RoleClaim, SignInAccess
from bulkport.dashboard.overview import Overview, overview_page
from bulkport.pools import AsyncPool
from commandapi.registrations.identity_provider import OidcIdentityProvider
from commandapi.registrations.signed_in_user import make_issuer
from commandapi.settings import Environment, Settings


def build_dashboard(settings: Settings, pool: Callable[[], AsyncPool]) -> Dashboard:
    """The dashboard, to be mounted.

    Parameters
    ----------
    pool:
        Gives the application's connections once it is connected.
    """
    return Dashboard(
        [overview_page(_read_overview)],
        [Section("overview", "Overview", "")],
        access=access_by(settings),
        audit=AuditLog(pool),
        title="Command API",
    )


def access_by(settings: Settings) -> Access:
    """Who may see the dashboard: those who sign in, where that is configured; else in development those at this
    machine, and in production nobody.
    """
    if settings.dashboard_oidc_client_id is not None and settings.oidc_issuer is not None:
        secret, session_secret = settings.dashboard_oidc_client_secret, settings.dashboard_session_secret
        provider = OidcIdentityProvider(
            make_issuer(settings, settings.oidc_issuer),
            client_id=settings.dashboard_oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            scope=settings.dashboard_oidc_scope,
        )
        return SignInAccess(
            provider,
            # In development a restart of the server may end all sign-ins.
            secret=session_secret.get_secret_value() if session_secret else secrets.token_urlsafe(32),
            roles=RoleClaim(
                settings.dashboard_role_claim, settings.dashboard_operator_role, settings.dashboard_viewer_role
            ),
            session_seconds=settings.dashboard_session_seconds,
            public_url=settings.dashboard_public_url,
        )
    return LoopbackAccess() if settings.environment is Environment.DEVELOPMENT else ClosedAccess()


async def _read_overview(request: PageRequest) -> Overview:
    return Overview()
