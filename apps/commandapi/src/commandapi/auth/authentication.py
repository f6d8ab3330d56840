"""The dependency that routes authenticate with."""

from typing import Annotated, Final

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from bulkport.errors import InsufficientScope
from bulkport.identifiers import UserId
from bulkport.pools import AsyncPool
from commandapi.auth.errors import AuthenticationRequired
from commandapi.auth.keys import Scope, verify_key
from commandapi.auth.rate_limit import RateLimiter

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
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
        If there is no key or more than one, or it is malformed, unknown, expired or revoked. Which of them is not told.
    InsufficientScope
        If the key may not do what is asked for.
    TooManyRequests
        If the user has sent too many.
    """
    # Of two keys, which one counts would be a matter of who reads the request.
    if api_key is None or len(request.headers.getlist(_HEADER)) > 1:
        raise AuthenticationRequired
    pool: AsyncPool = request.app.state.key_pool
    async with pool.connection() as connection:
        caller = await verify_key(connection, api_key, address=request.client.host if request.client else None)
    if caller is None:
        raise AuthenticationRequired
    limiter: RateLimiter = request.app.state.rate_limiter
    limiter.take(caller.user_id)
    needed = scope_needed(request.method, request.url.path)
    if needed not in caller.scopes:
        raise InsufficientScope(f"This key may not do that: it lacks the scope {needed}.")
    return caller.user_id


def scope_needed(method: str, path: str) -> Scope:
    """The scope that a request needs."""
    if method in _READING:
        return Scope.READ
    if not path.startswith(("/api/platforms", "/api/commands")) or path.rstrip("/").endswith(("/bulk", "/pulls")):
        return Scope.IMPORT
    return Scope.ADMIN if method == "DELETE" else Scope.WRITE
