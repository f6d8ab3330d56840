"""The standard dashboard of every application, with all pages on imports and jobs."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias, cast

from starlette.requests import Request

from bulkport.dashboard.access.sessions import Sessions
from bulkport.dashboard.access.viewers import Access, HookAccess
from bulkport.dashboard.core.audit_log import AuditLog
from bulkport.dashboard.core.masking import DEFAULT_MASKED_NAMES, Masking
from bulkport.dashboard.core.page import Section
from bulkport.dashboard.core.viewer import Role, Viewer
from bulkport.dashboard.dashboard import Dashboard
from bulkport.dashboard.pages.api import api_downloads
from bulkport.dashboard.pages.api_commands import api_commands
from bulkport.dashboard.pages.api_imports import audit_downloads, import_downloads
from bulkport.dashboard.pages.attention import Attention
from bulkport.dashboard.pages.audit import audit_component
from bulkport.dashboard.pages.failures import failures_component
from bulkport.dashboard.pages.imports import imports_component, related_import, with_import_counts
from bulkport.dashboard.pages.job_counts import job_counts
from bulkport.dashboard.pages.job_format import AS_THEY_ARE, JobFormat
from bulkport.dashboard.pages.jobs import JOB_SEARCH, jobs_component
from bulkport.dashboard.pages.muted_failures import MutedFailures
from bulkport.dashboard.pages.overview import OverviewReader, overview_page
from bulkport.dashboard.pages.queues import queues_component
from bulkport.dashboard.pages.recurring import recurring_component
from bulkport.dashboard.pages.retries import retries_component
from bulkport.dashboard.pages.servers import servers_component
from bulkport.dashboard.pages.sessions import sessions_component
from bulkport.dashboard.pages.tasks import tasks_component
from bulkport.imports.admin import OperatedImports
from bulkport.imports.resource import Resources
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.port.engine import DEFAULT_RETENTION, RetentionPolicy
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool

Decision: TypeAlias = Viewer | str | bool | None
"""Who sent a request: a viewer, an operator's name, True for an operator without one; None or False: nobody who may."""
Decide: TypeAlias = Callable[[Request], Decision | Awaitable[Decision]]
"""An application's own function that decides who may see the dashboard."""


def standard_dashboard(
    jobs: JobCalls,
    resources: Resources,
    pool: Callable[[], AsyncPool],
    *,
    access: Access | Decide,
    title: str = "Background jobs",
    masked_names: Sequence[str] | None = None,
    audit_keep: timedelta | None = timedelta(days=365),
    public_url: str | None = None,
    sessions: Sessions | None = None,
    limits: ImportLimits | None = None,
    retention: RetentionPolicy = DEFAULT_RETENTION,
    links: Mapping[str, str] | None = None,
    job_format: JobFormat | None = None,
) -> Dashboard:
    """The dashboard, to be mounted.

    Parameters
    ----------
    jobs
        The application's background jobs, imports among them; connected as long as it serves.
    pool
        Gives the application's connections once it is connected.
    retention
        How long the workers keep finished jobs.
    limits
        Of imports: which disks must have how much room.
    access, title, masked_names, audit_keep, public_url, sessions, links, job_format
        See `Bulkport.dashboard`.
    """
    masking = Masking(DEFAULT_MASKED_NAMES if masked_names is None else masked_names)
    imports = OperatedImports(pool, resources)
    audit = AuditLog(pool, keep=audit_keep)
    commands = api_commands()
    shown = job_format or AS_THEY_ARE
    muted = MutedFailures(pool)
    reader = OverviewReader(jobs, imports, muted, limits)
    components = [
        jobs_component(jobs, masking, pool, related_import, retention=retention, job_format=shown),
        failures_component(jobs, muted),
        retries_component(jobs, masking, shown),
        queues_component(jobs),
        imports_component(imports),
        recurring_component(jobs, masking),
        servers_component(jobs),
        tasks_component(jobs),
        audit_component(audit),
        *([] if sessions is None else [sessions_component(sessions)]),
    ]
    overview = overview_page(reader.read)
    return Dashboard(
        [overview, *(page for component in components for page in component.pages)],
        [Section("overview", "Overview", ""), *(component.section for component in components)],
        access=access_of(access),
        audit=audit,
        actions=[action for component in components for action in component.actions],
        downloads=[
            *(download for component in components for download in component.downloads),
            *api_downloads(jobs, masking, reader.attention, commands),
            *import_downloads(imports),
            *audit_downloads(audit),
        ],
        commands=commands,
        counts=with_import_counts(job_counts(jobs), imports),
        search=JOB_SEARCH,
        title=title,
        public_url=public_url,
        links=links,
    )


def attention_reader(
    jobs: JobCalls, resources: Resources, pool: Callable[[], AsyncPool], limits: ImportLimits | None = None
) -> Callable[[], Awaitable[Sequence[Attention]]]:
    """Reads what needs an operator's attention, as on the overview, for monitors."""
    return OverviewReader(jobs, OperatedImports(pool, resources), limits=limits).attention


def access_of(access: Access | Decide) -> Access:
    """The access policy from the application's argument: an `Access` or a function.

    Raises
    ------
    TypeError
        It is neither.
    """
    if hasattr(access, "viewer") and hasattr(access, "refuse"):
        return cast("Access", access)
    if not callable(access):
        raise TypeError(
            "access= takes a function of the request that returns a Viewer, an operator's name or None, or an access "
            f"of bulkport.dashboard; not a {type(access).__name__}"
        )

    async def viewer(request: Request) -> Viewer | None:
        decision: Any = access(request)
        if inspect.isawaitable(decision):
            decision = await decision
        return _viewer_of(decision)

    return HookAccess(viewer)


def _viewer_of(decision: Any) -> Viewer | None:
    match decision:
        case Viewer():
            return decision
        case None | False | "":
            return None
        case True:
            return Viewer("operator", Role.OPERATOR)
        case str():
            return Viewer(decision, Role.OPERATOR)
    raise TypeError(
        f"the function given as access= returned a {type(decision).__name__}; it must return a Viewer, an operator's "
        "name, True, or None"
    )
