"""`/{resource}/pulls` and `/pulls`: sources that are checked on a schedule; each change becomes an import."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response, status
from psycopg import AsyncConnection
from pydantic import Field, JsonValue
from starlette.requests import Request

from bulkport.errors import ValidationFailed
from bulkport.fastapi.bodies import JsonBody
from bulkport.fastapi.change import Answer, change_once, safe_to_repeat
from bulkport.fastapi.paths import base_path
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.schemas import PathId, UtcTime, WireBody, WireView
from bulkport.fastapi.write_query import Authorize, permit, write_options
from bulkport.identifiers import UserId
from bulkport.imports.body.options_query import openapi_parameters, parse_reading
from bulkport.imports.formats import parse_prefer
from bulkport.imports.labels import MAX_NAME, ImportLabels, parse_metadata
from bulkport.imports.resource import Resource, Resources
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.write_options import WriteOptions
from bulkport.jobs.errors import InvalidSchedule, UnknownRecurringJob
from bulkport.jobs.port import JobEngine
from bulkport.jobs.schedule import Schedule
from bulkport.pulls import recurring
from bulkport.pulls.access import SourceAccess
from bulkport.pulls.checker import recurring_definition
from bulkport.pulls.recurring import RecurringPull
from bulkport.pulls.source import Source

ChangePull = Callable[[AsyncConnection[Any], RecurringPull, JobEngine], Awaitable[Answer]]
"""Changes a pull in the connection's transaction."""

_EXAMPLE: Final = {"url": "https://example.org/exports/rows.csv"}


class NewPull(WireBody):
    """A source to check on a schedule."""

    source: Annotated[
        JsonValue, Field(description="As in a bulk request: a URL, or a store and a path.", examples=[_EXAMPLE])
    ]
    cron: Annotated[str, Field(min_length=1, max_length=200, examples=["0 3 * * *"])]
    """Minute, hour, day of month, month and day of week; or `@hourly` to `@yearly`."""
    timezone: Annotated[str, Field(min_length=1, max_length=100, examples=["Europe/Berlin"])] = "UTC"
    name: Annotated[str | None, Field(max_length=MAX_NAME, description="Name of its imports.")] = None
    metadata: Annotated[dict[str, JsonValue] | None, Field(description="Metadata of its imports.")] = None


class PullChange(WireBody):
    """Changes of a recurring pull."""

    is_active: Annotated[bool, Field(description="False pauses the pull, true resumes it.", examples=[False])]


class PullView(WireView):
    """A recurring pull, and the outcome of its last check."""

    id: int
    """The pull's id."""
    resource: str
    """What is imported."""
    source: dict[str, Any]
    """The source, without the query of its URL."""
    cron: str
    """The schedule: minute, hour, day of month, month, day of week."""
    timezone: str
    """The time zone of `cron`."""
    name: str | None
    """Name of its imports."""
    metadata: dict[str, Any] | None
    """Metadata of its imports."""
    mode: str | None
    """Mode of its imports."""
    is_active: bool
    """False: it is paused."""
    next_at: UtcTime | None
    """Next check; null while it is paused."""
    last_checked_at: UtcTime | None
    """Last check."""
    last_outcome: recurring.PullOutcome | None
    """`imported`, `unchanged`, or `busy` if the previous import was still running."""
    last_import_id: int | None
    """The last import that it created."""
    created_at: UtcTime
    """When it was created."""

    @classmethod
    async def of(cls, engine: JobEngine, pull: RecurringPull, connection: Any) -> "PullView":
        """The view of a pull."""
        job = await engine.recurring.get(pull.recurring_id, connection)
        return cls(
            id=pull.id,
            resource=pull.resource,
            source=Source.from_json(pull.source).shown,
            cron=pull.cron,
            timezone=pull.timezone,
            name=pull.name,
            metadata=pull.metadata,
            mode=(pull.writing or {}).get("mode"),
            is_active=pull.is_active,
            next_at=job.next_at if job is not None and pull.is_active else None,
            last_checked_at=pull.last_checked_at,
            last_outcome=None if pull.last_outcome is None else recurring.PullOutcome(pull.last_outcome),
            last_import_id=pull.last_import_id,
            created_at=pull.created_at,
        )


class PullList(WireView):
    """All recurring pulls of a user."""

    items: list[PullView]
    """The pulls."""


_new_pull: Final = JsonBody(NewPull)
_pull_change: Final = JsonBody(PullChange)
_CREATION: Final[dict[str, Any]] = {**_new_pull.openapi, "parameters": openapi_parameters(None)}
_CREATION["requestBody"]["content"]["application/json"]["example"] = {
    "source": _EXAMPLE,
    "cron": "0 3 * * *",
    "timezone": "Europe/Berlin",
    "name": "nightly",
}


def add_pull_creation(
    router: APIRouter,
    resource: Resource,
    runtime: Callable[[], ImportRuntime],
    authenticate: Authenticate,
    *,
    access: SourceAccess,
    authorize: Authorize | None,
) -> None:
    """Add `POST /{resource}/pulls` to the application's routes. The parameters are those of `bulk_router`."""
    Caller = Annotated[UserId, Depends(authenticate)]  # noqa: N806 # a type

    @router.post(
        f"/{resource.name}/pulls",
        status_code=status.HTTP_201_CREATED,
        name=f"pull_{resource.name}_again_and_again",
        response_model=PullView,
        openapi_extra=safe_to_repeat(_CREATION),
        responses={409: {"description": "The user has reached the limit of recurring pulls."}},
        tags=["pulls"],
    )
    async def create_pull(
        request: Request,
        user_id: Caller,
        writing: Annotated[WriteOptions, Depends(write_options(resource))],
        body: Annotated[NewPull, Depends(_new_pull)],
    ) -> Response:
        """Check a source on a schedule and import it whenever it has changed.

        Changes are detected by `ETag` or `Last-Modified`; a source that has neither is imported each time. Query
        parameters are those of a bulk request, and apply to each import.
        """
        await permit(authorize, user_id, resource, writing.mode)
        source = access.parse(body.source, user_id)
        reading = parse_reading(request.query_params.multi_items())
        try:
            Schedule(body.cron, body.timezone)
        except InvalidSchedule as error:
            field = "timezone" if "time zone" in error.detail else "cron"
            raise ValidationFailed({field: [f"{field}: {error.detail}"]}) from None
        metadata = None if body.metadata is None else json.dumps(body.metadata)
        labels = ImportLabels(name=body.name or None, metadata=parse_metadata(metadata, source="metadata"))
        running = runtime()
        base = base_path(request, f"/{resource.name}/pulls")

        async def create(connection: AsyncConnection[Any]) -> Answer:
            pull = await recurring.create_pull(
                connection,
                user_id,
                resource=resource.name,
                source=source,
                cron=body.cron,
                timezone=body.timezone,
                labels=labels,
                handling=parse_prefer(request.headers.getlist("prefer")),
                reading=reading,
                writing=writing,
            )
            await running.engine.recurring.add_or_update(recurring_definition(pull), connection)
            return Answer(201, await PullView.of(running.engine, pull, connection), f"{base}/pulls/{pull.id}")

        return await change_once(request, user_id, running, create, pool=running.pool)


def pull_router(resources: Resources, runtime: Callable[[], ImportRuntime], authenticate: Authenticate) -> APIRouter:
    """Routes under `/pulls`. The parameters are those of `bulk_router`."""
    router = APIRouter(prefix="/pulls", tags=["pulls"], route_class=BulkportRoute)
    Caller = Annotated[UserId, Depends(authenticate)]  # noqa: N806 # a type

    @router.get("")
    async def list_pulls(user_id: Caller) -> PullList:
        """Your recurring pulls, oldest first."""
        running = runtime()
        async with running.of_user(user_id).connection() as connection:
            pulls = await recurring.list_pulls(connection, user_id)
        async with running.pool.connection() as connection:
            return PullList(items=[await PullView.of(running.engine, pull, connection) for pull in pulls])

    @router.get("/{pull_id}")
    async def get_pull(pull_id: PathId, user_id: Caller) -> PullView:
        """One recurring pull."""
        running = runtime()
        # The import is read as its user, the engine's tables without one.
        async with running.of_user(user_id).connection() as connection:
            pull = await recurring.get_pull(connection, pull_id, user_id)
        async with running.pool.connection() as connection:
            return await PullView.of(running.engine, pull, connection)

    async def changed(request: Request, pull_id: int, user_id: UserId, make: ChangePull) -> Response:
        """Change a pull of the user's; the engine's tables are changed as nobody."""
        running = runtime()

        async def require_own() -> None:
            async with running.of_user(user_id).connection() as connection:
                await recurring.get_pull(connection, pull_id, user_id)

        async def make_it(connection: AsyncConnection[Any]) -> Answer:
            async with running.row_security.restricted(connection, user_id):
                pull = await recurring.get_pull(connection, pull_id, user_id)
            return await make(connection, pull, running.engine)

        return await change_once(request, user_id, running, make_it, pool=running.pool, require=require_own)

    @router.patch("/{pull_id}", response_model=PullView, openapi_extra=safe_to_repeat(_pull_change.openapi))
    async def change_pull(
        request: Request, pull_id: PathId, user_id: Caller, body: Annotated[PullChange, Depends(_pull_change)]
    ) -> Response:
        """Pause or resume a recurring pull."""

        async def change(connection: AsyncConnection[Any], pull: RecurringPull, engine: JobEngine) -> Answer:
            await recurring.set_active(connection, pull_id, is_active=body.is_active)
            await engine.recurring.add_or_update(recurring_definition(pull), connection)
            steer = engine.recurring.resume if body.is_active else engine.recurring.pause
            await steer(pull.recurring_id, connection)
            pull = await recurring.get_pull(connection, pull_id, user_id)
            return Answer(200, await PullView.of(engine, pull, connection))

        return await changed(request, pull_id, user_id, change)

    @router.post(
        "/{pull_id}/run",
        status_code=status.HTTP_202_ACCEPTED,
        response_model=PullView,
        openapi_extra=safe_to_repeat(),
    )
    async def look_now(request: Request, pull_id: PathId, user_id: Caller) -> Response:
        """Check the source now, regardless of its schedule."""

        async def look(connection: AsyncConnection[Any], pull: RecurringPull, engine: JobEngine) -> Answer:
            try:
                await engine.recurring.trigger(pull.recurring_id, connection)
            except UnknownRecurringJob:
                await engine.recurring.add_or_update(recurring_definition(pull), connection)
                await engine.recurring.trigger(pull.recurring_id, connection)
            return Answer(202, await PullView.of(engine, pull, connection))

        return await changed(request, pull_id, user_id, look)

    @router.delete("/{pull_id}", status_code=status.HTTP_204_NO_CONTENT, openapi_extra=safe_to_repeat())
    async def delete_pull(request: Request, pull_id: PathId, user_id: Caller) -> Response:
        """Delete a recurring pull. Its imports are kept."""

        async def delete(connection: AsyncConnection[Any], pull: RecurringPull, engine: JobEngine) -> Answer:
            await recurring.delete_pull(connection, pull_id, user_id)
            await engine.recurring.remove(pull.recurring_id, connection)
            return Answer()

        return await changed(request, pull_id, user_id, delete)

    return router
