"""The dependency that routes authenticate with."""

import re
from typing import Annotated, Any, Final

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from bulkport.connection_user import connection_user
from bulkport.errors import InsufficientScope
from bulkport.identifiers import UserId
from bulkport.pools import AsyncPool
from commandapi.auth.errors import AuthenticationRequired
from commandapi.auth.key_admission import KEY_HEADER, KeyAdmission
from commandapi.auth.keys import Scope, verify_key
from commandapi.auth.rate_limit import RateLimiter
from commandapi.auth.user_requests import UserRequests

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SINGLE_RECORDS: Final = re.compile(r"/api/(?:platforms|commands)(?:/[0-9]+)?/?")
_scheme: Final = APIKeyHeader(
    name=KEY_HEADER,
    scheme_name="ApiKey",
    description="An API key of 79 characters, from `POST /api/registrations` or `commandapi keys create`.",
    auto_error=False,
)


async def current_user(request: Request, api_key: Annotated[str | None, Security(_scheme)]) -> UserId:
    """The user of the API key in the header `x-api-key`.

    Raises
    ------
    AuthenticationRequired
        If there is no key or more than one, or it is malformed, unknown, expired or revoked. Which of them is not told.
    InsufficientScope
        If the key may not do what is asked for.
    TooManyRequests, ServiceUnavailable
        If the user has sent too many, or too many others have their keys checked.
    """
    # Of two keys, which one counts would be a matter of who reads the request.
    if api_key is None or len(request.headers.getlist(KEY_HEADER)) > 1:
        raise AuthenticationRequired
    pool: AsyncPool = request.app.state.key_pool
    admission: KeyAdmission = request.app.state.key_admission
    async with admission.checking(api_key), pool.connection() as connection:
        caller = await verify_key(connection, api_key, address=request.client.host if request.client else None)
    if caller is None:
        admission.refuse(api_key)
        raise AuthenticationRequired
    admission.accept(request.scope, api_key, caller.user_id)
    limiter: RateLimiter = request.app.state.rate_limiter
    await limiter.take(caller.user_id, pool)
    user_requests: UserRequests = request.app.state.user_requests
    user_requests.enter(request.scope, caller.user_id)
    connection_user.set(caller.user_id)
    request.state.caller = caller
    request.state.actor = f"{caller.user_id} (key {caller.key_id})"
    sufficient = sufficient_scopes(request.method, request.url.path)
    if caller.scopes.isdisjoint(sufficient):
        raise InsufficientScope(f"This key may not do that: it lacks the scope {' or '.join(sufficient)}.")
    return caller.user_id


def sufficient_scopes(method: str, path: str) -> tuple[Scope, ...]:
    """The scopes any of which is enough for a request.

    To remove a record takes `write` where the user added it, and `admin` else; the route tells them apart.
    """
    if method in _READING:
        return (Scope.READ,)
    if not _SINGLE_RECORDS.fullmatch(path):
        return (Scope.IMPORT,)
    return (Scope.WRITE, Scope.ADMIN) if method == "DELETE" else (Scope.WRITE,)


def describe_scopes(description: dict[str, Any]) -> dict[str, Any]:
    """Add to each operation of an OpenAPI `description`, which is changed and returned, the scopes that it takes.

    `x-scopes` lists those any of which is enough, and the description says it in words. OpenAPI 3.1 has scopes of its
    own for OAuth 2 alone.
    """
    for path, operations in description.get("paths", {}).items():
        for method, operation in operations.items():
            if isinstance(operation, dict) and {"ApiKey": []} in operation.get("security", ()):
                numbered = re.sub(r"\{\w+\}", "1", path)
                scopes = list(map(str, sufficient_scopes(method.upper(), numbered)))
                operation["x-scopes"] = scopes
                needed = f"Needs a key with the scope {' or '.join(f'`{scope}`' for scope in scopes)}."
                operation["description"] = f"{operation.get('description', '')}\n\n{needed}".strip()
    return description
