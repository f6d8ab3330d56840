"""`/imports`: a user's import jobs of all resources, each in full and with its report of bad rows."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from starlette.requests import Request

from bulkport.errors import AlreadyEnded, JobNotFound, ValidationFailed
from bulkport.fastapi.change import Answer, response_of, safe_to_repeat
from bulkport.fastapi.follow import EVENTS_RESPONSE, LAST_EVENT_ID, MAX_WAIT_SECONDS, ImportEvents
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.idempotent import Keep, Once
from bulkport.fastapi.import_errors import add_errors_route
from bulkport.fastapi.import_examples import detail_answer, page_answer
from bulkport.fastapi.import_results import add_results_route, position
from bulkport.fastapi.job_views import JobDetail, JobPage, JobViews
from bulkport.fastapi.paths import base_path
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.schemas import JobId, Wait, WireQuery
from bulkport.fastapi.undo import add_undo_route
from bulkport.identifiers import ImportId, UserId
from bulkport.imports.cancel import CancelEffect, request_cancellation, settle_cancellation
from bulkport.imports.labels import MAX_CLIENT_ID, MAX_METADATA_BYTES, MAX_NAME, MAX_TAG, parse_metadata
from bulkport.imports.read import ImportJob, get_job, list_jobs
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.states import CancellationAsker, ImportStatus, ListedStatus
from bulkport.imports.undo import require_undoable, undo_import

_Cursor = Annotated[str | None, Field(max_length=1000, description="`nextCursor` of the previous page.")]


# PostgreSQL takes no text with the character NUL.
_NO_NUL: Final = r"^[^\x00]*$"


class ImportQuery(WireQuery):
    """Query parameters of the list of imports."""

    resource: Annotated[str | None, Field(max_length=100, description="Only imports of this resource.")] = None
    status: Annotated[ListedStatus | None, Field(description="Only imports with this status.")] = None
    name: Annotated[
        str | None, Field(max_length=MAX_NAME, pattern=_NO_NUL, description="Only imports with this name.")
    ] = None
    client_id: Annotated[
        str | None,
        Field(max_length=MAX_CLIENT_ID, pattern=_NO_NUL, description="Only the import with this client id."),
    ] = None
    metadata: Annotated[
        str | None,
        Field(
            max_length=MAX_METADATA_BYTES,
            description="Only imports whose metadata has these members: a JSON object.",
            examples=['{"batch": "2026-07"}'],
        ),
    ] = None
    tag: Annotated[
        str | None, Field(max_length=MAX_TAG, pattern=_NO_NUL, description="Only imports with this tag.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: _Cursor = None


def import_router(
    resources: Resources, runtime: Callable[[], ImportRuntime], authenticate: Authenticate, views: JobViews
) -> APIRouter:
    """Routes under `/imports`. The parameters are those of `bulk_router`."""
    router = APIRouter(prefix="/imports", tags=["imports"], route_class=BulkportRoute)

    @router.get("", response_model=views.page, responses={200: page_answer(views)})
    async def list_imports(
        request: Request, user_id: Annotated[UserId, Depends(authenticate)], query: Annotated[ImportQuery, Query()]
    ) -> JobPage:
        """Your imports, newest first.

        With `tag` or `metadata`, a page may have fewer items than `limit`, or none, although there are more: continue
        with `nextCursor` until it is null.
        """
        if query.resource is not None and query.resource not in resources:
            raise ValidationFailed({"resource": [f"resource must be one of {', '.join(sorted(resources))}"]})
        metadata = parse_metadata(query.metadata, source="metadata")
        before = None if query.cursor is None else ImportId(position(query.cursor))
        async with runtime().of_user(user_id).connection() as connection:
            found = await list_jobs(
                connection,
                user_id,
                resource=query.resource,
                status=query.status,
                name=query.name,
                client_id=query.client_id,
                metadata=metadata,
                tag=query.tag,
                before=before,
                limit=query.limit,
            )
        next_cursor = None if found.before is None else str(found.before)
        base = base_path(request, "/imports")
        return views.page(items=[views.detail.of(job, base) for job in found.jobs], next_cursor=next_cursor)

    @router.get("/{job_id}", response_model=views.detail, responses={200: detail_answer(views)})
    async def get_import(
        job_id: JobId, request: Request, user_id: Annotated[UserId, Depends(authenticate)], wait: Wait = 0
    ) -> JobDetail:
        """One import with all details. With `wait`, respond once it has finished or after that many seconds."""
        async with runtime().of_user(user_id).connection() as connection:
            job = await get_job(connection, job_id, user_id)
        if wait:
            job = await runtime().watch.wait(job, min(wait, MAX_WAIT_SECONDS))
        return views.detail.of(job, base_path(request, "/imports/"))

    @router.get(
        "/{job_id}/events",
        responses={200: EVENTS_RESPONSE, 204: _SEEN},
        response_class=Response,
        openapi_extra={"parameters": [LAST_EVENT_ID]},
    )
    async def follow_import(
        job_id: JobId, request: Request, user_id: Annotated[UserId, Depends(authenticate)]
    ) -> Response:
        """Follow an import live, as server-sent events, until it finishes."""
        async with runtime().of_user(user_id).connection() as connection:
            job = await get_job(connection, job_id, user_id)
        runtime().watch.require_room(user_id)
        base = base_path(request, "/imports/")
        return ImportEvents(
            runtime().watch,
            job,
            field_value(request.headers, "last-event-id"),
            lambda state: views.detail.of(state, base),
        )

    stopping: dict[int | str, dict[str, Any]] = {**_CANCELLED, 202: {**_STOPPING, "model": views.detail}}

    @router.post("/{job_id}/cancel", response_model=views.detail, responses=stopping, openapi_extra=safe_to_repeat())
    @router.delete("/{job_id}", response_model=views.detail, responses=stopping, openapi_extra=safe_to_repeat())
    async def cancel(
        job_id: JobId,
        request: Request,
        user_id: Annotated[UserId, Depends(authenticate)],
        *,
        rollback: Annotated[bool, Query(description="Also remove the rows imported so far.")] = False,
    ) -> Response:
        """Cancel an unfinished import. Rows that are already stored are kept and counted in the response.

        With `rollback=true` they are removed in the transaction that cancels the import, as by an undo; `undone` has
        the numbers of rows `removed` and `kept`. This also works for an import that is already cancelled.
        """

        async def stop(keep: Keep) -> Mapping[str, Any]:
            async with runtime().of_user(user_id).connection() as connection:
                job = await get_job(connection, job_id, user_id)
            resource = resources[job.resource] if rollback else None
            is_new = await _ask_to_stop(runtime(), job, user_id, resource)
            async with runtime().pool.connection() as connection:
                effect = await settle_cancellation(connection, job_id, rolled_back=resource, is_new=is_new)
                if effect is CancelEffect.UNKNOWN:
                    raise JobNotFound
                job = await get_job(connection, job_id, user_id)
                if resource is not None and job.status == ImportStatus.CANCELLED and job.undone is None:
                    await undo_import(connection, job, resource)
                    job = await get_job(connection, job_id, user_id)
                if effect is CancelEffect.ALREADY_ENDED and job.status != ImportStatus.CANCELLED:
                    raise AlreadyEnded(f"Import {job_id} has already finished: its status is {job.status}.")
                status_code = 202 if effect is CancelEffect.STOPPING else 200
                answer = Answer(status_code, views.detail.of(job, base_path(request, "/imports/"))).to_json()
                # A separate transaction: requesting a cancellation twice is harmless.
                await keep(connection, answer)
            return answer

        once = Once(request, user_id, runtime(), makes_room=True)
        return response_of(await once(stop), is_replayed=once.is_replayed)

    add_errors_route(router, resources, runtime, authenticate)
    add_results_route(router, runtime, authenticate)
    add_undo_route(router, resources, runtime, authenticate, views)
    return router


async def _ask_to_stop(running: ImportRuntime, job: ImportJob, user_id: UserId, rolled_back: Resource | None) -> bool:
    """Write that the user wants an import to stop; see `request_cancellation`."""
    if rolled_back is not None:
        async with running.pool.connection() as connection:
            await require_undoable(connection, job, rolled_back)
    wish, rolls_back = CancellationAsker.OWNER, rolled_back is not None
    async with running.of_user(user_id).connection() as connection:
        return await request_cancellation(connection, ImportId(job.id), wish, rolls_back=rolls_back)


_SEEN: Final[dict[str, Any]] = {"description": "`Last-Event-ID` is that of the final event: nothing follows."}
_STOPPING: Final[dict[str, Any]] = {"description": "The import stops once the chunks being written are finished."}
_CANCELLED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "It is cancelled."},
    409: {"description": "The import has already finished."},
}
