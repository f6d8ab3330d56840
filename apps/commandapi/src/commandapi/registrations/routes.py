"""Routes with which a signed-in user creates, lists and revokes their own API keys."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response, status
from psycopg import AsyncConnection
from starlette.requests import Request

from bulkport.app import Bulkport
from bulkport.database.row_security import RowSecurity
from bulkport.errors import NotFound
from bulkport.fastapi.bodies import JsonBody
from bulkport.fastapi.change import Answer, response_of, safe_to_repeat
from bulkport.fastapi.idempotent import Keep
from bulkport.fastapi.schemas import PathId
from bulkport.identifiers import MAX_BIGINT, UserId
from commandapi.auth.keys import IssuedKey, find_key, issue_key, list_keys, revoke_key, rotate_key
from commandapi.registrations.schemas import NewRegistration, Registration, RegistrationBody, RegistrationList
from commandapi.registrations.signed_in_user import signed_in_user
from commandapi.settings import Settings

router = APIRouter(
    prefix="/api/registrations",
    tags=["registrations"],
    responses={
        401: {"description": "The Bearer token is missing or invalid."},
        501: {"description": "No sign-in service is configured."},
        503: {"description": "The sign-in service or the database is unavailable; try again shortly."},
    },
)

SignedInUser = Annotated[UserId, Depends(signed_in_user)]

_json_body: Final = JsonBody(RegistrationBody)


async def _optional_body(request: Request) -> RegistrationBody:
    if "transfer-encoding" not in request.headers and request.headers.get("content-length", "0") == "0":
        return RegistrationBody()
    return await _json_body(request)


def _optional(openapi: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {**openapi["requestBody"], "required": False}}


def _connection(request: Request, user_id: UserId) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
    """A connection to which PostgreSQL shows the keys of this user alone."""
    security: RowSecurity = request.app.state.row_security
    return security.connection(user_id)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=NewRegistration,
    openapi_extra=safe_to_repeat(_optional(_json_body.openapi)),
    responses={409: {"description": "The user has reached the limit of active keys."}},
)
async def register_key(
    user_id: SignedInUser, body: Annotated[RegistrationBody, Depends(_optional_body)], request: Request
) -> Response:
    """Create an API key for the signed-in user. Only this response shows the key.

    If the request is repeated with its `Idempotency-Key`, no second key is created, and the response has
    `apiKey: null`. If the first response was lost, rotate the key.
    """
    settings: Settings = request.app.state.settings

    async def issue(connection: AsyncConnection[Any]) -> IssuedKey:
        return await issue_key(
            connection,
            user_id,
            body.description,
            live_limit=settings.max_api_keys,
            scopes=sorted(set(body.scopes)),
            seconds=None if body.expires_in_days is None else body.expires_in_days * 86_400,
        )

    return await _shown_once(request, user_id, issue)


@router.post(
    "/{registration_id:digits}/rotate",
    status_code=status.HTTP_201_CREATED,
    response_model=NewRegistration,
    openapi_extra=safe_to_repeat(),
    responses={404: {"description": "The user has no such active key."}},
)
async def rotate_key_of_user(user_id: SignedInUser, registration_id: PathId, request: Request) -> Response:
    """Replace a key. The old one remains valid for a while (a day by default), so that both work."""
    settings: Settings = request.app.state.settings

    async def rotate(connection: AsyncConnection[Any]) -> IssuedKey:
        issued = await rotate_key(
            connection,
            user_id,
            registration_id,
            overlap_seconds=settings.key_overlap_seconds,
            live_limit=settings.max_api_keys,
        )
        if issued is None:
            raise _no_registration(registration_id)
        return issued

    return await _shown_once(request, user_id, rotate)


@router.get("")
async def list_registrations(
    user_id: SignedInUser,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of keys in the response.")] = 50,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_BIGINT, description="`nextCursor` of the previous page.")] = None,
) -> RegistrationList:
    """The signed-in user's API keys, revoked ones included, newest first."""
    async with _connection(request, user_id) as connection:
        records = await list_keys(connection, user_id, limit=limit + 1, before=cursor)
    shown = records[:limit]
    return RegistrationList(
        items=[Registration.model_validate(record) for record in shown],
        next_cursor=str(shown[-1].id) if len(records) > limit else None,
    )


@router.get("/{registration_id:digits}")
async def get_registration(user_id: SignedInUser, registration_id: PathId, request: Request) -> Registration:
    """One API key of the signed-in user."""
    async with _connection(request, user_id) as connection:
        record = await find_key(connection, user_id, registration_id)
    if record is None:
        raise _no_registration(registration_id)
    return Registration.model_validate(record)


@router.delete("/{registration_id:digits}", status_code=status.HTTP_204_NO_CONTENT, openapi_extra=safe_to_repeat())
async def revoke_registration(user_id: SignedInUser, registration_id: PathId, request: Request) -> Response:
    """Revoke an API key of the signed-in user, with immediate effect. Repeating this is not an error."""

    async def revoke(keep: Keep) -> Mapping[str, Any]:
        answer = Answer().to_json()
        async with _connection(request, user_id) as connection, connection.transaction():
            if not await revoke_key(connection, user_id, registration_id):
                raise _no_registration(registration_id)
            await keep(connection, answer)
        return answer

    return await _once(request, user_id, revoke)


async def _shown_once(
    request: Request, user_id: UserId, issue: Callable[[AsyncConnection[Any]], Awaitable[IssuedKey]]
) -> Response:
    """Make a key, and answer with its text. It is not kept for a request that comes again: only its hash ever is."""

    async def make(keep: Keep) -> Mapping[str, Any]:
        async with _connection(request, user_id) as connection, connection.transaction():
            issued = await issue(connection)
            record = issued.record
            view = NewRegistration(
                id=record.id,
                api_key=issued.text,
                description=record.description,
                scopes=record.scopes,
                created_at=record.created_at,
                expires_at=record.expires_at,
            )
            location = f"{router.prefix}/{record.id}"
            await keep(connection, Answer(201, view.model_copy(update={"api_key": None}), location).to_json())
        return Answer(201, view, location).to_json()

    return await _once(request, user_id, make)


async def _once(request: Request, user_id: UserId, change: Callable[[Keep], Awaitable[Mapping[str, Any]]]) -> Response:
    bulkport: Bulkport = request.app.state.bulkport
    once = bulkport.once(request, user_id)
    return response_of(await once(change), is_replayed=once.is_replayed)


def _no_registration(registration_id: int) -> NotFound:
    # The same for another user's, so that ids tell nothing.
    return NotFound(f"You have no registration {registration_id}.")
