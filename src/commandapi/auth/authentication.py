"""The dependency that routes authenticate with."""

from typing import Annotated, Final

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from bulkport.errors import AuthenticationRequired
from bulkport.identifiers import UserId
from bulkport.pools import AsyncPool
from commandapi.auth.keys import verify_key

_scheme: Final = APIKeyHeader(
    name="x-api-key",
    scheme_name="ApiKey",
    description="An API key of 79 characters, from `POST /api/registrations` or `commandapi keys create`.",
    auto_error=False,
)


async def current_user(request: Request, api_key: Annotated[str | None, Security(_scheme)]) -> UserId:
    """The user whose API key came in the header `x-api-key`.

    Raises
    ------
    AuthenticationRequired
        If there is no key, or it is malformed, unknown or revoked. Which of them is not told.
    """
    if api_key is None:
        raise AuthenticationRequired
    pool: AsyncPool = request.app.state.pool
    async with pool.connection() as connection:
        user_id = await verify_key(connection, api_key)
    if user_id is None:
        raise AuthenticationRequired
    return user_id
