"""All routes of imports, as one router."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter

from bulkport.extras import has_extra
from bulkport.fastapi.bulk import bulk_router
from bulkport.fastapi.describe import describe_router
from bulkport.fastapi.export import export_router
from bulkport.fastapi.imports import import_router
from bulkport.fastapi.job_views import job_views
from bulkport.fastapi.openapi import PROBLEMS
from bulkport.fastapi.pulls import add_pull_creation, pull_router
from bulkport.fastapi.retry import retry_router
from bulkport.fastapi.route import Authenticate, BulkportRoute, user_dependency
from bulkport.fastapi.uploads import upload_router
from bulkport.fastapi.write_query import Authorize
from bulkport.imports.resource import Resources
from bulkport.imports.runtime import ImportRuntime
from bulkport.pulls.access import SourceAccess

if TYPE_CHECKING:
    from bulkport.egress import EgressPolicy


def import_routes(
    resources: Resources,
    runtime: Callable[[], ImportRuntime],
    user: Authenticate,
    *,
    authorize: Authorize | None,
    job_id_name: str,
    access: SourceAccess,
    egress: "EgressPolicy | None",
) -> APIRouter:
    """The routes; see `Bulkport.router`.

    Parameters
    ----------
    runtime
        Gives what the routes need of a running server; raises `NotConnected` before it runs.
    access
        From where files may be pulled.
    egress
        Which addresses webhooks may name; None: https outside of private networks.
    """
    views, authenticate = job_views(job_id_name), user_dependency(user)
    router = APIRouter(responses=PROBLEMS)
    pulls = APIRouter(route_class=BulkportRoute)
    for resource in resources.values():
        router.include_router(bulk_router(resource, runtime, authenticate, views, authorize=authorize, access=access))
        add_pull_creation(pulls, resource, runtime, authenticate, access=access, authorize=authorize)
        router.include_router(describe_router(resource, runtime, authenticate))
        router.include_router(export_router(resource, runtime, authenticate))
    router.include_router(import_router(resources, runtime, authenticate, views))
    if has_extra("webhooks"):
        from bulkport.egress import EgressPolicy  # noqa: PLC0415 # needs the extra
        from bulkport.fastapi.webhooks import webhook_router  # noqa: PLC0415

        router.include_router(webhook_router(runtime, authenticate, egress or EgressPolicy()))
    router.include_router(retry_router(resources, runtime, authenticate, views, authorize=authorize))
    router.include_router(upload_router(runtime, authenticate))
    if access.policy is not None or access.stores:
        router.include_router(pulls)
        router.include_router(pull_router(resources, runtime, authenticate))
    return router
