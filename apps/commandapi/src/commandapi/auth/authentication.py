"""The dependency that routes authenticate with."""

from typing import Annotated, Final

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from bulkport.errors import AuthenticationRequired
from bulkport.identifiers import UserId
from bulkport.pools import AsyncPool
from commandapi.auth.keys import verify_key

_HEADER: Final = "x-api-key"
_scheme: Final = APIKeyHeader(
    name=_HEADER,
    scheme_name="ApiKey",
    description="An API key of 79 characters, from `POST /api/registrations` or `commandapi keys create`.",
    auto_error=False,
)


async def current_user(request: Request, api_key: Annotated[str | None, Security(_scheme)]) -> UserId:
    """The user whose API key came in the header `x-api-key`.

    Raises
    ------
    AuthenticationRequired
        If there is no key or more than one, or it is malformed, unknown or revoked. Which of them is not told.
    """
    # Of two keys, which one counts would be a matter of who reads the request.
    if api_key is None or len(request.headers.getlist(_HEADER)) > 1:
        raise AuthenticationRequired
    pool: AsyncPool = request.app.state.key_pool
    async with pool.connection() as connection:
        user_id = await verify_key(connection, api_key)
    if user_id is None:
        raise AuthenticationRequired
    return user_id
