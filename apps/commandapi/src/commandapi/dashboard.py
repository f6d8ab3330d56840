"""The Command API's dashboard: what it shows, and who may see it by the settings."""

import secrets
from collections.abc import Callable

from bulkport.dashboard import (
    Access,
    AuditLog,
    ClosedAccess,
    Dashboard,
    LoopbackAccess,
    Masking,
    Section,
)
from bulkport.dashboard.access.sign_in import RoleClaim, SignInAccess
from bulkport.dashboard.pages.audit import audit_component
from bulkport.dashboard.pages.imports import imports_component, related_import, with_import_counts
from bulkport.dashboard.pages.job_counts import job_counts
from bulkport.dashboard.pages.jobs import JOB_SEARCH, jobs_component
from bulkport.dashboard.pages.overview import overview_page
from bulkport.dashboard.pages.overview_reader import read_overview
from bulkport.dashboard.pages.recurring import recurring_component
from bulkport.dashboard.pages.retries import retries_component
from bulkport.dashboard.pages.servers import servers_component
from bulkport.dashboard.pages.tasks import tasks_component
from bulkport.imports.admin import OperatedImports
from bulkport.imports.resource import Resources
from bulkport.jobs import BackgroundJobs
from bulkport.pools import AsyncPool
from commandapi.registrations.signed_in_user import make_issuer
from commandapi.settings import Environment, Settings


def build_dashboard(
    settings: Settings, jobs: BackgroundJobs, resources: Resources, pool: Callable[[], AsyncPool]
) -> Dashboard:
    """The dashboard, to be mounted.

    Parameters
    ----------
    jobs:
        The application's background jobs, imports among them; connected as long as it serves.
    pool:
        Gives the application's connections once it is connected.
    """
    masking = Masking(settings.masked_names)
    imports = OperatedImports(pool, resources)
    audit = AuditLog(pool, keep=settings.audit_retention())
    components = [
        jobs_component(jobs, masking, pool, related_import),
        imports_component(imports),
        retries_component(jobs, masking),
        recurring_component(jobs, masking),
        servers_component(jobs),
        tasks_component(jobs),
        audit_component(audit),
    ]
    return Dashboard(
        [overview_page(read_overview(jobs, imports)), *(page for component in components for page in component.pages)],
        [Section("overview", "Overview", ""), *(component.section for component in components)],
        access=access_by(settings),
        audit=audit,
        actions=[action for component in components for action in component.actions],
        downloads=[download for component in components for download in component.downloads],
        counts=with_import_counts(job_counts(jobs), imports),
        search=JOB_SEARCH,
        title="Command API",
    )


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
