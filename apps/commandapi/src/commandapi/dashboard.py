"""Who may see the Command API's dashboard, by the settings."""

import secrets

from bulkport.dashboard import (
    Access,
    ClosedAccess,
    LoopbackAccess,
)
from bulkport.dashboard.access.sign_in import RoleClaim, SignInAccess
from commandapi.registrations.signed_in_user import make_issuer
from commandapi.settings import Environment, Settings


def access_by(settings: Settings) -> Access:
    """Who may see the dashboard: those who sign in, where that is configured; else in development those at this
    machine, and in production nobody.
    """
    if settings.dashboard_oidc_client_id is not None and settings.oidc_issuer is not None:
        from commandapi.registrations.identity_provider import OidcIdentityProvider  # noqa: PLC0415  # large

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
