"""`POST /imports/{id}/undo`: undoes an import."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response
from psycopg import AsyncConnection
from starlette.requests import Request

from bulkport.fastapi.change import Answer, change_once, safe_to_repeat
from bulkport.fastapi.import_examples import detail_answer
from bulkport.fastapi.job_views import JobViews
from bulkport.fastapi.paths import base_path
from bulkport.fastapi.schemas import JobId
from bulkport.identifiers import UserId
from bulkport.imports.read import get_job
from bulkport.imports.resource import Resources
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.undo import lock_import, undo_import

_CONFLICT: Final[dict[str, Any]] = {"description": "The import is still running, or was already undone."}


def add_undo_route(
    router: APIRouter,
    resources: Resources,
    runtime: Callable[[], ImportRuntime],
    authenticate: Callable[..., Any],
    views: JobViews,
) -> None:
    """Add the route to those of imports."""

    undone = detail_answer(
        views,
        undone={
            "removed": 5,
            "restored": 2,
            "kept": 1,
            "notRestored": 1,
            "reasons": [{"reason": "changed since the import", "rows": 2}],
            "reason": None,
            "at": "2026-07-01T15:00:00.000000Z",
        },
    )

    @router.post(
        "/{job_id}/undo",
        response_model=views.detail,
        responses={200: undone, 409: _CONFLICT},
        openapi_extra=safe_to_repeat(),
    )
    async def undo(job_id: JobId, request: Request, user_id: Annotated[UserId, Depends(authenticate)]) -> Response:
        """Undo an import in one transaction, except for rows that were changed since.

        `undone` has the numbers of created rows that were `removed`, of updated or deleted rows that were `restored`
        (if the resource stores old values), of rows that are `kept` or `notRestored`, and the `reasons`.
        """
        running = runtime()

        async def require_own() -> None:
            async with running.of_user(user_id).connection() as connection:
                await get_job(connection, job_id, user_id)

        async def take_back(connection: AsyncConnection[Any]) -> Answer:
            async with running.row_security.restricted(connection, user_id):
                job = await get_job(connection, job_id, user_id)
                await lock_import(connection, job_id)
            await undo_import(connection, job, resources[job.resource])
            job = await get_job(connection, job_id, user_id)
            return Answer(200, views.detail.of(job, base_path(request, "/imports/")))

        return await change_once(
            request, user_id, running, take_back, pool=running.pool, require=require_own, makes_room=True
        )
